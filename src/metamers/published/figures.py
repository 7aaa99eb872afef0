"""The figures of a replication."""

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from metamers.published.feather2023 import BRAIN_REGIONS, CHANCE
from metamers.report.drawing import BLUE, INK, MUTED, ORANGE, figure_of, panels, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS = 3
MATRIX_DEPTHS = ("first stage", "middle stage", "last stage")


def short_stage(name: str) -> str:
    """A stage's published name without what most of them share.

    >>> short_stage("layer1_fake_relu"), short_stage("natural_image")
    ('layer1', 'natural')
    """
    for ending in ("_fake_relu", "_fakerelu"):
        name = name.removesuffix(ending)
    return "natural" if name.startswith("natural_") else name


def wrapped(name: str, width: int) -> str:
    """A long name on two lines, broken after an underscore.

    >>> wrapped("cochresnet50_linf_p002_robust_waveform", 34)
    'cochresnet50_linf_p002_robust_\\nwaveform'
    """
    name = printable(name, 2 * width - 10)
    cut = name.rfind("_", 0, width) + 1
    return name if len(name) <= width or not cut else f"{name[:cut]}\n{name[cut:]}"


def experiment_figure(means: pd.DataFrame) -> "Figure":
    """Recognition by stage of one experiment: a panel for each generating model, people and the model, with their SEM.

    `means` holds the experiment's rows of `stage_means`.
    """
    models = list(dict.fromkeys(means["model"]))
    columns = min(COLUMNS, len(models))
    rows = -(-len(models) // columns)
    figure = figure_of(0.7 + 2.75 * columns if columns > 1 else 4.2, 1.05 + 2.5 * rows)
    grid = panels(figure, rows, columns, left=0.6, gap=1.15, sharey=True)
    figure.subplots_adjust(bottom=0.85 / figure.get_size_inches()[1])
    axes = [axes for row in grid for axes in row]
    for place, model in zip(axes, models, strict=False):
        _stage_panel(place, means[means["model"] == model])
        place.set_title(wrapped(model, 34), fontsize=8)
    for place in axes[len(models) :]:
        place.remove()
    for row in grid:
        row[0].set_ylabel("proportion correct")
    figure.legend(*axes[0].get_legend_handles_labels(), loc="upper left", ncols=3, columnspacing=1.4)
    return figure


def _stage_panel(axes: "Axes", means: pd.DataFrame) -> None:
    x = np.arange(len(means))
    for condition, name, color, marker in (("human", "people", ORANGE, "o"), ("network", "the model itself", INK, "s")):
        y, sem = means[f"{condition}_mean"].to_numpy(float), means[f"{condition}_sem_ddof0"].to_numpy(float)
        axes.vlines(x, y - sem, y + sem, color=color, linewidth=1.2)
        axes.plot(x, y, color=color, marker=marker, markersize=3.5, linewidth=1.6, label=name)
    axes.axhline(
        CHANCE[str(means["modality"].iloc[0])], color=MUTED, linewidth=1, linestyle=(0, (2, 2)), label="chance"
    )
    axes.set(ylim=(-0.03, 1.03), xlim=(-0.4, len(x) - 0.6))
    names = [printable(short_stage(name), 16) for name in means["stage"]]
    axes.set_xticks(x, names, rotation=40, ha="right", rotation_mode="anchor", fontsize=7.5)
    axes.grid(axis="y")


def matrix_figure(accuracy: pd.DataFrame) -> "Figure":
    """Accuracy of every observing model on every model's metamers, at the first, the middle and the last stage.

    `accuracy` has one modality's rows of model_model_accuracy*.csv.
    """
    generating = list(dict.fromkeys(accuracy["generating_model"]))
    observing = list(dict.fromkeys([*generating, *accuracy["observing_model"]]))
    names, size = 2.35, 0.155
    width, height = size * len(generating), size * len(observing)
    figure = figure_of(names + 3 * (width + 0.15) + 0.1, height + names + 0.75)
    total_width, total_height = figure.get_size_inches()
    image = None
    for i, depth in enumerate((0.0, 0.5, 1.0)):
        place = (names + i * (width + 0.15)) / total_width, names / total_height
        axes = figure.add_axes((*place, width / total_width, height / total_height))
        image = axes.imshow(
            *(_matrix(accuracy, generating, observing, depth),), vmin=0, vmax=1, cmap="cividis", interpolation="none"
        )
        axes.set_title(MATRIX_DEPTHS[i])
        axes.tick_params(length=0)
        axes.set_xticks(range(len(generating)), [printable(n, 44) for n in generating], rotation=90, fontsize=6)
        axes.set_yticks(range(len(observing)), [printable(n, 44) for n in observing] if i == 0 else [], fontsize=6)
    figure.text(
        0.1 / total_width,
        (names - 0.25) / total_height,
        "rows: observing model\ncolumns: generating model",
        va="top",
        fontsize=8,
    )
    bar = figure.add_axes((names / total_width, 1 - 0.2 / total_height, 1.6 / total_width, 0.11 / total_height))
    assert image is not None
    figure.colorbar(image, cax=bar, orientation="horizontal").ax.tick_params(labelsize=7, length=2)
    figure.text((names + 1.75) / total_width, 1 - 0.2 / total_height, "proportion correct", fontsize=8)
    return figure


def _matrix(
    accuracy: pd.DataFrame, generating: list[str], observing: list[str], depth: float
) -> "np.ndarray[tuple[int, int]]":
    last = accuracy.groupby("generating_model")["stage_index"].transform("max")
    chosen = accuracy[accuracy["stage_index"] == (last * depth).round()]
    table = chosen.pivot_table(index="observing_model", columns="generating_model", values="accuracy")
    return table.reindex(index=observing, columns=generating).to_numpy(dtype=float)


def brain_figure(points: pd.DataFrame) -> "Figure":
    """Brain-Score against human recognition at each model's best stage for that region."""
    figure = figure_of(8.4, 2.9)
    grid = panels(figure, 1, len(BRAIN_REGIONS), left=0.6, gap=0, sharey=True)[0]
    for axes, region in zip(grid, BRAIN_REGIONS, strict=True):
        chosen = points[points["region"] == region]
        axes.plot(chosen["score"], chosen["human"], "o", color=BLUE, markersize=4.5, alpha=0.75, markeredgewidth=0)
        axes.set(title=region, xlabel="Brain-Score", ylim=(-0.03, 1.03))
        axes.margins(x=0.08)
        axes.locator_params(axis="x", nbins=4)
        axes.grid()
    grid[0].set_ylabel("recognized by people")
    return figure
