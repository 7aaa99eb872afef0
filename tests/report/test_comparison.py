"""Generating models beside each other, in the figure and on the page."""

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml

from metamers.report import comparison as module
from metamers.report import write_report
from metamers.report.comparison import comparison, comparison_figure
from metamers.report.drawing import look, styled
from metamers.report.results import read_results

MakeRun = Callable[..., Path]
STAGES = ["a", "b", "c"]


def lost(*places: tuple[int, int]) -> dict[str, Any]:
    """Options of a run in which all metamers of these (model, stage) failed."""
    return {"verdict": lambda m, s, r: "failed" if (m, s) in places else "passed"}


def compared(run: Path, chances: dict[str, float] | None = None) -> Any:
    results = read_results(run)
    return comparison(results, results.answers(), chances or {})


def title(run: Path) -> str:
    html = write_report(run).read_text(encoding="utf-8")
    return re.search(r'id="comparison-title">(.*?)</h2>', html)[1].replace("&#39;", "'")  # type: ignore[index]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The axes of each comparison that is drawn."""
    axes: list[Any] = []

    def kept(*arguments: Any) -> Any:
        figure = comparison_figure(*arguments)
        axes.append(figure.axes[0])
        return figure

    monkeypatch.setattr(module, "comparison_figure", kept)
    return axes


def curves(axes: Any) -> dict[str, list[float]]:
    lines = {str(line.get_label()): line for line in axes.get_lines()}
    return {name: list(map(float, line.get_ydata())) for name, line in lines.items() if not name.startswith("_")}


def levels(axes: Any) -> list[float]:
    return [float(line.get_ydata()[0]) for line in axes.get_lines() if str(line.get_label()).startswith("_")]


def ticks(axes: Any) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def test_a_stage_that_failed_leaves_a_gap_and_does_not_shift_the_curve(make_run: MakeRun, drawn: list[Any]) -> None:
    whole = compared(make_run("whole", models=["m", "n", "o"], stages=STAGES, references=6))
    gap = compared(make_run("gap", models=["m", "n", "o"], stages=STAGES, references=6, **lost((1, 1))))
    assert [ticks(axes) for axes in drawn] == [["natural", *STAGES]] * 2
    expected, found = (curves(axes) for axes in drawn)
    assert found["m"] == expected["m"]
    np.testing.assert_array_equal(found["n"], [*expected["n"][:2], np.nan, expected["n"][3]])
    assert gap["ends"] == whole["ends"]


def test_stages_of_other_names_are_numbered_after_the_natural_stimuli() -> None:
    rows = pd.DataFrame({"stage": ["natural", "a", "b"], "proportion": 0.5, "ci_low": 0.4, "ci_high": 0.6})
    with styled("test"):
        orders = {"m": ["natural", "a", "b"], "n": ["natural", "x", "y", "z"]}
        assert ticks(comparison_figure({"m": rows, "n": rows}, orders, []).axes[0]) == ["natural", "1", "2", "3"]
        bare = {model: order[1:] for model, order in orders.items()}
        assert ticks(comparison_figure({"m": rows, "n": rows}, bare, []).axes[0]) == ["1", "2", "3"]


def test_no_place_for_natural_stimuli_that_nobody_saw(make_run: MakeRun, drawn: list[Any]) -> None:
    run = make_run("unnatural", models=["m", "n"], stages=STAGES, references=6)
    responses = pd.read_csv(run / "tables" / "responses.csv")
    responses[responses["stage"] != "natural"].to_csv(run / "tables" / "responses.csv", index=False)
    compared(run)
    assert ticks(drawn[0]) == STAGES


def test_only_the_last_stage_is_called_so(make_run: MakeRun) -> None:
    models = ["m", "n", "o"]
    found = compared(make_run("failed-last", models=models, stages=STAGES, references=6, **lost((0, 2))))
    assert set(found["ends"]) == {"n", "o"}
    assert found["most"] != "m" != found["least"]
    run = make_run("unfinished", models=models, stages=STAGES, references=6)
    study = yaml.safe_load((run / "study.yaml").read_text(encoding="utf-8"))
    study["models"][2]["stages"].append("output")  # asked for, not made yet
    (run / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    assert set(compared(run)["ends"]) == {"m", "n"}


def test_answers_without_a_score_are_no_last_stage(make_run: MakeRun) -> None:
    run = make_run("unscored", models=["m", "n"], stages=STAGES, references=6)
    responses = pd.read_csv(run / "tables" / "responses.csv", dtype={"correct": "boolean"})
    responses.loc[(responses["model"] == "m") & (responses["stage"] == "c"), "correct"] = pd.NA
    responses.to_csv(run / "tables" / "responses.csv", index=False)
    assert set(compared(run)["ends"]) == {"n"}
    assert title(run) == "How often other models recognize the metamers of 2 models"


def test_the_title_names_the_models_that_differ(make_run: MakeRun) -> None:
    run = make_run("differ", models=["m", "n"], stages=STAGES, references=6)
    answer_all(run, {"m": 0, "n": 1})
    assert title(run) == ("Other models recognize 100 % of the last stage's metamers of n, 0 % of those of m")


@pytest.mark.parametrize("share", [0, 1])
def test_the_title_at_a_tie_is_neutral(make_run: MakeRun, share: int) -> None:
    run = make_run(f"tie-{share}", models=["m", "n"], stages=STAGES, references=6)
    answer_all(run, {"m": share, "n": share})
    assert title(run) == (
        f"Other models recognize the last stage's metamers of 2 models equally often: {100 * share} %"
    )


def answer_all(run: Path, right: dict[str, int]) -> None:
    """Let all metamers of a model be answered right, or wrong."""
    responses = pd.read_csv(run / "tables" / "responses.csv", dtype={"correct": "boolean"})
    for model, answer in right.items():
        responses.loc[responses["model"] == model, "correct"] = bool(answer)
    responses.to_csv(run / "tables" / "responses.csv", index=False)


def test_chance_is_that_of_the_observers_drawn(make_run: MakeRun, drawn: list[Any]) -> None:
    run = make_run("levels", models=["m", "n"], stages=STAGES, references=6, people=2)
    (run / "responses").mkdir()
    for name, n in (("human", 16), ("n", 1000), ("idle", 7)):
        record = {"id": name, "observer": name, "n_labels": n, "responses": []}
        (run / "responses" / f"{name}.json").write_text(json.dumps(record))
    write_report(run)
    assert levels(drawn[0]) == [0.001, 0.25]


def test_no_two_of_many_models_look_alike() -> None:
    looks = [tuple(look(i).values()) for i in range(36)]
    assert len(set(looks)) == 36
    assert look(36) == look(0)
