"""Whose metamers others recognize against what resists attacks, over models."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from metamers.analysis import figure_of_merit, robustness_relation
from metamers.errors import MetamersError
from metamers.report.answers import Answers
from metamers.report.drawing import draw, figure_of, look, printable
from metamers.report.results import Results

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.figure import Figure

MAX_PANELS = 3
"""Where there are more attacks, one of each norm is drawn."""


def dissociation(results: Results, answers: Answers, chances: Mapping[str, float]) -> dict[str, Any] | None:
    """Recognizability against robustness over models; None where the run has no robustness, or no figure of merit."""
    known = _attacks(results.robustness)
    if known.empty:
        return None
    try:
        merits = _merits(results, answers, chances)
        points, relation = robustness_relation(merits, known)
    except MetamersError:
        return None
    points = points.merge(merits[["model", "ci_low", "ci_high"]], on="model")
    drawn = _drawn(points, known.drop_duplicates("attack").set_index("attack")["norm"].to_dict())
    return {
        "points": points.to_dict("records"),
        "relations": relation[relation["attack"].isin(drawn)].to_dict("records"),
        "n_attacks": points["attack"].nunique(),
        "svg": draw(
            results.store.folder,
            "dissociation",
            "Recognizability of metamers against adversarial robustness, a point for each model",
            partial(dissociation_figure, points, drawn, list(results.stages)),
        ),
    }


def _merits(results: Results, answers: Answers, chances: Mapping[str, float]) -> "pd.DataFrame":
    """The figure of merit of each model that has one. Raises MetamersError where none has."""
    import pandas as pd

    found = []
    for model in results.stages:
        own = pd.concat(answers.with_natural(model))
        with suppress(MetamersError):  # of a model whose metamers nobody else saw
            found.append(figure_of_merit(own, stages=results.stages, chance=chances, observer_kind="model"))
    if not found:
        raise MetamersError("no other model saw both metamers and natural stimuli")
    merits = pd.concat(found)
    return merits[merits["note"] == ""].rename(columns={"merit": "recognizability"})


def _attacks(robustness: "pd.DataFrame") -> "pd.DataFrame":
    """The accuracies that are known, one for each model and attack; attacks of one name and several eps are told apart
    by their names."""
    table = robustness.dropna(subset=["robustness"]).fillna({"attack": "", "norm": ""})
    keys = ["attack", "norm"]
    table = table.drop_duplicates(["model", *keys, "eps"], keep="last")  # attacked anew: the later counts
    several = table.groupby(keys)["eps"].transform("nunique") > 1
    names = [
        ", ".join([attack or norm, *([norm] if norm not in attack else []), *([f"eps {eps:.6g}"] if more else [])])
        for attack, norm, eps, more in zip(table["attack"], table["norm"], table["eps"], several, strict=True)
    ]
    return table.assign(attack=names)


def _drawn(points: "pd.DataFrame", norms: Mapping[Any, str]) -> list[str]:
    """All attacks or, where they are many, of each norm that by which the models differ most."""
    spread = points.groupby("attack", sort=False)["robustness"].std(ddof=0)
    if len(spread) <= MAX_PANELS:
        return list(spread.index)
    of_norm = spread.index.map(norms)
    return [str(spread[of_norm == norm].idxmax()) for norm in dict.fromkeys(of_norm)]


def dissociation_figure(points: "pd.DataFrame", attacks: Sequence[str], order: Sequence[str]) -> "Figure":
    """A panel for each attack, a point for each model with the 95 % interval of its recognizability. Models look as
    their places in `order` say: as in the other figures."""
    drawn = set(points.loc[points["attack"].isin(attacks), "model"])
    models = [model for model in order if model in drawn]
    figure = figure_of(0.9 + 3.4 * len(attacks), 3.4 + 0.12 * len(models))
    figure.set_layout_engine("constrained")
    grid = figure.subplots(1, len(attacks), squeeze=False, sharex=True, sharey=True)[0]
    entries = {}
    for axes, attack in zip(grid, attacks, strict=True):
        for row in points[points["attack"] == attack].itertuples():
            style = look(order.index(row.model))
            axes.vlines(row.robustness, row.ci_low, row.ci_high, color=style["color"], linewidth=1, alpha=0.55)
            (point,) = axes.plot(row.robustness, row.recognizability, linestyle="none", **style)
            entries[row.model] = point
        axes.set(
            title=printable(attack or "accuracy under attack", 40), xlim=(-0.03, 1.03), xlabel="accuracy under attack"
        )
        axes.grid()
    grid[0].set_ylabel("recognizability of metamers")
    handles, labels = [entries[model] for model in models], [printable(model, 36) for model in models]
    figure.legend(handles, labels, loc="outside upper left", ncols=2, columnspacing=1.4)
    return figure
