"""Recognizability against robustness, in the figure and on the page."""

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from metamers.report import write_report
from metamers.report.dissociation import dissociation, dissociation_figure
from metamers.report.drawing import look, styled
from metamers.report.results import read_results
from metamers.store import Store

MakeRun = Callable[..., Path]
MODELS = ("m", "n", "o")


def attack(run: Path, id_: str, values: Sequence[float | None], **keys: Any) -> None:
    """Add what an attack left of each model's accuracy."""
    rows = [
        {"model": model, "attack": "l2", "norm": "l2", "eps": 1.0, "robustness": value, "n": 64} | keys
        for model, value in zip(MODELS, values, strict=True)
    ]
    Store(run).commit_robustness({"id": id_, "rows": rows})


def section(run: Path) -> str:
    html = write_report(run).read_text(encoding="utf-8")
    return html[html.index('id="dissociation"') : html.index('id="matrix"')]


def found_in(run: Path) -> Any:
    results = read_results(run)
    return dissociation(results, results.answers(), dict.fromkeys(MODELS, 0.25))


def words(run: Path) -> list[str]:
    return re.findall(r">([^<>]+)</text>", (run / "figures" / "dissociation.svg").read_text(encoding="utf-8"))


@pytest.fixture
def run(make_run: MakeRun) -> Path:
    return make_run("attacked", models=MODELS, stages=["a", "b"], references=8)


def test_a_sweep_over_eps_has_a_panel_for_each(run: Path) -> None:
    for eps in (0.5, 1.0):
        attack(run, f"at {eps}", (0.1, 0.5, 0.9), eps=eps)
    found = found_in(run)
    assert [panel for panel in words(run) if panel.startswith("l2")] == ["l2, eps 0.5", "l2, eps 1"]
    assert [(row["attack"], row["n"]) for row in found["relations"]] == [("l2, eps 0.5", 3), ("l2, eps 1", 3)]
    assert len(found["points"]) == 2 * 3


def test_one_name_of_two_norms_is_told_apart(run: Path) -> None:
    attack(run, "1", (0.1, 0.5, 0.9), attack="pgd")
    attack(run, "2", (0.1, 0.5, 0.9), attack="pgd", norm="linf")
    assert [row["attack"] for row in found_in(run)["relations"]] == ["pgd, l2", "pgd, linf"]


def test_of_an_attack_made_anew_the_last_counts(run: Path) -> None:
    attack(run, "1", (0.111, 0.5, 0.9))
    attack(run, "2", (0.222, 0.5, 0.9))
    assert [(row["attack"], row["robustness"]) for row in found_in(run)["points"]] == [
        *(("l2", 0.222), ("l2", 0.5), ("l2", 0.9))
    ]


def test_of_many_eps_that_is_drawn_by_which_the_models_differ_most(run: Path) -> None:
    for eps, values in ((0.5, (0.8, 0.9, 0.9)), (1.0, (0.1, 0.5, 0.9)), (2.0, (0.0, 0.0, 0.1))):
        attack(run, f"l2 {eps}", values, attack=f"l2 {eps}", eps=eps)
    attack(run, "linf", (0.1, 0.2, 0.3), attack="linf 4/255", norm="linf", eps=4 / 255)
    found = section(run)
    assert [word for word in words(run) if word.startswith("l")] == ["l2 1.0", "linf 4/255"]
    assert "Of 4 attacks, one of each norm is drawn: that under which the models differ most" in found
    assert "l2 0.5: " not in found
    assert found.count("<tr><th") == 1 + 4 * 3
    assert "The numbers of all attacks as a table" in found


def test_a_model_whose_robustness_is_missing_is_not_counted(run: Path) -> None:
    attack(run, "1", (0.1, None, 0.9))
    found = found_in(run)
    assert found["relations"][0]["n"] == 2
    assert [row["model"] for row in found["points"]] == ["m", "o"]


@pytest.mark.parametrize("keys", [{"model": "another"}, {"robustness": None}])
def test_without_a_model_of_the_run_there_is_no_figure(run: Path, keys: dict[str, Any]) -> None:
    attack(run, "1", (0.1, 0.5, 0.9), **keys)
    assert found_in(run) is None


def test_the_legend_names_the_models_of_every_panel() -> None:
    rows = [("l2", "m", 0.1), ("linf", "n", 0.5), ("linf", "m", 0.2)]
    points = pd.DataFrame(rows, columns=["attack", "model", "robustness"])
    points = points.assign(recognizability=0.5, ci_low=0.4, ci_high=0.6)
    with styled("test"):
        figure = dissociation_figure(points, ["l2", "linf"], ["o", "m", "n"])
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["m", "n"]
    colors = {
        text.get_text(): line.get_color() for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert list(colors.values()) == [look(1)["color"], look(2)["color"]]  # as in the other figures of the run
    assert colors == {"m": figure.axes[0].get_lines()[0].get_color(), "n": figure.axes[1].get_lines()[0].get_color()}


def test_every_section_is_in_the_navigation(make_run: MakeRun) -> None:
    run = make_run("all", models=MODELS, stages=["a", "b"], references=8, people=2)
    attack(run, "1", (0.1, 0.5, 0.9))
    html = write_report(run).read_text(encoding="utf-8")
    sections = re.findall(r'<section id="([^"]+)"', html)
    assert {"dissociation", "people", "idiosyncrasy"} < set(sections)
    linked = re.findall(r'<a href="#([^"]+)"', html[html.index("<nav") : html.index("</nav>")])
    assert linked == sections
