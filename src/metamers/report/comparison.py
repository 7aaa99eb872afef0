"""Generating models beside each other: whose metamers others recognize, and whether those resist attacks."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from metamers.analysis import bootstrap_recognition, figure_of_merit, robustness_relation
from metamers.errors import MetamersError
from metamers.report.drawing import MUTED, SERIES, draw, figure_of, printable
from metamers.report.observer_figures import curve
from metamers.report.results import NATURAL, Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MARKERS = "oDs^vP"


def comparison(results: Results, kept: "pd.DataFrame", chances: Mapping[str, float]) -> dict[str, Any] | None:
    """Recognition by other models over the stages of each generating model; None for fewer than two of them."""
    others = kept[(kept["observer_kind"] == "model") & (kept["observer"] != kept["model"].fillna(""))]
    models = [model for model in results.stages if (others["model"] == model).any()]
    if len(models) < 2:
        return None
    tables = {model: _by_others(others, model) for model in models}
    orders = {
        model: [s for s in (NATURAL, *results.stages[model]) if s in set(tables[model]["stage"])] for model in models
    }
    ends = {model: tables[model].set_index("stage")["proportion"][orders[model][-1]] for model in models}
    return {
        "rows": [row | {"model": model} for model in models for row in tables[model].to_dict("records")],
        "most": max(models, key=lambda model: ends[model]),
        "least": min(models, key=lambda model: ends[model]),
        "ends": ends,
        "svg": draw(
            results.store.folder,
            "comparison",
            "Recognition by other models over the stages of each generating model",
            partial(comparison_figure, tables, orders, sorted(set(chances.values()))),
        ),
    }


def _by_others(others: "pd.DataFrame", model: str) -> "pd.DataFrame":
    own = others[(others["model"] == model) | ((others["stage"] == NATURAL) & (others["observer"] != model))]
    own = own[own["observer"].isin(own.loc[own["model"] == model, "observer"])]
    return bootstrap_recognition(own.assign(participant=own["observer"], observer="others"), chance=float("nan"))


def comparison_figure(
    tables: Mapping[str, "pd.DataFrame"], orders: Mapping[str, Sequence[str]], chances: Sequence[float]
) -> "Figure":
    """A curve for each generating model: the rows of `bootstrap_recognition` over its stages in order, the last stages
    aligned where the models' stages are of the same names."""
    same = len({tuple(order) for order in orders.values()}) == 1
    longest = max(map(len, orders.values()))
    figure = figure_of(max(5.2, 1.6 + 0.62 * longest), 3.5 + 0.12 * len(tables))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for i, (model, table) in enumerate(tables.items()):
        x = np.arange(len(orders[model]), dtype=np.float64) + 0.05 * (i - (len(tables) - 1) / 2)
        look = {"color": SERIES[i % len(SERIES)], "marker": MARKERS[i // len(SERIES) % 6]}
        curve(axes, x, table, orders[model], "proportion", label=printable(model, 36), **look)
    for level in chances:
        axes.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    axes.set(ylim=(-0.03, 1.03), xlim=(-0.4, longest - 0.6), ylabel="proportion recognized by other models")
    names = next(iter(orders.values())) if same else ["natural", *map(str, range(1, longest))]
    axes.set_xticks(range(longest), [printable(name, 20) for name in names], rotation=35 if same else 0)
    if not same:
        axes.set_xlabel("stage of the model, in order")
    axes.grid(axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure


def dissociation(results: Results, kept: "pd.DataFrame", chances: Mapping[str, float]) -> dict[str, Any] | None:
    """Recognizability against robustness over models; None where the run has no robustness, or no figure of merit."""
    if results.robustness.empty:
        return None
    try:
        merits = figure_of_merit(kept, stages=results.stages, chance=chances, observer_kind="model")
    except MetamersError:
        return None
    merits = merits[merits["note"] == ""].rename(columns={"merit": "recognizability"})
    known = results.robustness[results.robustness["model"].isin(merits["model"])]
    if known.empty:
        return None
    points, relation = robustness_relation(merits, known)
    points = points.merge(merits[["model", "ci_low", "ci_high"]], on="model")
    return {
        "points": points.to_dict("records"),
        "relations": relation.to_dict("records"),
        "svg": draw(
            results.store.folder,
            "dissociation",
            "Recognizability of metamers against adversarial robustness, a point for each model",
            partial(dissociation_figure, points),
        ),
    }


def dissociation_figure(points: "pd.DataFrame") -> "Figure":
    """A panel for each attack, a point for each model with the 95 % interval of its recognizability."""
    attacks, models = list(dict.fromkeys(points["attack"])), list(dict.fromkeys(points["model"]))
    figure = figure_of(0.9 + 3.4 * len(attacks), 3.4 + 0.12 * len(models))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(1, len(attacks), squeeze=False, sharex=True, sharey=True)[0]
    for axes, attack in zip(grid, attacks, strict=True):
        for row in points[points["attack"] == attack].itertuples():
            i = models.index(row.model)
            color = SERIES[i % len(SERIES)]
            axes.vlines(row.robustness, row.ci_low, row.ci_high, color=color, linewidth=1, alpha=0.55)
            marker = MARKERS[i // len(SERIES) % 6]
            axes.plot(row.robustness, row.recognizability, marker, color=color, label=printable(row.model, 36))
        axes.set(
            title=printable(attack or "accuracy under attack", 40), xlim=(-0.03, 1.03), xlabel="accuracy under attack"
        )
        axes.grid()
    grid[0].set_ylabel("recognizability of metamers")
    figure.legend(*grid[0].get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure
