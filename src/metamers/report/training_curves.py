"""The picture of a training."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from metamers.report.drawing import BLUE, MUTED, ORANGE, SERIES, draw, figure_of

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CURVES = (
    ("train_accuracy", "on what is trained on", {"color": MUTED, "linestyle": (0, (3, 2))}),
    ("accuracy", "validation", {"color": BLUE}),
    ("robust_accuracy", "validation, under attack", {"color": ORANGE}),
)


def write_training_curves(history: Sequence[Mapping[str, Any]], out: Path) -> None:
    """Draw the loss and the accuracies over epochs (a row of `history` each) to `out`/figures/curves.svg and .pdf.

    Raises MetamersError when the disk is full or cannot be written to.
    """
    draw(out, "curves", "Loss and accuracy over the epochs of a training", partial(training_figure, history))


def training_figure(history: Sequence[Mapping[str, Any]]) -> "Figure":
    """The loss, and below it the accuracies, over epochs."""
    figure = figure_of(5.2, 4.2)
    figure.set_layout_engine("constrained")
    upper, lower = figure.subplots(2, 1, sharex=True)
    epochs = [row["epoch"] for row in history]
    upper.plot(epochs, [row["loss"] for row in history], marker="o", markersize=3.5, color=SERIES[2])
    upper.set(ylabel="loss of training", ylim=(0, None))
    for key, label, look in _CURVES:
        if any(key in row for row in history):
            lower.plot(epochs, [row.get(key) for row in history], marker="o", markersize=3.5, label=label, **look)
    lower.set(ylabel="proportion right", ylim=(-0.03, 1.03), xlabel="epoch", xlim=(0.5, epochs[-1] + 0.5))
    lower.xaxis.get_major_locator().set_params(integer=True)
    for axes in (upper, lower):
        axes.grid(axis="y")
    figure.legend(*lower.get_legend_handles_labels(), loc="outside upper left", ncols=3, columnspacing=1.4)
    return figure
