"""Who recognized what: curves by group of observers, the matrix of models, and what was mistaken for what."""

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from graphlib import CycleError
from itertools import chain
from typing import TYPE_CHECKING, Any

from metamers.analysis import (
    bootstrap_recognition,
    confusion_of_counts,
    human_model_points,
    human_model_relation,
    idiosyncrasy,
    kind_by_stage,
    mixed_anova,
    participant_scores,
    recognition_of_counts,
    with_depths,
)
from metamers.analysis.relation import sorter_of
from metamers.errors import MetamersError
from metamers.report import observer_figures
from metamers.report.answers import Answers
from metamers.report.cells import natural_key
from metamers.report.comparison import comparison
from metamers.report.dissociation import dissociation
from metamers.report.drawing import draw
from metamers.report.relation import relation_figure
from metamers.report.results import NATURAL, Results
from metamers.store import SIMULATED, slug

if TYPE_CHECKING:
    import pandas as pd

ITSELF, OTHERS, PEOPLE = "the model itself", "other models", "people"
START = "start"
MAX_LABELS = 40
"""A confusion matrix of more labels is not drawn: its squares would be too small to see."""


def recognition(results: Results) -> dict[str, Any]:
    """Everything that the page says of responses. Cells that failed are left out."""
    answers, controls = results.answers(), results.answers("controls")
    table = recognition_of_counts(answers.counts(), float("nan"), stages=results.stages)
    chances = results.chances(answers)
    table["chance"] = table["observer"].map(chances)
    of_controls = recognition_of_counts(controls.counts(), float("nan"), stages=results.stages)
    models = [_of_model(results, model, answers, controls, table) for model in results.stages]
    people = answers.people()
    return {
        **{"n_people": len(people), "n_simulated": sum(name.startswith(SIMULATED) for name in people)},
        "models": [found for found in models if found is not None],
        "matrix": _matrix(results, _joined(table, of_controls)),
        "confusions": [found for model in results.stages if (found := _confusion(results, model, answers))],
        "idiosyncrasy": _idiosyncrasy(results, answers),
        "relation": _relation(results, answers) if people and results.stages else None,
        "comparison": comparison(results, answers, chances),
        "dissociation": dissociation(results, answers, chances),
        "chances": observer_figures.chance_levels(table),
        "n_unscored": int(table["n_unscored"].sum()),
        "n_excluded": answers.n_failed,
        "observers": list(dict.fromkeys(table["observer"])),
    }


def percent(value: float) -> str:
    """A proportion for reading; a dash for NaN."""
    return "\N{EN DASH}" if value != value else f"{100 * value:.0f} %"


def _of_model(
    results: Results, model: str, answers: Answers, controls: Answers, table: "pd.DataFrame"
) -> dict[str, Any] | None:
    if not table.loc[table["model"] == model, "n"].sum():
        return None
    observers = set(table.loc[table["model"] == model, "observer"])
    curves = table[table["model"].isin(["", model]) & table["observer"].isin(observers)]
    seen = (part[part["observer"].isin(observers)] for part in answers.with_natural(model))
    groups = _bootstrapped(_grouped(part, model) for part in seen)
    untrained = controls.with_natural(f"untrained-{model}")
    floors = _bootstrapped((_grouped(part, model) for part in untrained), n_resamples=1)
    order = [*([NATURAL] if (curves["stage"] == NATURAL).any() else []), *results.stages[model]]
    return {
        "model": model,
        "statement": _statement(groups, order),
        "statistics": _statistics(answers, model, table),
        "file": f"recognition-{slug(model)}",
        "svg": draw(
            results.store.folder,
            f"recognition-{slug(model)}",
            f"Recognition by stage of the metamers of {model}",
            partial(observer_figures.recognition_figure, curves, groups, floors, model, order),
        ),
        "rows": curves.to_dict("records"),
    }


def _joined(*tables: "pd.DataFrame") -> "pd.DataFrame":
    import pandas as pd

    return pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)


def _grouped(answers: "pd.DataFrame", model: str) -> "pd.DataFrame":
    """The answers with groups for observers: the generating model itself, other models, people."""
    group = answers["observer_kind"].map({"human": PEOPLE}).fillna(OTHERS).mask(answers["observer"] == model, ITSELF)
    return answers.assign(observer=group)


def _bootstrapped(parts: "Iterable[pd.DataFrame]", **options: Any) -> "pd.DataFrame":
    """Recognition in counted tables of a stage each, with its intervals."""
    return _joined(*(bootstrap_recognition(part, chance=float("nan"), **options) for part in parts))


def _statement(groups: "pd.DataFrame", stages: Sequence[str]) -> str:
    """What the groups recognize at both ends of the curve."""
    said: list[str] = []
    for group in (OTHERS, PEOPLE, ITSELF):
        share = groups[groups["observer"] == group].set_index("stage")["proportion"].dropna()
        ends = [stage for stage in stages if stage in share.index]
        if not ends or (group == ITSELF and said):
            continue
        of = [
            f"{percent(share[stage])} of the " + ("natural stimuli" if stage == NATURAL else f"metamers of {stage}")
            for stage in dict.fromkeys([ends[0], ends[-1]])
        ]
        said.append(f"{group} recognize{'s' if group == ITSELF else ''} {' and '.join(of)}")
    text = "; ".join(said)
    return text[:1].upper() + text[1:]


def _statistics(answers: Answers, model: str, table: "pd.DataFrame") -> str | None:
    """The analysis of variance of people and other models over the stages; None without both."""
    others = table[(table["model"] == model) & (table["observer"] != model)]
    if set(others["observer_kind"]) != {"human", "model"}:
        return None
    try:
        scores = _joined(*map(participant_scores, answers.with_natural(model)))
        scores = kind_by_stage(scores, model)
        rows = mixed_anova(scores, value="proportion", subject="subject", within="stage", between="observer_kind")
    except MetamersError as error:
        return f"People and other models are not compared by an analysis of variance: {error}."
    found = {row["effect"]: row for row in rows.to_dict("records")}
    n = scores.groupby("observer_kind")["subject"].nunique()
    tests = [
        f"{name} {_test(found[effect], found[error], p)}"
        for name, effect, error, p in (
            ("people against models", "observer_kind", "Error", "pValue"),
            ("stage", "(Intercept):stage", "Error(stage)", "pValueGG"),
            ("interaction", "observer_kind:stage", "Error(stage)", "pValueGG"),
        )
    ]
    groups = [f"{n['human']} {'person' if n['human'] == 1 else 'people'}"]
    groups.append(f"{n['model']} other model{'s' if n['model'] != 1 else ''}")
    alone = " Of a group of one it is not known how far its members differ." if 1 in set(n) else ""
    return (
        f"Mixed analysis of variance of {' and '.join(groups)} over the stages (p of stages with Greenhouse and "
        f"Geisser's correction): {'; '.join(tests)}.{alone}"
    )


def _test(effect: Mapping[Any, Any], error: Mapping[Any, Any], p: str) -> str:
    if effect["F"] != effect["F"]:
        return "F undefined (no variance)"
    size = f"partial \N{GREEK SMALL LETTER ETA}\N{SUPERSCRIPT TWO} = {effect['partial_eta_sq']:.2f}"
    return f"F({effect['DF']:.0f}, {error['DF']:.0f}) = {effect['F']:.2f}, p {_p_value(float(effect[p]))}, {size}"


def _p_value(p: float) -> str:
    return f"= {p:.3f}" if p >= 0.001 else "< 0.001"


def _matrix(results: Results, table: "pd.DataFrame") -> dict[str, Any]:
    """Generating by observing models at each stage: blocks of a stage, rows of a model, a cell for each observer."""
    scored = table[table["n"] > 0]
    observers = sorted(dict.fromkeys(scored["observer"]), key=_place([*results.stages, *scored["observer"]]))
    stages = sorted(
        dict.fromkeys(scored["stage"]),
        key=_place([NATURAL, START, *_in_one_order(list(results.stages.values()))]),
    )
    found = {(row["model"], row["stage"], row["observer"]): row for row in scored.to_dict("records")}
    blocks = []
    for stage in stages:
        models = list(dict.fromkeys(scored.loc[scored["stage"] == stage, "model"]))
        rows = [
            {"model": model, "cells": [found.get((model, stage, observer)) for observer in observers]}
            for model in models
        ]
        blocks.append({"stage": stage, "rows": rows})
    return {"observers": observers, "blocks": blocks}


def _in_one_order(lists: list[tuple[str, ...]]) -> list[str]:
    """The stages of all models, each model's in its own order where that can be."""
    try:
        return list(sorter_of(lists).static_order())
    except CycleError:
        return list(dict.fromkeys(chain(*lists)))


def _place(order: Iterable[str]) -> Any:
    places = {name: i for i, name in enumerate(dict.fromkeys(order))}
    return lambda name: places.get(name, len(places))


def _confusion(results: Results, model: str, answers: Answers) -> dict[str, Any] | None:
    """What other models, and people, took the metamers of a model for; None where nobody else has seen them."""
    given = answers.confusions(model)
    given = given[given["observer"] != model]
    others = given[given["model"] == model]
    if not len(others):
        return None
    table = confusion_of_counts(_grouped(given[given["observer"].isin(others["observer"])], model))
    labels = sorted({*table["label"], *table["response"]}, key=natural_key)
    stages = [stage for stage in (NATURAL, *results.stages[model]) if (table["stage"] == stage).any()]
    found = {
        "model": model,
        "n": int(others["n"].sum()),
        "labels": len(labels),
        "file": f"confusion-{slug(model)}",
        "svg": None,
    }
    if len(labels) <= MAX_LABELS:
        found["svg"] = draw(
            results.store.folder,
            str(found["file"]),
            f"What others take the metamers of {model} for, by stage",
            partial(observer_figures.confusion_figure, table, labels, stages),
        )
    return found


def _idiosyncrasy(results: Results, answers: Answers) -> dict[str, Any] | None:
    """How much better models recognize their own metamers than other models do; None where none saw both."""
    try:
        table = idiosyncrasy(chain(*map(answers.of, results.stages)))
    except MetamersError:
        return None
    stages = {model: [s for s in names if (table["stage"] == s).any()] for model, names in results.stages.items()}
    stages = {model: names for model, names in stages.items() if names and (table["model"] == model).any()}
    return {
        "rows": table.to_dict("records"),
        "svg": draw(
            results.store.folder,
            "idiosyncrasy",
            "Recognition of models' own metamers minus that by other models, by stage",
            partial(observer_figures.idiosyncrasy_figure, table, stages),
        ),
    }


def _relation(results: Results, answers: Answers) -> dict[str, Any] | None:
    """People against other models over the model-stages; None without both."""
    parts = [human_model_points(part) for part in chain(*map(answers.of, results.stages))]
    points = with_depths(_joined(*parts), results.stages)
    if points.empty:
        return None
    figures = human_model_relation(points).to_dict("records")[0]
    return {
        "n": len(points),
        "figures": figures,
        "svg": draw(
            results.store.folder,
            "people-and-models",
            "Recognition by people against recognition by other models, a point for each model and stage",
            partial(relation_figure, points, points["depth"]),
        ),
    }
