"""The page of a replication."""

from functools import partial
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from metamers.errors import MetamersError
from metamers.published import feather2023
from metamers.published.anova_rows import FINE_TIMES, TOLERANCE, disagreements
from metamers.published.csv_files import FIGURES
from metamers.published.replication import Replication

if TYPE_CHECKING:
    from collections.abc import Callable

    import pandas as pd
    from matplotlib.figure import Figure

SHOWN = ("SumSq", "DF", "F", "pValue", "pValueGG", "pValueHF", "pValueLB", "partial_eta_sq", "permutation_p")
TITLES = ("SS", "df", "F", "p", "p (GG)", "p (HF)", "p (LB)", "partial η²", "permutation p")


def write_page(replication: Replication, out: Path) -> Path:
    """Write `out`/report.html and its figures, `out`/figures/*.svg; the page needs no network.

    Raises MetamersError when `out` cannot be written to.
    """
    from metamers.report.templating import environment, style_sheet
    from metamers.store import write_whole

    pages = environment("metamers.published")
    pages.filters |= {"figure": show, "short": _short}
    wrong = disagreements(replication.anova)
    html = pages.get_template("replication.html").render(
        css=style_sheet(),
        replication=replication,
        settings=feather2023,
        tolerance=TOLERANCE,
        fine_times=FINE_TIMES,
        largest=max((row["relative_difference"] for row in replication.anova), default=None),
        tested=[row for row in replication.anova if row["permutation"]],
        wrong=wrong,
        experiments=_experiments(replication, out),
        matrices=_matrices(replication, out),
        relations=_relations(replication, out),
        brain=_brain(replication, out),
        anova=_anova(replication),
        shown=list(zip(SHOWN, TITLES, strict=True)),
        figures=FIGURES,
    )
    write_whole(out / "report.html", html.encode())
    return out / "report.html"


def require_free(out: Path) -> None:
    """Raises MetamersError where `out` holds something that is no replication."""
    if out.is_file() or (out.is_dir() and any(out.iterdir()) and not (out / "figures").is_dir()):
        raise MetamersError(f"--out {out}: exists and holds something else; choose a new or empty folder")


def show(value: float | None) -> str:
    """A number with the five significant digits of the published tables.

    >>> show(229.0598), show(0.0001)
    ('229.06', '0.0001')
    """
    return "\N{EN DASH}" if value is None or not isfinite(value) else f"{value:.5g}".replace("-", "\N{MINUS SIGN}")


def _short(value: float | None) -> str:
    return "\N{EN DASH}" if value is None or not isfinite(value) else f"{value:.3f}".replace("-", "\N{MINUS SIGN}")


def _experiments(replication: Replication, out: Path) -> list[dict[str, Any]]:
    from metamers.published.figures import experiment_figure, short_stage

    means = replication.stage_means
    shown = []
    for name in _ordered(means["experiment"]):
        chosen = means[means["experiment"] == name]
        paper = _paper_name(name)
        svg = _draw(
            *(out, name, f"Recognition by stage in {paper}, people and models"), partial(experiment_figure, chosen)
        )
        rows = [row | {"stage": short_stage(row["stage"])} for row in chosen.to_dict("records")]
        n = int(chosen["n_participants"].max())
        shown.append({"name": name, "paper": paper, "n": n, "svg": svg, "rows": rows})
    return shown


def _matrices(replication: Replication, out: Path) -> list[dict[str, Any]]:
    from metamers.published.figures import matrix_figure

    shown = []
    for modality in feather2023.RELATIONS:
        rows = replication.accuracy[replication.accuracy["modality"] == modality]
        if rows.empty:
            continue
        description = f"Accuracy of each {modality} model on the metamers of each, at three stages"
        svg = _draw(out, f"matrix-{modality}", description, partial(matrix_figure, rows))
        own = rows["generating_model"] == rows["observing_model"]
        last = rows["stage_index"] == rows.groupby("generating_model")["stage_index"].transform("max")
        shown.append(
            {
                **{"modality": modality, "svg": svg, "n": int(rows["observing_model"].nunique())},
                **{
                    "own": float(rows["accuracy"][own & last].mean()),
                    "other": float(rows["accuracy"][~own & last].mean()),
                },
            }
        )
    return shown


def _relations(replication: Replication, out: Path) -> list[dict[str, Any]]:
    from metamers.report.relation import relation_figure

    shown = []
    for row in replication.relations:
        modality, points = row["modality"], replication.points[row["modality"]]
        svg = None
        if len(points):
            description = f"Human recognition against that by other models, {modality}"
            depth = _depths(points, replication.accuracy)
            svg = _draw(out, f"relation-{modality}", description, partial(relation_figure, points, depth))
        shown.append(row | {"svg": svg})
    return shown


def _depths(points: "pd.DataFrame", accuracy: "pd.DataFrame") -> "pd.Series[float]":
    stages = accuracy.drop_duplicates(["generating_model", "stage"]).rename(columns={"generating_model": "model"})
    last = stages.groupby("model")["stage_index"].transform("max")
    depth = stages.assign(depth=stages["stage_index"] / last)[["model", "stage", "depth"]]
    merged: pd.Series[float] = points.merge(depth, on=["model", "stage"], how="left")["depth"]
    return merged


def _brain(replication: Replication, out: Path) -> Markup | None:
    from metamers.published.figures import brain_figure

    points = replication.points["brain"]
    if points.empty:
        return None
    return _draw(out, "brain-score", "Brain-Score against human recognition", partial(brain_figure, points))


def _anova(replication: Replication) -> list[dict[str, Any]]:
    """Experiments, each with its comparisons, each with its rows."""
    by_experiment: dict[str, dict[tuple[str, str], list[dict[str, Any]]]] = {}
    for row in replication.anova:
        comparisons = by_experiment.setdefault(row["experiment"], {})
        comparisons.setdefault((row["analysis"], row["comparison"]), []).append(row)
    return [
        {
            **{"name": name, "paper": _paper_name(name)},
            "n": sum(map(len, by_experiment[name].values())),
            "largest": max(row["relative_difference"] for rows in by_experiment[name].values() for row in rows),
            "comparisons": [
                {"comparison": comparison, "what": feather2023.ANALYSES[kind].what, "rows": rows}
                for (kind, comparison), rows in by_experiment[name].items()
            ],
        }
        for name in _ordered(by_experiment)
    ]


def _ordered(names: Any) -> list[str]:
    present = dict.fromkeys(names)
    known = [name for name in feather2023.EXPERIMENTS if name in present]
    return [*known, *(name for name in present if name not in known)]


def _paper_name(experiment: str) -> str:
    known = feather2023.EXPERIMENTS.get(experiment)
    return known.paper_name if known else experiment


def _draw(out: Path, name: str, description: str, make: "Callable[[], Figure]") -> Markup:
    from metamers.report.drawing import draw

    return draw(out, name, description, make, pdf=False)  # a PDF takes as long as a figure's drawing
