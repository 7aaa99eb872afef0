"""The figure of robustness curves."""

from typing import TYPE_CHECKING

from metamers.analysis.robustness import eps_text
from metamers.report.drawing import figure_of, look, printable

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

NAMES = {"l2": "Euclidean norm, L2", "linf": "greatest change of a value, Linf", "l1": "sum of absolute changes, L1"}
WIDE = 40
"""Where the largest eps is this many times the smallest, the scale is logarithmic above the smallest."""


def robustness_figure(table: "pd.DataFrame") -> "Figure":
    """Accuracy over the size of the attack, a curve with its intervals for each model.

    `table` holds the rows of `robustness_table`, all of one norm.
    """
    norm, models = str(table["norm"].iloc[0]), list(dict.fromkeys(table["model"]))
    figure = figure_of(5.2, 3.3 + 0.12 * len(models))
    figure.set_layout_engine("constrained")
    axes = figure.subplots()
    for i, model in enumerate(models):
        rows = table[table["model"] == model]
        axes.vlines(rows["eps"], rows["ci_low"], rows["ci_high"], color=look(i)["color"], linewidth=1, alpha=0.55)
        line = axes.plot(rows["eps"], rows["robustness"], markersize=4.5, linewidth=2, **look(i))
        line[0].set_label(printable(model, 36))
    sizes = sorted(set(table["eps"]))
    above = [size for size in sizes if size > 0]
    if above and above[-1] >= WIDE * above[0]:
        axes.set_xscale("symlog", linthresh=above[0], linscale=0.5)
        axes.minorticks_off()
    if len(sizes) <= 10:
        axes.set_xticks(sizes, [eps_text(norm, size) for size in sizes], rotation=45 if len(sizes) > 6 else 0)
    axes.set(ylim=(-0.03, 1.03), ylabel="accuracy under attack", xlabel=f"eps ({NAMES[norm]})")
    axes.grid()
    figure.legend(*axes.get_legend_handles_labels(), loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure
