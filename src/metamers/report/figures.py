"""Two figures of a generating model: null distributions and convergence."""

from collections.abc import Collection, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from metamers.report.cells import MEASURES, Cells
from metamers.report.drawing import BLUE, GRID, INK, MUTED, ORANGE, figure_of, panels, printable
from metamers.report.traces import Trace

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAMES = {"pearson_r": "Pearson r", "spearman_rho": "Spearman rho", "snr_db": "SNR (dB, 10 log10 of norms)"}


def null_figure(nulls: Mapping[str, dict[str, Any] | None], cells: Mapping[str, Cells]) -> "Figure":
    """Per stage and measure: the null distribution's histogram, its maximum, and the metamers' values as ticks.

    `nulls` and `cells` go by stage; a stage without a null shows the metamers alone.
    """
    figure = figure_of(7.4, 1.05 + 1.05 * len(cells))
    grid = panels(figure, len(cells), len(MEASURES), left=0.1, gap=0.25, sharex="col")
    for row, (stage, members) in enumerate(cells.items()):
        for column, measure in enumerate(MEASURES):
            null = nulls.get(stage)
            _null_panel(grid[row][column], null["measures"][measure] if null else None, members, measure)
        grid[row][0].set_title(printable(stage, 32))
    for column, measure in enumerate(MEASURES):  # named at both ends, as the figure may be long
        grid[0][column].set_title(NAMES[measure], loc="right")
        grid[-1][column].set_xlabel(NAMES[measure])
    _null_legend(figure)
    return figure


def trace_figure(traces: Mapping[str, Sequence[Trace]], maxima: Mapping[str, Collection[float]]) -> "Figure":
    """SNR over steps, a panel per stage (the keys of both) and a line per stimulus, with the null's maximum."""
    columns = min(3, len(traces))
    rows = -(-len(traces) // columns)
    figure = figure_of(0.6 + 2.3 * columns if columns > 1 else 3.9, 1.05 + 1.75 * rows)
    grid = panels(figure, rows, columns, left=0.6, gap=0.5, sharey=True)
    for axes, (stage, members) in zip(chain(*grid), traces.items(), strict=False):
        _trace_panel(axes, members, maxima[stage])
        axes.set_title(printable(stage, 32))
    for axes in list(chain(*grid))[len(traces) :]:
        axes.remove()
    for row in grid:
        row[0].set_ylabel("SNR (dB)")
    for axes in figure.axes[-columns:]:
        axes.set_xlabel("step")
    _trace_legend(figure)
    return figure


def _null_panel(axes: "Axes", null: dict[str, Any] | None, cells: Cells, measure: str) -> None:
    if null:
        edges = np.asarray(null["histogram"]["edges"], dtype=float)
        if measure != "snr_db":  # bins around a single value, 1, go beyond what a correlation can be
            edges = edges.clip(-1, 1)
        counts = np.asarray(null["histogram"]["counts"], dtype=float)
        # Only the tail decides, and only a logarithm shows it; the bands above are kept for the ticks.
        height = 0.62 * np.log1p(counts) / max(float(np.log1p(counts).max()), 1e-9)
        axes.stairs(height, edges, fill=True, color=MUTED, alpha=0.45, linewidth=0)
        axes.plot([null["max"]] * 2, [0, 1], color=INK, linewidth=1, linestyle=(0, (3, 2)))
    for passed, low, color in ((True, 0.84, BLUE), (False, 0.68, ORANGE)):
        values = (
            x for verdict, x in cells.values("verdict", measure) if (verdict == "passed") == passed and x is not None
        )
        _ticks(axes, np.fromiter(values, float), low, color)
    axes.set(ylim=(0, 1), yticks=[])
    axes.spines["left"].set_visible(False)
    axes.grid(axis="x")
    axes.margins(x=0.03)
    axes.locator_params(axis="x", nbins=5)


def _ticks(axes: "Axes", values: NDArray[np.float64], low: float, color: str) -> None:
    values = values[np.isfinite(values)]
    if not len(values):
        return
    # Ticks that would fall on one another are drawn once, which bounds the size of a figure of many cells.
    step = max(float(np.ptp(values)) / 150, 1e-9)
    kept = values[np.unique((values / step).round(), return_index=True)[1]]
    x = np.repeat(kept, 3)
    y = np.tile([low, low + 0.13, np.nan], len(kept))
    axes.plot(x, y, color=color, linewidth=1.1)


def _null_legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    handles = [
        Patch(color=MUTED, alpha=0.45, linewidth=0, label="pairs of unrelated stimuli (log count)"),
        Line2D([], [], color=INK, linewidth=1, linestyle=(0, (3, 2)), label="their maximum"),
        Line2D([], [], color=BLUE, marker="|", markersize=8, linestyle="", label="passed (upper ticks)"),
        Line2D([], [], color=ORANGE, marker="|", markersize=8, linestyle="", label="did not pass (lower)"),
    ]
    figure.legend(handles=handles, loc="upper left", ncols=4, columnspacing=1.2, handletextpad=0.5)


def _trace_panel(axes: "Axes", traces: Sequence[Trace], maxima: Collection[float]) -> None:
    for trace in traces:
        axes.plot(
            trace.step,
            trace.snr_db.round(3),
            color=BLUE if trace.passed else ORANGE,
            linewidth=0.9 if trace.passed else 1.2,
            linestyle="-" if trace.passed else (0, (4, 1.5)),
            alpha=0.7,
        )
    for maximum in maxima:
        axes.axhline(maximum, color=INK, linewidth=1, linestyle=(0, (1, 2)))
    if not traces:
        axes.text(0.5, 0.5, "no trace stored", ha="center", va="center", color=MUTED, transform=axes.transAxes)
    axes.grid(color=GRID)
    axes.locator_params(axis="x", nbins=4)


def _trace_legend(figure: "Figure") -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], color=BLUE, linewidth=1.1, label="passed"),
        Line2D([], [], color=ORANGE, linewidth=1.2, linestyle=(0, (4, 1.5)), label="did not pass"),
        Line2D([], [], color=INK, linewidth=1, linestyle=(0, (1, 2)), label="null's maximum"),
    ]
    figure.legend(handles=handles, loc="upper left", ncols=3, columnspacing=1.4)
