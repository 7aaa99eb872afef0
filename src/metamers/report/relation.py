"""The figure of people against other models."""

from typing import TYPE_CHECKING

import numpy as np

from metamers.report.drawing import MUTED, SERIES, figure_of, panels

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

DEPTHS = ("early third of the stages", "middle third", "late third")
_MARKERS = "o^s"


def relation_figure(points: "pd.DataFrame", depths: "pd.Series[float]") -> "Figure":
    """Human recognition against the mean of the other models', a point per model-stage; `depths` (0 to 1) by point."""
    figure = figure_of(4.4, 4.2)
    axes = panels(figure, 1, 1, left=0.6, gap=0)[0][0]
    third = np.minimum((depths.to_numpy(float) * 3).astype(int), 2)
    axes.plot([0, 1], [0, 1], color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
    for i, name in enumerate(DEPTHS):
        chosen = points[third == i]
        axes.plot(
            *(chosen["human"], chosen["other_models"], _MARKERS[i]),
            color=SERIES[i],
            markersize=4.5,
            alpha=0.75,
            markeredgewidth=0,
            label=name,
        )
    axes.set(xlim=(-0.03, 1.03), ylim=(-0.03, 1.03), xlabel="recognized by people", ylabel="recognized by other models")
    axes.grid()
    figure.legend(*axes.get_legend_handles_labels(), loc="upper left", ncols=3, columnspacing=1, handletextpad=0.2)
    return figure
