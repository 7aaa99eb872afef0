"""Whether observers err on the same stimuli, and how reliable people's recognition is."""

from collections.abc import Iterable, Sequence
from itertools import chain, combinations
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.analysis.bootstrap import counts, interval
from metamers.analysis.scores import scored, tidy
from metamers.errors import MetamersError

Array = NDArray[np.float64]

SHARED = ("model", "stage", "observer_a", "observer_b", "n", "n_a", "n_b", "n_alike")


def error_consistency(responses: pd.DataFrame) -> pd.DataFrame:
    """Cohen's kappa of being right, for every two participants (or models) that saw the same stimuli.

    One row per generating model, stage and pair: `model, stage, observer_a, observer_b, n` (shared stimuli),
    `accuracy_a, accuracy_b, observed` (the share on which both are right or both are wrong), `expected` (of independent
    observers of these accuracies), `kappa`, its least and largest possible value `kappa_min` and `kappa_max` (the
    ceiling), and `note`, which says why kappa is NaN where both are always right or always wrong. Pairs without shared
    stimuli are left out.

    Source: Geirhos, Meding and Wichmann, NeurIPS 33, 13890-13902 (2020). Raises MetamersError as `participant_scores`
    does, and where no two observers share a stimulus.
    """
    return consistency_of_counts([count_shared(responses)])


def count_shared(responses: pd.DataFrame) -> pd.DataFrame:
    """Of every two participants (or models) that saw the same stimuli, how many these are, on how many each was right,
    and on how many both were right or both wrong: `model, stage, observer_a, observer_b, n, n_a, n_b, n_alike`.

    Raises MetamersError as `participant_scores` does.
    """
    table = scored(tidy(responses))
    # A participant's name, with its group's where it has one.
    same = table["participant"] == table["observer"]
    who = table["participant"].where(same, table["observer"] + " " + table["participant"])
    rows = []
    for (model, stage), cell in table.assign(who=who).groupby(["model", "stage"], sort=False):
        right, count = counts(cell, cell["who"], cell["cell"])
        names = list(dict.fromkeys(cell["who"]))
        for a, b in combinations(range(len(names)), 2):
            shared = (count[a] > 0) & (count[b] > 0)
            if shared.any():
                of_a, of_b = right[a, shared] > 0, right[b, shared] > 0
                both = (int(shared.sum()), int(of_a.sum()), int(of_b.sum()), int((of_a == of_b).sum()))
                rows.append((model, stage, names[a], names[b], *both))
    return pd.DataFrame(rows, columns=list(SHARED))


def consistency_of_counts(parts: Iterable[pd.DataFrame]) -> pd.DataFrame:
    """What `error_consistency` gives, from `count_shared` of some stimuli each."""
    sums: dict[tuple[str, str, str, str], NDArray[np.int64]] = {}
    for model, stage, a, b, n, n_a, n_b, alike in chain.from_iterable(part.itertuples(index=False) for part in parts):
        pair, found = (model, stage, a, b), [n, n_a, n_b, alike]
        if (model, stage, b, a) in sums:
            pair, found = (model, stage, b, a), [n, n_b, n_a, alike]
        sums[pair] = sums.get(pair, np.zeros(4, np.int64)) + found
    if not sums:
        raise MetamersError("no two observers saw the same stimulus; error consistency compares shared stimuli")
    return pd.DataFrame([dict(zip(SHARED[:4], pair, strict=True)) | kappa(*map(int, n)) for pair, n in sums.items()])


def kappa(n: int, n_a: int, n_b: int, n_alike: int) -> dict[str, Any]:
    """The figures of `error_consistency` for two observers of `n` stimuli, as `count_shared` counts them.

    >>> figures = kappa(4, 2, 1, 3)
    >>> [figures[name] for name in ("observed", "expected", "kappa", "kappa_max")]
    [0.75, 0.5, 0.5, 0.5]
    """
    # Squares of n times the shares, so whole numbers, in which a kappa of 0 is 0.
    expected = n_a * n_b + (n - n_a) * (n - n_b)
    most = n**2

    def scaled(alike: int) -> float:
        return (n * alike - expected) / (most - expected) if expected < most else float("nan")

    return {
        **{"n": n, "accuracy_a": n_a / n, "accuracy_b": n_b / n, "observed": n_alike / n, "expected": expected / most},
        **{"kappa": scaled(n_alike), "kappa_min": scaled(abs(n_a + n_b - n)), "kappa_max": scaled(n - abs(n_a - n_b))},
        "note": "" if expected < most else "undefined: both are always right or both always wrong",
    }


def split_half_reliability(
    responses: pd.DataFrame,
    *,
    items: Sequence[str] = ("model", "stage"),
    observer_kind: str = "human",
    n_splits: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """How well half of the participants' proportions correct predict the other half's, over `items` (columns).

    One row: `n_participants, n_items`, `r` (the mean Pearson correlation of random halves), `reliability` (of all
    participants, 2 r / (1 + r) of that mean; Spearman and Brown, 1910), and the same of the 95 % range of the splits,
    `ci_low, ci_high`. Items that no participant of a half answered are left out of that split, and splits in which one
    half does not vary are left out. NaN where no split remains or the halves are opposites (r = -1).

    Raises MetamersError as `participant_scores` does, for fewer than 4 participants, and for fewer than 3 items.
    """
    table = scored(tidy(responses))
    table = table[table["observer_kind"] == observer_kind]
    who = table["observer"] + "\n" + table["participant"]
    what = table[list(items)].astype(str).agg("\n".join, axis=1) if len(table) else table["cell"]
    n_people, n_items = who.nunique(), what.nunique()
    for n, least, things in ((n_people, 4, f"{observer_kind} participants"), (n_items, 3, "items")):
        if n < least:
            raise MetamersError(f"split-half reliability needs {least} {things}; the responses have {n}")
    right, count = counts(table, who, what)
    halves = _halves(n_people, n_splits, seed)
    r = np.array([_correlation(right, count, half) for half in halves])
    r = r[np.isfinite(r)]
    mean = float(r.mean()) if len(r) else float("nan")
    low, high = interval(r)
    row: dict[str, object] = {"n_participants": n_people, "n_items": n_items, "r": mean}
    row |= {"reliability": _of_all(mean), "ci_low": _of_all(low), "ci_high": _of_all(high)}
    return pd.DataFrame([row])


def _of_all(r: float) -> float:
    """Spearman and Brown's reliability of both halves together."""
    return 2 * r / (1 + r) if r > -1 + 1e-9 else float("nan")


def _halves(n: int, n_splits: int, seed: int) -> NDArray[np.bool_]:
    """Random halves [n_splits, n]; the odd one is in neither half."""
    first = np.zeros((n_splits, n), dtype=np.int64)
    first[:, : n // 2] = 1
    first[:, n // 2 : 2 * (n // 2)] = 2
    return np.asarray(np.random.default_rng(seed).permuted(first, axis=1))


def _correlation(right: Array, count: Array, half: NDArray[np.bool_]) -> float:
    totals = [(right[half == side].sum(axis=0), count[half == side].sum(axis=0)) for side in (1, 2)]
    kept = (totals[0][1] > 0) & (totals[1][1] > 0)
    x, y = (hits[kept] / n[kept] for hits, n in totals)
    if len(x) < 3 or np.ptp(x) == 0 or np.ptp(y) == 0:
        return float("nan")
    return float(np.corrcoef(x, y)[0, 1])
