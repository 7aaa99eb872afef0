"""How different the metamers of one reference are that were made from several seeds."""

from collections.abc import Iterable
from functools import reduce
from itertools import combinations

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import GROUPS
from metamers.analysis.scores import is_metamer, tidy
from metamers.errors import MetamersError

METAMER = ["model", "stage", "recipe", "reference"]
_COUNTS = ("n", "n_references", "n_pairs", "n_alike")


def seed_agreement(responses: pd.DataFrame) -> pd.DataFrame:
    """How often an observer answers alike to two metamers of one reference, made from different seeds.

    One row per model, stage and observer: `model, stage, observer, observer_kind, n_references, n_pairs, agreement`
    (the share of pairs of seeds with the same response), `expected` (that share by the observer's response frequencies
    alone). Participants are paired with themselves only.

    Raises MetamersError as `participant_scores` does, for missing columns, and where no reference has two seeds.
    """
    return agreement_of_counts([count_alike(responses)])


def count_alike(responses: pd.DataFrame) -> pd.DataFrame:
    """How many pairs of seeds there are, and got the same response (in rows whose `response` is empty), and how often
    each response was given: `model, stage, observer, observer_kind, response, n, n_references, n_pairs, n_alike`.

    Raises MetamersError as `participant_scores` does, and for missing columns.
    """
    need_columns(responses, ["recipe", "reference", "seed", "response"], "the table of responses")
    table = tidy(responses)
    table = table[is_metamer(table) & (table["response"] != "")]
    table = table.assign(recipe=table["recipe"].astype("string").fillna("").astype(object))
    same = [*GROUPS, "recipe", "reference", "participant"]
    alike = table.groupby([*same, "response"], sort=False).size().transform(_pairs).groupby(same, sort=False).sum()
    made = pd.DataFrame({"n_alike": alike, "n_pairs": table.groupby(same, sort=False).size().transform(_pairs)})
    of_group = made[made["n_pairs"] > 0].reset_index().groupby(GROUPS, sort=False)
    pairs = of_group[["n_pairs", "n_alike"]].sum().assign(n_references=of_group["reference"].nunique(), response="")
    given = table.groupby([*GROUPS, "response"], sort=False).size().rename("n")
    counted = pd.concat([pairs.reset_index(), given.reset_index()], ignore_index=True)
    return counted.reindex(columns=[*GROUPS, "response", *_COUNTS]).fillna(dict.fromkeys(_COUNTS, 0))


def agreement_of_counts(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What `seed_agreement` gives, from `count_alike` of some references each."""
    keys = [*GROUPS, "response"]
    sums = reduce(lambda one, other: _summed(pd.concat([one, other]), keys), (_summed(part, keys) for part in parts))
    result = sums[(sums["response"] == "") & (sums["n_pairs"] > 0)].astype(dict.fromkeys(_COUNTS, int))
    if result.empty:
        raise MetamersError("no reference has metamers from two seeds; make them with --seed 0 1")
    n = sums.groupby(GROUPS, sort=False)["n"]
    expected = (sums["n"] / n.transform("sum")).pow(2).groupby([sums[name] for name in GROUPS], sort=False).sum()
    result["agreement"] = result["n_alike"] / result["n_pairs"]
    result = result.merge(expected.rename("expected").reset_index(), on=GROUPS)
    return result[[*GROUPS, "n_references", "n_pairs", "agreement", "expected"]]


def _summed(rows: pd.DataFrame, keys: list[str]) -> pd.DataFrame:
    return rows.groupby(keys, sort=False, as_index=False).sum()


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
        raise MetamersError("no reference has metamers from two seeds; make them with --seed 0 1")
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
