"""Every row of the published analyses of variance beside the same figures computed from the data."""

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom

from metamers.analysis import Design, PermutationTest, anova, design_of, permute
from metamers.errors import MetamersError, nearest
from metamers.published.csv_files import FIGURES
from metamers.published.feather2023 import ANALYSES, PEOPLE, PUBLISHED_PERMUTATIONS, Analysis

FINE_ABOVE, FINE_TIMES = 0.001, 3
"""Above this p, this many times the permutations are drawn, so that the published p's error is most of a difference."""
TOLERANCE = 1e-4
"""Of the figures, relative."""
RANGE = 0.999
"""Of the binomial distribution of a published p."""

Row = dict[str, Any]


def compare_anovas(
    published: pd.DataFrame,
    scores: pd.DataFrame,
    adversarial: pd.DataFrame,
    n_permutations: int = PUBLISHED_PERMUTATIONS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[list[Row], list[Row]]:
    """The rows of `published` (anova_published.csv) recomputed, and the comparisons that cannot be.

    `scores` holds the rows of the .mat files, `adversarial` those of adversarial_accuracy*.csv. A row has `experiment,
    analysis, comparison, effect`; `ours` and `published`, figure to value; `relative_difference`, the largest over the
    figures but `permutation_p`; and `permutation` (None where none is published): `low` and `high`, the 99.9 % binomial
    range of the published p, `within`, `n_permutations`, `exact`, and `exempt`, a reason or None. A comparison that
    cannot be computed has `experiment, analysis, comparison, reason`: models without data, data that are not balanced,
    or an analysis or effect that is not known.
    """
    keys = ["modality", "repo_experiment", "analysis", "comparison"]
    groups = [(tuple(map(str, key)), group) for key, group in published.groupby(keys, sort=False)]
    rows: list[Row] = []
    missing: list[Row] = []
    # The permutations release Python's lock, so that threads share the work.
    with ThreadPoolExecutor(len(os.sched_getaffinity(0))) as threads:
        tasks = [threads.submit(_comparison, *task, scores, adversarial, n_permutations) for task in groups]
        try:
            for done, task in enumerate(tasks):
                progress(done, len(tasks))
                compared, absent = task.result()
                rows += compared
                missing += absent
        finally:
            threads.shutdown(cancel_futures=True)
    return rows, missing


def _comparison(
    key: tuple[str, ...], published: pd.DataFrame, scores: pd.DataFrame, adversarial: pd.DataFrame, n_permutations: int
) -> tuple[list[Row], list[Row]]:
    """The rows of one comparison, or the one that says what is missing for it."""
    _, experiment, kind, comparison = key
    name = {"experiment": experiment, "analysis": kind, "comparison": comparison}
    if kind not in ANALYSES:
        return [], [name | {"reason": f"no analysis {kind!r} is known{nearest(kind, ANALYSES)}"}]
    models = list(dict.fromkeys(model for names in published["models"] for model in names.split("|")))
    table = _SELECT[kind](scores, adversarial, experiment, comparison)
    absent = [model for model in models if model not in set(table["model"])]
    if absent:
        return [], [name | {"reason": f"no data of {', '.join(absent)}"}]
    try:
        design = _design(table[table["model"].isin(models)], ANALYSES[kind])
        return [name | row for row in _compare(design, ANALYSES[kind], published, n_permutations)], []
    except MetamersError as error:  # data that are not balanced, or an effect that the analysis has not
        return [], [name | {"reason": str(error)}]


def relative_difference(ours: Mapping[str, float], published: Mapping[str, float]) -> float:
    """The largest |ours - published| / |published|; infinite where ours is undefined.

    >>> relative_difference({"F": 1.01, "DF": 3}, {"F": 1.0, "DF": 3}).__round__(6)
    0.01
    """
    differences = [abs(ours[name] - value) / (abs(value) or 1) for name, value in published.items()]
    return float(np.nan_to_num(max(differences, default=0.0), nan=np.inf))


def _people_and_network(scores: pd.DataFrame, _: pd.DataFrame, experiment: str, __: str) -> pd.DataFrame:
    table = scores[scores["experiment"] == experiment]
    subject = table["condition"] + table["participant"].astype(str)
    return table.assign(subject=subject, layer=table["stage"], network_or_human=table["condition"])


def _people(scores: pd.DataFrame, _: pd.DataFrame, experiment: str, __: str) -> pd.DataFrame:
    table = scores[(scores["experiment"] == experiment) & (scores["condition"] == PEOPLE)]
    # Models name their stages differently; they are compared in order.
    return table.assign(subject=table["participant"], layer=table["stage_index"], model_type=table["model"])


def _networks(_: pd.DataFrame, adversarial: pd.DataFrame, __: str, comparison: str) -> pd.DataFrame:
    table = adversarial[adversarial["norm"] == comparison.rsplit("_", 1)[-1]]
    subject = table["model"] + " " + table["seed_index"].astype(str)
    value = table["n_correct_of_1024"] / 1024
    return table.assign(subject=subject, network=table["model"], stage="", proportion=value)


_SELECT: dict[str, Callable[[pd.DataFrame, pd.DataFrame, str, str], pd.DataFrame]] = {
    "human_vs_network_mixed": _people_and_network,
    "human_models_rm": _people,
    "human_stage_rm": _people,
    "adv_eval_mixed": _networks,
}


def _design(table: pd.DataFrame, analysis: Analysis) -> Design:
    kept = table[~table["stage"].isin(list(analysis.stages_left_out))]
    return design_of(kept, value="proportion", subject="subject", within=analysis.within, between=analysis.between)


def _compare(design: Design, analysis: Analysis, published: pd.DataFrame, n_permutations: int) -> list[Row]:
    computed: dict[Any, dict[Any, Any]] = anova(design).set_index("effect").to_dict("index")
    rows: list[Row] = []
    for row in published.to_dict("records"):
        effect = str(row["effect"])
        if effect not in computed:
            raise MetamersError(f"no effect {effect!r}{nearest(effect, computed)}")
        ours = {name: float(computed[effect][name]) for name in FIGURES}
        theirs = {name: float(row[name]) for name in FIGURES if pd.notna(row[name])}
        compared: Row = {
            "effect": effect,
            "relative_difference": relative_difference(ours, theirs),
            "permutation": None,
        }
        p: Any = row["permutation_p"]
        if not np.isnan(p):
            test = _test(design, effect, n_permutations, analysis.convention)
            ours["permutation_p"], theirs["permutation_p"] = test.p, float(p)
            compared["permutation"] = _agreement(test, float(p)) | {"exempt": analysis.permutation_exempt.get(effect)}
        rows.append(compared | {"ours": ours, "published": theirs})
    return rows


def _test(design: Design, effect: str, n: int, convention: str) -> PermutationTest:
    test = permute(design, effect, n_permutations=n, convention=convention)
    if test.p <= FINE_ABOVE or test.exact:
        return test
    return permute(design, effect, n_permutations=FINE_TIMES * n, convention=convention)


def _agreement(test: PermutationTest, published: float) -> Row:
    low, high = (float(k) / PUBLISHED_PERMUTATIONS for k in binom.interval(RANGE, PUBLISHED_PERMUTATIONS, published))
    return {
        **{"low": low, "high": high, "within": low <= test.p <= high},
        **{"n_permutations": test.n_permutations, "exact": test.exact},
    }


def disagreements(rows: Sequence[Row], tolerance: float = TOLERANCE) -> list[Row]:
    """The rows whose figures differ by more than `tolerance`, or whose permutation p is out of range and not exempt."""
    return [
        row
        for row in rows
        if row["relative_difference"] > tolerance
        or (row["permutation"] and not row["permutation"]["within"] and not row["permutation"]["exempt"])
    ]
