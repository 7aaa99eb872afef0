"""Generating models beside each other: whose metamers others recognize."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from metamers.analysis import bootstrap_recognition
from metamers.report.answers import Answers
from metamers.report.drawing import MUTED, draw, figure_of, look, printable
from metamers.report.observer_figures import curve
from metamers.report.results import NATURAL, Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure


def comparison(results: Results, answers: Answers, chances: Mapping[str, float]) -> dict[str, Any] | None:
    """Recognition by other models over the stages of each generating model; None for fewer than two of them.

    `ends` holds the proportion at the last stage of the models that have one there, `most` and `least` name the two
    that differ most.
    """
    counts = answers.counts()
    others = counts[(counts["observer_kind"] == "model") & (counts["n"] > 0) & (counts["observer"] != counts["model"])]
    models = [model for model in results.stages if (others["model"] == model).any()]
    if len(models) < 2:
        return None
    tables = {model: _by_others(answers, model, others.loc[others["model"] == model, "observer"]) for model in models}
    has_natural = any((table["stage"] == NATURAL).any() for table in tables.values())
    orders = {model: [*([NATURAL] if has_natural else []), *results.stages[model]] for model in models}
    ends = _ends(results, tables)
    drawn = set(others.loc[others["model"].isin(models), "observer"])
    levels = sorted({level for name, level in chances.items() if name in drawn and level == level})
    return {
        "rows": [row | {"model": model} for model in models for row in tables[model].to_dict("records")],
        "models": models,
        "ends": ends,
        "most": max(ends, key=lambda model: ends[model], default=None),
        "least": min(ends, key=lambda model: ends[model], default=None),
        "svg": draw(
            results.store.folder,
            "comparison",
            "Recognition by other models over the stages of each generating model",
            partial(comparison_figure, tables, orders, levels),
        ),
    }


def _by_others(answers: Answers, model: str, others: "pd.Series[str]") -> "pd.DataFrame":
    import pandas as pd

    parts = (part[part["observer"].isin(others)] for part in answers.with_natural(model))
    parts = (part.assign(participant=part["observer"], observer="others") for part in parts)
    return pd.concat([bootstrap_recognition(part, chance=float("nan")) for part in parts if (part["n"] > 0).any()])


def _ends(results: Results, tables: Mapping[str, "pd.DataFrame"]) -> dict[str, float]:
    """The proportion at each model's last stage, of those whose metamers of that stage were made and scored."""
    studied = {entry.get("name"): entry.get("stages") for entry in results.study.get("models") or []}
    ends = {}
    for model, table in tables.items():
        last = (studied.get(model) or results.stages[model])[-1]
        at_last = table.loc[table["stage"] == last, "proportion"]
        if len(at_last):
            ends[model] = float(at_last.iloc[0])
    return ends


def comparison_figure(
    tables: Mapping[str, "pd.DataFrame"], orders: Mapping[str, Sequence[str]], chances: Sequence[float]
) -> "Figure":
    """A curve for each generating model: the rows of `bootstrap_recognition` over its stages in order, with gaps where
    there are none. The natural stimuli come first, for all models or for none."""
    same = len({tuple(order) for order in orders.values()}) == 1
    longest = max(map(len, orders.values()))
    figure = figure_of(max(5.2, 1.6 + 0.62 * longest), 3.5 + 0.12 * len(tables))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for i, (model, table) in enumerate(tables.items()):
        x = np.arange(len(orders[model]), dtype=np.float64) + 0.05 * (i - (len(tables) - 1) / 2)
        curve(axes, x, table, orders[model], "proportion", label=printable(model, 36), **look(i))
    for level in chances:
        axes.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    axes.set(ylim=(-0.03, 1.03), xlim=(-0.4, longest - 0.6), ylabel="proportion recognized by other models")
    first = next(iter(orders.values()))
    first_stage = int(NATURAL in first[:1])
    names = first if same else [*first[:first_stage], *map(str, range(1, longest - first_stage + 1))]
    axes.set_xticks(range(longest), [printable(name, 20) for name in names], rotation=35 if same else 0)
    if not same:
        axes.set_xlabel("stage of the model, in order")
    axes.grid(axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure
