"""Means, the human-against-other-models relation and the Brain-Score relation, from the published data."""

from typing import Any

import numpy as np
import pandas as pd

from metamers.analysis import correlations, human_model_relation, mean_points
from metamers.published.feather2023 import (
    BRAIN_REGIONS,
    BRAIN_SCORE,
    BRAIN_SCORE_MODELS_LEFT_OUT,
    NETWORK,
    PEOPLE,
    RELATION_EXPERIMENTS_LEFT_OUT,
    RELATION_STAGES_LEFT_OUT,
    RELATIONS,
)

Row = dict[str, Any]
RELATION_FIGURES = ("r_squared", "spearman_rho", "kendall_tau")


def stage_means(scores: pd.DataFrame) -> pd.DataFrame:
    """Per experiment, model and stage, the means over participants and their standard errors (of the population
    deviation, as published): `modality, experiment, model, stage_index, stage, n_participants, human_mean,
    human_sem_ddof0, network_mean, network_sem_ddof0`."""
    keys = ["modality", "experiment", "model", "stage_index", "stage"]
    parts = []
    for condition in (PEOPLE, NETWORK):
        groups = scores[scores["condition"] == condition].groupby(keys, sort=False)["proportion"]
        part = pd.DataFrame({"n_participants": groups.size(), f"{condition}_mean": groups.mean()})
        part[f"{condition}_sem_ddof0"] = groups.std(ddof=0) / np.sqrt(part["n_participants"])
        parts.append(part)
    table = parts[0].join(parts[1].drop(columns="n_participants")).reset_index()
    return table.sort_values(["modality", "experiment", "model", "stage_index"], ignore_index=True)


def human_scores(scores: pd.DataFrame) -> pd.DataFrame:
    """The proportions of people that enter the relations."""
    table = scores[(scores["condition"] == PEOPLE) & ~scores["experiment"].isin(list(RELATION_EXPERIMENTS_LEFT_OUT))]
    stages = pd.MultiIndex.from_frame(table[["modality", "stage"]])
    return table[~stages.isin(list(RELATION_STAGES_LEFT_OUT))]


def relation(scores: pd.DataFrame, accuracy: pd.DataFrame, modality: str) -> tuple[Row, pd.DataFrame]:
    """Human recognition (all participants of all experiments pooled) against that by other models, and its points.

    The row has `modality, ours, published, n_models, n_points` beside the published numbers, `complete`, `missing`:
    the models of `accuracy` (model_model_accuracy*.csv) that no .mat file is of, and `unmatched`: the models of people
    that `accuracy` lacks.
    """
    people = human_scores(scores)
    people = people[people["modality"] == modality]
    accuracy = accuracy[accuracy["modality"] == modality]
    others = accuracy[accuracy["generating_model"] != accuracy["observing_model"]]
    others = others.rename(columns={"generating_model": "model", "accuracy": "proportion"})
    points = mean_points(people, others)
    published = RELATIONS[modality]
    figures = human_model_relation(points).to_dict("records")[0] if len(points) else None
    seen, known = dict.fromkeys(people["model"]), dict.fromkeys(others["model"])
    return {
        "modality": modality,
        "ours": {name: float(figures[name]) for name in RELATION_FIGURES} if figures else None,
        "published": published.figures,
        "n_models": int(points["model"].nunique()),
        "n_points": len(points),
        "published_n_models": published.n_models,
        "published_n_points": published.n_points,
        "complete": len(points) == published.n_points,
        "missing": [model for model in known if model not in seen],
        "unmatched": [model for model in seen if model not in known],
    }, points


def brain_score(scores: pd.DataFrame, table: pd.DataFrame) -> tuple[list[Row], pd.DataFrame]:
    """Per region, Spearman's rho of Brain-Score with human recognition at the model's best stage, and its points.

    A row has `region, ours, p, p_bonferroni, r_squared, published, n_models, published_n_models, complete, missing`
    (models, or model-stages, without human data).
    """
    people = human_scores(scores)
    human = people[people["modality"] == "vision"].groupby(["model", "stage"])["proportion"].mean()
    points = _brain_points(table, human)
    rows: list[Row] = []
    for region in BRAIN_REGIONS:
        chosen = points[points["region"] == region]
        here = chosen.dropna(subset=["human"])
        figures = correlations(here["score"], here["human"])
        defined = not figures["note"]
        rows.append(
            {
                "region": region,
                "ours": figures["spearman_rho"] if defined else None,
                "p": figures["spearman_p"] if defined else None,
                "p_bonferroni": min(1.0, len(BRAIN_REGIONS) * float(figures["spearman_p"])) if defined else None,
                "r_squared": figures["r_squared"] if defined else None,
                "published": BRAIN_SCORE.figures[region],
                "n_models": len(here),
                "published_n_models": BRAIN_SCORE.n_models,
                "complete": len(here) == BRAIN_SCORE.n_models,
                "missing": [f"{m} at {s}" for m, s in zip(*_absent(chosen), strict=True)],
            }
        )
    return rows, points.dropna(subset=["human"])


def _brain_points(table: pd.DataFrame, human: "pd.Series[float]") -> pd.DataFrame:
    table = table.drop_duplicates("name")
    table = table[~table["name"].isin(list(BRAIN_SCORE_MODELS_LEFT_OUT))]
    parts = [
        pd.DataFrame(
            {
                "region": region,
                "model": table["name"],
                "stage": table[f"{region} best layer"],
                # Rows without a score explain the columns.
                "score": pd.to_numeric(table[region], errors="coerce"),
            }
        ).dropna(subset=["score"])
        for region in BRAIN_REGIONS
    ]
    points = pd.concat(parts, ignore_index=True)
    places = zip(points["model"], points["stage"], strict=True)
    return points.assign(human=[float(human.get(place, np.nan)) for place in places])


def _absent(points: pd.DataFrame) -> tuple["pd.Series[str]", "pd.Series[str]"]:
    absent = points[points["human"].isna()]
    return absent["model"], absent["stage"]
