"""How different the metamers of one reference are that were made from several seeds."""

from collections.abc import Iterable
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import GROUPS
from metamers.analysis.scores import is_metamer, tidy
from metamers.errors import MetamersError

METAMER = ["model", "stage", "recipe", "reference"]
ONE_SEED = "no reference has metamers from two seeds; make them with --seed 0 1 (seeds: [0, 1] in a study)"


def seed_agreement(responses: pd.DataFrame) -> pd.DataFrame:
    """How often an observer answers alike to two metamers of one reference, made from different seeds.

    One row per model, stage and observer: `model, stage, observer, observer_kind, n_references, n_pairs, agreement`
    (the share of pairs of seeds with the same response), `expected` (that share by the observer's response frequencies
    alone). Participants are paired with themselves only.

    Raises MetamersError as `participant_scores` does, for missing columns, and where no reference has two seeds.
    """
    need_columns(responses, ["recipe", "reference", "seed", "response"], "the table of responses")
    table = tidy(responses)
    table = table.assign(n=1, recipe=table["recipe"].astype("string").fillna("").astype(object))
    return agreement_of_counts([table])


def agreement_of_counts(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What `seed_agreement` gives, from rows of `n` responses each, in parts that each hold all of some stages."""
    tables = [_agreement(part) for part in parts]
    result = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    if result.empty:
        raise MetamersError(ONE_SEED)
    return result


def _agreement(table: pd.DataFrame) -> pd.DataFrame:
    table = table[is_metamer(table) & (table["response"] != "")]
    same = [*GROUPS, *(name for name in ("recipe",) if name in table), "reference", "participant"]
    given = table.groupby([*same, "response"], sort=False)["n"].sum()
    n, alike = given.groupby(same, sort=False).sum(), _pairs(given).groupby(same, sort=False).sum()
    made = pd.DataFrame({"alike": alike, "pairs": _pairs(n)})
    of_group = made[made["pairs"] > 0].reset_index().groupby(GROUPS, sort=False)
    result = pd.DataFrame({"n_references": of_group["reference"].nunique(), "n_pairs": of_group["pairs"].sum()})
    result["agreement"] = of_group["alike"].sum() / result["n_pairs"]
    of_response = table.groupby([*GROUPS, "response"], sort=False)["n"].sum()
    shares = of_response / of_response.groupby(GROUPS, sort=False).transform("sum")
    expected = (shares**2).groupby(GROUPS, sort=False).sum()
    return result.assign(expected=expected.reindex(result.index)).reset_index()


def _pairs(n: "pd.Series[int]") -> "pd.Series[int]":
    return n * (n - 1) // 2


def seed_distances(signals: pd.DataFrame) -> pd.DataFrame:
    """How far metamers of one reference are from each other, and from it, in their written values.

    `signals` has `model, stage, recipe, reference, seed, signal, reference_signal` (arrays of one shape in [0, 1] or
    [-1, 1]). One row per model and stage: `model, stage, n_references, n_pairs, between_seeds, to_reference`, both the
    mean root-mean-square difference.

    Raises MetamersError for missing columns and where no reference has two seeds.
    """
    need_columns(signals, [*METAMER, "seed", "signal", "reference_signal"], "the table of signals")
    pairs = [
        {
            **dict(zip(METAMER, key, strict=True)),
            "between": rms(a, b),
            "to": (rms(a, reference) + rms(b, reference)) / 2,
        }
        for key, made in signals.groupby(METAMER, sort=False)
        for reference in [made["reference_signal"].iloc[0]]
        for a, b in combinations(made["signal"], 2)
    ]
    if not pairs:
        raise MetamersError(ONE_SEED)
    table = pd.DataFrame(pairs).groupby(["model", "stage"], sort=False)
    return pd.DataFrame(
        {
            "n_references": table["reference"].nunique(),
            "n_pairs": table.size(),
            "between_seeds": table["between"].mean(),
            "to_reference": table["to"].mean(),
        }
    ).reset_index()


def pooled_distances(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What `seed_distances` gives of all references, from what it gives of some references each."""
    table = pd.concat(parts, ignore_index=True)
    means = ["between_seeds", "to_reference"]
    table[means] = table[means].mul(table["n_pairs"], axis=0)
    sums = table.groupby(["model", "stage"], sort=False, as_index=False).sum()
    sums[means] = sums[means].div(sums["n_pairs"], axis=0)
    return sums


def rms(a: ArrayLike, b: ArrayLike) -> float:
    """The root-mean-square difference of two signals of one shape.

    >>> rms([0.0, 0.0], [0.0, 1.0]) == 0.5**0.5
    True
    """
    return float(np.sqrt(np.mean((np.asarray(a, dtype=np.float64) - np.asarray(b, dtype=np.float64)) ** 2)))
