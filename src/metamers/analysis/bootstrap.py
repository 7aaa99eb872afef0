"""Intervals by resampling stimuli, participants, or both."""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import in_order
from metamers.analysis.scores import chances_of, scored, tidy

Array = NDArray[np.float64]
Over = Literal["stimuli", "participants", "both"]
_TOGETHER = 50
"""Resamples that are drawn at once."""


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
    table = scored(tidy(responses))
    keys = ["model", "stage", "observer", "observer_kind"]
    rows: list[dict[str, object]] = []
    cells = [
        (key, counts(cell, cell["participant"], cell["reference"])) for key, cell in table.groupby(keys, sort=False)
    ]
    drawn = _draws([of_cell for _, of_cell in cells], over, n_resamples, seed)
    for (key, (right, count)), draws in zip(cells, drawn, strict=True):
        low, high = interval(draws, confidence)
        row = dict(zip(keys, key, strict=True)) | {"n": int(count.sum())}
        row |= {"n_references": right.shape[1], "n_participants": right.shape[0]}
        rows.append(row | {"proportion": right.sum() / count.sum(), "sem": draws.std(), "ci_low": low, "ci_high": high})
    columns = [*keys, "n", "n_references", "n_participants", "proportion", "sem", "ci_low", "ci_high"]
    result = in_order(pd.DataFrame(rows, columns=columns), stages or {})
    return result.assign(chance=result["observer"].map(chances_of(responses, chance)))


def counts(cell: pd.DataFrame, rows: "pd.Series[str]", columns: "pd.Series[str]") -> tuple[Array, Array]:
    """Correct responses and responses, each [different rows, different columns], of a tidy table's."""
    (i, row_names), (j, column_names) = pd.factorize(rows), pd.factorize(columns)
    right, count = np.zeros((2, len(row_names), len(column_names)))
    np.add.at(right, (i, j), cell["n_correct"].to_numpy(dtype=np.float64))
    np.add.at(count, (i, j), cell["n"].to_numpy(dtype=np.float64))
    return right, count


def resample_weights(n: int, n_resamples: int, rng: np.random.Generator) -> Array:
    """How often each of `n` is in each resample: [n_resamples, n]."""
    if n == 0:
        return np.zeros((n_resamples, 0))
    drawn = np.empty((n_resamples, n))
    for part in parts_of(n_resamples):  # as whole numbers take as much memory again
        drawn[part.start : part.stop] = rng.multinomial(n, np.full(n, 1 / n), size=len(part))
    return drawn


def parts_of(n_resamples: int) -> list[range]:
    """Some resamples at a time, as all their weights would take 8 kB for each reference."""
    return [range(i, min(i + _TOGETHER, n_resamples)) for i in range(0, n_resamples, _TOGETHER)]


def interval(draws: Array, confidence: float = 0.95) -> tuple[float, float]:
    """The percentile interval of draws; NaN where there is none. Draws that are NaN do not count."""
    kept = draws[np.isfinite(draws)]
    if not len(kept):
        return float("nan"), float("nan")
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _draws(cells: Sequence[tuple[Array, Array]], over: Over, n_resamples: int, seed: int) -> list[Array]:
    """Resampled proportions of each cell's `counts`; none where there is only one of what is resampled."""
    of_people, of_stimuli = over in ("participants", "both"), over in ("stimuli", "both")
    people, stimuli = (_Resamples(drawn, [seed, i]) for i, drawn in enumerate((of_people, of_stimuli)))
    draws: list[list[Array]] = [[] for _ in cells]
    for part in parts_of(n_resamples):
        people.begin(part)
        stimuli.begin(part)
        for (right, count), found in zip(cells, draws, strict=True):
            n_people, n_stimuli = right.shape
            if (n_people < 2 or not of_people) and (n_stimuli < 2 or not of_stimuli):
                continue
            total = ((people.weights(n_people) @ count) * stimuli.weights(n_stimuli)).sum(axis=1)
            hits = ((people.weights(n_people) @ right) * stimuli.weights(n_stimuli)).sum(axis=1)
            found.append(hits[total > 0] / total[total > 0])
    return [np.concatenate(found) if found else np.array([np.nan]) for found in draws]


class _Resamples:
    """Weights of what is resampled, a part of the resamples at a time; cells of as many share them. Where it is not
    `drawn`, each counts once."""

    def __init__(self, drawn: bool, seed: list[int]) -> None:
        self._drawn, self._seed = drawn, seed
        self._generators: dict[int, np.random.Generator] = {}
        self._weights: dict[int, Array] = {}
        self._n_resamples = 0

    def begin(self, part: range) -> None:
        """Go on to the next part."""
        self._weights, self._n_resamples = {}, len(part)

    def weights(self, n: int) -> Array:
        """Those of this part for `n` of them: [n_resamples of the part, n], or [1, n]."""
        if not self._drawn:
            return np.ones((1, n))
        if n not in self._weights:
            if n not in self._generators:
                self._generators[n] = np.random.default_rng(self._seed)
            self._weights[n] = resample_weights(n, self._n_resamples, self._generators[n])
        return self._weights[n]
