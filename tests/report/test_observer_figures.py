"""What the figures of observers draw."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from metamers.analysis import bootstrap_recognition, idiosyncrasy, recognition_by_stage
from metamers.report import observer_figures
from metamers.report.drawing import styled
from metamers.report.results import Results, read_results
from metamers.store import read_table


@pytest.fixture(scope="module")
def results(run: Path) -> Results:
    return read_results(run)


def curves(results: Results, model: str) -> tuple[pd.DataFrame, pd.DataFrame, list[str]]:
    responses = read_table(results.store, "responses")
    table = recognition_by_stage(responses, 0.25, stages=results.stages)
    table = table[table["model"].isin(["", model])]
    names = responses["observer"].where(responses["observer"] == model, "other models")
    who = {"observer": names.replace(model, "the model itself"), "participant": responses["observer"]}
    groups = bootstrap_recognition(responses.assign(**who), n_resamples=20)
    return table, groups[groups["model"].isin(["", model])], ["natural", *results.stages[model]]


def lines_of(axes: Any) -> dict[str, np.ndarray]:
    return {str(line.get_label()): np.asarray(line.get_ydata(), dtype=float) for line in axes.get_lines()}


def test_recognition_draws_groups_observers_and_chance(results: Results) -> None:
    model = "picto-alexnet"
    table, groups, stages = curves(results, model)
    with styled("test"):
        axes = observer_figures.recognition_figure(table, groups, groups[:0], model, stages).axes[0]
    lines = lines_of(axes)
    assert set(lines) == {
        *("picto-alexnet (itself)", "picto-resnet", "picto-resnet-b", "2 other models together", "chance")
    }
    own = table[table["observer"] == model]["proportion"].to_numpy(dtype=float)
    np.testing.assert_array_equal(lines["picto-alexnet (itself)"], own)
    mean = (lines["picto-resnet"] + lines["picto-resnet-b"]) / 2
    np.testing.assert_allclose(lines["2 other models together"], mean)
    assert lines["chance"][0] == 0.25
    assert [label.get_text() for label in axes.get_xticklabels()] == stages


def test_many_observers_share_one_name(results: Results) -> None:
    model = "picto-alexnet"
    table, groups, stages = curves(results, model)
    others = table[table["observer"] == "picto-resnet"]
    many = pd.concat([table, *(others.assign(observer=f"net {i}") for i in range(5))])
    with styled("test"):
        axes = observer_figures.recognition_figure(many, groups, groups[:0], model, stages).axes[0]
    shown = [label for label in lines_of(axes) if not label.startswith("_")]
    assert shown == ["each of 7 other models", "picto-alexnet (itself)", "7 other models together", "chance"]


def test_confusions_are_shares_of_a_row() -> None:
    rows = [("cat", "cat", 0.75), ("cat", "cup", 0.25), ("cup", "cup", 1.0)]
    table = pd.DataFrame(rows, columns=["label", "response", "proportion"]).assign(observer="people", stage="natural")
    with styled("test"):
        (axes,) = observer_figures.confusion_figure(table, ["cat", "cup", "sun"], ["natural"]).axes
    alpha = np.asarray(axes.get_images()[0].get_array())[..., 3]
    np.testing.assert_allclose(alpha, np.array([[0.75, 0.25, 0], [0, 1, 0], [0, 0, 0]]))
    assert axes.get_ylabel() == "people\nshown"


def test_idiosyncrasy_draws_each_generating_model(results: Results) -> None:
    table = idiosyncrasy(read_table(results.store, "responses"), n_resamples=20)
    with styled("test"):
        axes = observer_figures.idiosyncrasy_figure(table, results.stages).axes[0]
    lines = lines_of(axes)
    for model in results.stages:
        expected = table.loc[table["model"] == model, "idiosyncrasy"].to_numpy(dtype=float)
        np.testing.assert_array_equal(lines[model], expected)
