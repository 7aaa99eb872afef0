"""Correlations: between what people and other models recognize, and between metamers and adversarial robustness."""

from collections.abc import Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from itertools import pairwise
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray

from metamers.analysis.designs import need_columns
from metamers.analysis.scores import is_metamer, participant_scores
from metamers.errors import MetamersError

CONSTANT = "undefined: one of the two does not vary"
TOO_FEW = "undefined: fewer than 3 points"
ROUNDING = 1e-12
"""Relative to the largest value."""


def correlations(x: ArrayLike, y: ArrayLike) -> dict[str, Any]:
    """`n, pearson_r, r_squared, pearson_p, spearman_rho, spearman_p, kendall_tau, kendall_p` of paired values, and
    `note`, which says why they are NaN where fewer than 3 pairs exist or a side is constant.

    Kendall's tau is tau-b; p-values are two-sided. Values that rounding sets apart (two means of the same proportions
    in another order) are ties.

    >>> figures = correlations([1, 2, 3, 4], [1, 3, 2, 4])
    >>> [round(figures[name], 3) for name in ("r_squared", "spearman_rho", "kendall_tau")]
    [0.64, 0.8, 0.667]
    """
    from scipy import stats

    a, b = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
    names = ("pearson_r", "r_squared", "pearson_p", "spearman_rho", "spearman_p", "kendall_tau", "kendall_p")
    note = TOO_FEW if len(a) < 3 else CONSTANT if _ranks(a).max() == 0 or _ranks(b).max() == 0 else ""
    if note:
        return {"n": len(a), **dict.fromkeys(names, float("nan")), "note": note}
    ranks = _ranks(a), _ranks(b)
    pearson, spearman, kendall = stats.pearsonr(a, b), stats.spearmanr(*ranks), stats.kendalltau(*ranks)
    r = float(pearson.statistic)
    values = (r, r * r, pearson.pvalue, spearman.statistic, spearman.pvalue, kendall.statistic, kendall.pvalue)
    return {"n": len(a), **dict(zip(names, map(float, values), strict=True)), "note": ""}


def _ranks(values: NDArray[np.float64]) -> NDArray[np.int64]:
    """Places in increasing order, from 0, one place for values that differ by no more than rounding."""
    order = np.argsort(values)
    steps = np.diff(values[order]) > ROUNDING * np.abs(values).max()
    places = np.zeros(len(values), dtype=np.int64)
    places[order[1:]] = np.cumsum(steps)
    return places


def human_model_points(responses: pd.DataFrame) -> pd.DataFrame:
    """One row per generating model and stage that both people and other models responded to: `model, stage, human,
    other_models, n_people, n_models`.

    `human` is the mean over people of their proportions correct, `other_models` the unweighted mean over all observing
    models but the generating one (by name). Natural stimuli and controls without a model are left out.
    """
    scores = participant_scores(responses)
    scores = scores[is_metamer(scores) & scores["proportion"].notna()]
    people = scores[scores["observer_kind"] == "human"]
    models = scores[(scores["observer_kind"] == "model") & (scores["observer"] != scores["model"])]
    return mean_points(people, models)


def mean_points(people: pd.DataFrame, models: pd.DataFrame) -> pd.DataFrame:
    """`human_model_points` of two tables with the columns `model, stage, proportion`."""
    keys = ["model", "stage"]
    human = people.groupby(keys, sort=False)["proportion"].agg(human="mean", n_people="size")
    other = models.groupby(keys, sort=False)["proportion"].agg(other_models="mean", n_models="size")
    points: pd.DataFrame = human.join(other, how="inner").reset_index()
    return points[[*keys, "human", "other_models", "n_people", "n_models"]]


def with_depths(points: pd.DataFrame, stages: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """`points` with the column `depth`: 0 for the first of the model's `stages`, 1 for the last.

    Points of other models, which are controls, are left out.
    """
    depth = {(m, s): i / max(1, len(names) - 1) for m, names in stages.items() for i, s in enumerate(names)}
    places = zip(points["model"], points["stage"], strict=True)
    depths = pd.Series([depth.get(place, np.nan) for place in places], index=points.index, dtype=float)
    return points.assign(depth=depths).dropna(subset=["depth"]).reset_index(drop=True)


def sorter_of(lists: Sequence[Sequence[str]]) -> TopologicalSorter[str]:
    """Sorts the stages of several lists, each of which is in order."""
    sorter = TopologicalSorter[str]()
    for stages in lists:
        for stage in stages:
            sorter.add(stage)
        for before, after in pairwise(stages):
            sorter.add(after, before)
    return sorter


def stages_in_order(model: str, lists: Sequence[Sequence[str]]) -> list[str]:
    """The stages of a model in one order, from several runs' lists of some of them, each in order.

    >>> stages_in_order("net", [["conv1", "layer2"], ["conv1", "layer1", "layer2"]])
    ['conv1', 'layer1', 'layer2']

    Raises MetamersError where the lists contradict each other, or do not tell which of two stages comes first.
    """
    sorter = sorter_of(lists)
    try:
        sorter.prepare()
    except CycleError:
        raise MetamersError(
            f"the runs have the stages of {model!r} in different orders; analyze each by itself"
        ) from None
    order: list[str] = []
    while ready := sorter.get_ready():
        if len(ready) > 1:
            raise MetamersError(
                f"the runs do not tell whether {ready[0]!r} or {ready[1]!r} of {model!r} comes first, so the depth of "
                "its stages is unknown; analyze each run by itself, or with one that has both stages"
            )
        sorter.done(*ready)
        order += ready
    return order


def human_model_relation(points: pd.DataFrame) -> pd.DataFrame:
    """How human recognition goes with that by other models, over the model-stages of `points` (`human_model_points`).

    One row: `n_models`, then the columns of `correlations` (n is the number of model-stages, which are no independent
    samples: take the p-values for what they are). Source: Feather and others (2023), Fig. 8e, f.

    Raises MetamersError where there are no points.
    """
    need_columns(points, ["model", "human", "other_models"], "the table of points")
    if points.empty:
        raise MetamersError("no model-stage was shown to both people and other models; import responses, and recognize")
    figures = correlations(points["human"], points["other_models"])
    return pd.DataFrame([{"n_models": points["model"].nunique(), **figures}])


def robustness_relation(recognizability: pd.DataFrame, robustness: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Metamer recognizability against adversarial robustness, over models.

    `recognizability` has `model, recognizability` (such as the figure of merit), `robustness` has `model, robustness`
    (accuracy under attack) and, where there are several, `attack`. Returns the points (`attack, model, recognizability,
    robustness`) and per attack the columns of `correlations`. A high robustness with a low recognizability, or the
    reverse, is the dissociation of Feather and others (2023), Fig. 6.

    Raises MetamersError for missing columns, a model named twice, and where the tables share no model.
    """
    need_columns(recognizability, ["model", "recognizability"], "the table of recognizability")
    need_columns(robustness, ["model", "robustness"], "the table of robustness")
    attacks = robustness if "attack" in robustness else robustness.assign(attack="")
    for table, keys in ((recognizability, ["model"]), (attacks, ["attack", "model"])):
        twice = table[keys].duplicated()
        if twice.any():
            raise MetamersError(
                f"model {table['model'][twice].iloc[0]!r} is there twice; give one value for each model"
            )
    points = attacks.merge(recognizability, on="model")[["attack", "model", "recognizability", "robustness"]]
    if points.empty:
        raise MetamersError(
            "no model has both a recognizability and a robustness; name the models alike in both tables"
        )
    rows = [
        {"attack": attack, **correlations(group["recognizability"], group["robustness"])}
        for attack, group in points.groupby("attack", sort=False)
    ]
    return points, pd.DataFrame(rows)
