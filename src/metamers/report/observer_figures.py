"""The figures of observers: recognition by stage, confusions, idiosyncrasy."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metamers.report.drawing import BLUE, INK, MUTED, ORANGE, SERIES, figure_of, look, printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_NAMED = 3
"""Other models with a curve of their own name; where there are more, all are thin and one name stands for them."""

_LOOKS = {
    "the model itself": {"color": INK, "marker": "o"},
    "other models": {"color": BLUE, "marker": "D"},
    "people": {"color": ORANGE, "marker": "s"},
}
_NAMED = ((SERIES[2], "^"), (SERIES[3], "v"), (SERIES[4], "P"))


def recognition_figure(
    curves: "pd.DataFrame",
    groups: "pd.DataFrame",
    floors: "pd.DataFrame",
    model: str,
    stages: Sequence[str],
) -> "Figure":
    """Proportion correct over `stages`, a curve per group of observers with its intervals, and chance.

    `curves` holds the rows of `recognition_by_stage` for this model and the natural stimuli, `groups` those of
    `bootstrap_recognition` with groups for observers, `floors` the same for the controls.
    """
    present = [group for group in _LOOKS if groups.loc[groups["observer"] == group, "n"].sum()]
    others = curves[(curves["observer"] != model) & (curves["observer_kind"] != "human")]
    names = list(dict.fromkeys(others["observer"]))
    figure = figure_of(max(4.6, 1.4 + 0.62 * len(stages)), 3.5 + 0.1 * min(len(names), MAX_NAMED))
    figure.set_layout_engine("constrained")  # the names of stages take any room
    axes = figure.subplots()
    if len(names) > 1:
        for i, name in enumerate(names):
            named = len(names) <= MAX_NAMED
            color, marker = _NAMED[i] if named else (BLUE, None)
            label = printable(name, 36) if named else f"each of {len(names)} other models" if i == 0 else None
            y = _over(others[others["observer"] == name], stages, "proportion")
            axes.plot(y, color=color, marker=marker, markersize=3.5, linewidth=0.9, alpha=0.75, label=label)
    for i, group in enumerate(present):
        label = {"the model itself": f"{printable(model, 28)} (itself)", "other models": _others(names)}.get(group)
        x = np.arange(len(stages), dtype=np.float64) + 0.07 * (i - (len(present) - 1) / 2)
        curve(axes, x, groups[groups["observer"] == group], stages, "proportion", label=label or group, **_LOOKS[group])
    _floors(axes, curves, floors[floors["observer"] == "other models"], stages)
    axes.set(ylim=(-0.03, 1.03), xlim=(-0.4, len(stages) - 0.6), ylabel="proportion recognized")
    ticks = [printable(stage, 20) for stage in stages]
    axes.set_xticks(range(len(stages)), ticks, rotation=35, ha="right", rotation_mode="anchor")
    axes.grid(axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure


def confusion_figure(table: "pd.DataFrame", labels: Sequence[str], stages: Sequence[str]) -> "Figure":
    """What is taken for what: a panel per stage, a row of panels per group of observers.

    `table` is that of `confusion`, with groups for observers. In each panel, a row is a stimulus's label and a column a
    response; the stronger the color, the larger the row's share.
    """
    from matplotlib.colors import to_rgb

    present = [group for group in _LOOKS if (table["observer"] == group).any()]
    side = min(2.6, max(1.3, 0.135 * len(labels)))
    figure = figure_of(1.2 + (side + 0.15) * len(stages), 1.1 + (side + 0.35) * len(present))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(len(present), len(stages), squeeze=False, sharex=True, sharey=True)
    for row, group in zip(grid, present, strict=True):
        for axes, stage in zip(row, stages, strict=True):
            shares = _shares(table[(table["observer"] == group) & (table["stage"] == stage)], labels)
            image = np.concatenate([np.broadcast_to(to_rgb(BLUE), (*shares.shape, 3)), shares[..., None]], axis=2)
            axes.imshow(image, interpolation="none", aspect="equal")
            axes.tick_params(length=0, labelsize=7)
            axes.spines[:].set_visible(True)
            axes.set_title(printable(stage, 22))
        row[0].set_ylabel(f"{group}\nshown")
    for axes in grid[-1]:
        axes.set_xticks(range(len(labels)), [printable(label, 12) for label in labels], rotation=90)
        axes.set_xlabel("named")
    grid[0][0].set_yticks(range(len(labels)), [printable(label, 12) for label in labels])
    return figure


def idiosyncrasy_figure(table: "pd.DataFrame", stages: Mapping[str, Sequence[str]]) -> "Figure":
    """Own minus other recognition over the places of the stages, a curve for each generating model of `stages`."""
    figure = figure_of(max(4.6, 1.6 + 0.6 * max(map(len, stages.values()))), 3.1 + 0.2 * -(-min(len(stages), 6) // 2))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for i, (model, names) in enumerate(stages.items()):
        rows = table[table["model"] == model]
        x = np.arange(1, len(names) + 1, dtype=np.float64) + 0.05 * (i - (len(stages) - 1) / 2) / max(
            1, len(stages) / 6
        )
        curve(axes, x, rows, names, "idiosyncrasy", label=printable(model, 36), **look(i))
    axes.axhline(0, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    axes.set(xlabel="stage of the model, in order", ylabel="own minus other models' recognition")
    axes.set_xticks(range(1, max(map(len, stages.values())) + 1))
    axes.grid(axis="y")
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure


def chance_levels(table: "pd.DataFrame") -> list[tuple[float, str]]:
    """The levels in the column `chance` of rows of observers, from the lowest, and whose each is; of a single one, it
    is not said."""
    known = table.dropna(subset=["chance"])
    kinds = known["observer_kind"].map({"human": "people", "model": "models"}).fillna(known["observer"])
    # By kind, where that tells the levels apart.
    names = kinds if known.groupby(kinds)["chance"].nunique().le(1).all() else known["observer"]
    whose = {float(level): list(dict.fromkeys(of)) for level, of in names.groupby(known["chance"])}
    if len(whose) == 1:
        return [(level, "") for level in whose]
    return [(level, ", ".join(of)) for level, of in sorted(whose.items())]


def curve(
    axes: "Axes", x: NDArray[np.float64], rows: "pd.DataFrame", stages: Sequence[str], value: str, **style: Any
) -> None:
    """The column `value` of `rows` over `stages`, with intervals (`ci_low`, `ci_high`)."""
    low, high = (_over(rows, stages, end) for end in ("ci_low", "ci_high"))
    axes.vlines(x, low, high, color=style["color"], linewidth=1, alpha=0.55)
    axes.plot(x, _over(rows, stages, value), markersize=4.5, linewidth=2, **style)


def _over(rows: "pd.DataFrame", stages: Sequence[str], column: str) -> NDArray[np.float64]:
    return rows.set_index("stage")[column].reindex(list(stages)).to_numpy(dtype=float)


def _others(names: Sequence[str]) -> str:
    return printable(names[0], 36) if len(names) == 1 else f"{len(names)} other models together"


def _floors(axes: "Axes", curves: "pd.DataFrame", floors: "pd.DataFrame", stages: Sequence[str]) -> None:
    """Chance, and how other models name metamers of the untrained model and the noise that searches start from."""
    untrained, start = floors[floors["model"] != ""], floors.loc[floors["stage"] == "start", "proportion"]
    if len(untrained):
        y = _over(untrained, stages, "proportion")
        axes.plot(y, "x--", color=MUTED, markersize=4, linewidth=1.2, label="untrained net's, by others")
    if len(start):
        level = float(start.iloc[0])
        axes.axhline(level, color=BLUE, linewidth=1, linestyle=(0, (6, 2)), label="start noise, by others")
    for i, (level, whose) in enumerate(chance_levels(curves)):
        label = f"chance of {printable(whose, 30)}" if whose else "chance"
        axes.axhline(level, color=MUTED, linewidth=1, linestyle=(0, (2, 2 + 2 * i)), label=label)


def _shares(rows: "pd.DataFrame", labels: Sequence[str]) -> NDArray[np.float64]:
    """Each label's responses as shares of one: [label, response]; rows of zeros for labels that were not shown."""
    places = {label: i for i, label in enumerate(labels)}
    shares = np.zeros((len(labels), len(labels)))
    shares[rows["label"].map(places), rows["response"].map(places)] = rows["proportion"]
    return shares
