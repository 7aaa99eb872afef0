"""Intervals by resampling stimuli, participants, or both."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import in_order
from metamers.analysis.scores import chances_of, tidy

Over = Literal["stimuli", "participants", "both"]


def bootstrap_recognition(
    responses: pd.DataFrame,
    *,
    over: Over = "both",
    chance: float | Mapping[str, float] | None = None,
    stages: Mapping[str, Sequence[str]] | None = None,
    n_resamples: int = 1000,
    confidence: float = 0.95,
    seed: int = 0,
) -> pd.DataFrame:
    """The proportion of correct responses per generating model, stage and observer, with standard errors and intervals.

    `observer` may be a group of people: its participants are resampled, its references ("stimuli"), or both
    independently. One row per model, stage and observer, in the order of `stages` (of each model) and else of first
    appearance: `model, stage, observer, observer_kind, n, n_references, n_participants, proportion, sem, ci_low,
    ci_high, chance`. `sem` is the standard deviation of the resampled proportions, the interval that of their
    percentiles; both are NaN where there is only one of what is resampled. `chance` is one for all, or by observer
    (None: `chance_level`). Unscored responses do not count.

    Source: Owen, The pigeonhole bootstrap, Annals of Applied Statistics 1, 386-411 (2007); over stimuli it is that of
    Feather and others (2023). Raises MetamersError as `participant_scores` does, and for a table without references.
    """
    need_columns(responses, ["reference"], "the table of responses")
    table = tidy(responses).dropna(subset=["correct"])
    keys = ["model", "stage", "observer", "observer_kind"]
    rows: list[dict[str, object]] = []
    drawn: dict[tuple[int, bool], NDArray[np.float64]] = {}  # numbers of stimuli and participants recur

    def weights(n: int, of_stimuli: bool) -> NDArray[np.float64]:
        if (n, of_stimuli) not in drawn:
            drawn[n, of_stimuli] = resample_weights(n, n_resamples, np.random.default_rng([seed, of_stimuli]))
        return drawn[n, of_stimuli]

    for key, cell in table.groupby(keys, sort=False):
        right, count = counts(cell, cell["participant"], cell["reference"])
        draws = _draws(right, count, over, weights)
        low, high = interval(draws, confidence)
        row = dict(zip(keys, key, strict=True)) | {"n": int(count.sum())}
        row |= {"n_references": right.shape[1], "n_participants": right.shape[0]}
        rows.append(row | {"proportion": right.sum() / count.sum(), "sem": draws.std(), "ci_low": low, "ci_high": high})
    columns = [*keys, "n", "n_references", "n_participants", "proportion", "sem", "ci_low", "ci_high"]
    result = in_order(pd.DataFrame(rows, columns=columns), stages or {})
    return result.assign(chance=result["observer"].map(chances_of(responses, chance)))


def counts(
    cell: pd.DataFrame, rows: "pd.Series[str]", columns: "pd.Series[str]"
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Correct responses and responses, each [different rows, different columns], of scored responses."""
    (i, row_names), (j, column_names) = pd.factorize(rows), pd.factorize(columns)
    right, count = np.zeros((2, len(row_names), len(column_names)))
    np.add.at(right, (i, j), cell["correct"].to_numpy(dtype=np.float64))
    np.add.at(count, (i, j), 1.0)
    return right, count


def resample_weights(n: int, n_resamples: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """How often each of `n` is in each resample: [n_resamples, n]."""
    if n == 0:
        return np.zeros((n_resamples, 0))
    drawn = np.empty((n_resamples, n))
    for some in np.array_split(drawn, -(-n_resamples // 50)):  # as whole numbers take as much memory again
        some[:] = rng.multinomial(n, np.full(n, 1 / n), size=len(some))
    return drawn


def interval(draws: NDArray[np.float64], confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of draws; NaN where there is none. Draws that are NaN do not count."""
    kept = draws[np.isfinite(draws)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _draws(
    right: NDArray[np.float64],
    count: NDArray[np.float64],
    over: Over,
    weights: Callable[[int, bool], NDArray[np.float64]],
) -> NDArray[np.float64]:
    """Resampled proportions; none where there is only one of what is resampled."""
    n_people, n_stimuli = right.shape
    of_people, of_stimuli = over in ("participants", "both"), over in ("stimuli", "both")
    if (n_people < 2 or not of_people) and (n_stimuli < 2 or not of_stimuli):
        return np.array([np.nan])
    people = weights(n_people, False) if of_people else np.ones((1, n_people))
    stimuli = weights(n_stimuli, True) if of_stimuli else np.ones((1, n_stimuli))
    total = ((people @ count) * stimuli).sum(axis=1)
    hits = ((people @ right) * stimuli).sum(axis=1)
    draws: NDArray[np.float64] = hits[total > 0] / total[total > 0]
    return draws
