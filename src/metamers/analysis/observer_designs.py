"""The designs of the literature in a run's responses: tables for the analyses of variance."""

from collections.abc import Mapping, Sequence

import pandas as pd

from metamers.analysis.recognition import NATURAL
from metamers.errors import MetamersError


def kind_by_stage(scores: pd.DataFrame, model: str) -> pd.DataFrame:
    """People against other models on one model's metamers: `subject, observer_kind, stage, proportion`.

    `scores` is `participant_scores`; the natural stimuli are a stage, the generating model is no observer. For
    `mixed_anova` between observer kinds, within stage. Raises MetamersError where a kind of observer is missing.
    """
    table = scores[_natural(scores) | (scores["model"] == model)]
    table = table[table["observer"] != model]
    table = table[table["observer"].isin(set(table["observer"][table["model"] == model]))]
    for kind in ("human", "model"):
        if kind not in set(table["observer_kind"]):
            whom = {"human": "people; import responses", "model": "other models; recognize the run"}[kind]
            raise MetamersError(f"the metamers of {model!r} have no responses of {whom} first")
    subject = table["observer"] + " " + table["participant"]
    table = table.assign(subject=subject)
    return table[["subject", "observer_kind", "stage", "proportion"]]


def stage_by_model(
    scores: pd.DataFrame, observer_kind: str, stages: Mapping[str, Sequence[str]] | None = None
) -> pd.DataFrame:
    """Stages of several generating models, compared in order: `subject, stage, model, proportion`.

    `stage` is the place (0: natural stimuli, whose proportions every model shares, where there are any). Observers of
    `observer_kind` that are a generating model are left out. For `repeated_measures_anova` within stage, and within
    model where there are several. Raises MetamersError where no such observer is there.
    """
    models = [model for model in dict.fromkeys(scores["model"]) if model]
    table = scores[(scores["observer_kind"] == observer_kind) & ~scores["observer"].isin(models)]
    if table.empty:
        raise MetamersError(f"no {observer_kind} observers other than the generating models; give --observers")
    subject = table["observer"] + " " + table["participant"]
    table = table.assign(subject=subject)
    parts = []
    for model in models:
        order = list(dict.fromkeys([*(stages or {}).get(model, ()), *table["stage"][table["model"] == model]]))
        order = [NATURAL, *(stage for stage in order if stage in set(table["stage"][table["model"] == model]))]
        part = table[_natural(table) | (table["model"] == model)]
        parts.append(part.assign(model=model, stage=part["stage"].map({name: i for i, name in enumerate(order)})))
    joined: pd.DataFrame = pd.concat(parts)
    return joined[["subject", "stage", "model", "proportion"]]


def _natural(table: pd.DataFrame) -> "pd.Series[bool]":
    return table["stage"] == NATURAL
