"""Replications of made-up data, where the answer is known, and of the real ones."""

import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from metamers.errors import MetamersError
from metamers.published import replicate
from metamers.published.anova_rows import disagreements, relative_difference
from metamers.published.feather2023 import ANALYSES, EXPERIMENTS

REAL = Path(os.environ.get("METAMERS_REAL_DATA", "")) / "feather2023"
real = pytest.mark.skipif(
    "METAMERS_REAL_DATA" not in os.environ, reason="METAMERS_REAL_DATA names no folder with the published data"
)


def edit(path, change):
    change(pd.read_csv(path)).to_csv(path, index=False)


def test_made_up_rows_agree_and_what_is_missing_is_named(data):
    outcome = replicate(data, 200)
    assert len(outcome.anova) == 6 + 8 + 4
    assert max(row["relative_difference"] for row in outcome.anova) < 1e-4
    assert disagreements(outcome.anova) == []
    named = [item["name"] for item in outcome.missing]
    assert "human_means*.csv" in named and "brainscore*.csv" in named
    assert sum(item["what"] == "experiment" for item in outcome.missing) == len(EXPERIMENTS) - 1
    vision = next(row for row in outcome.relations if row["modality"] == "vision")
    assert (vision["n_points"], vision["n_models"], vision["missing"], vision["complete"]) == (6, 2, [], False)
    points = outcome.points["vision"].set_index(["model", "stage"])
    assert points.loc[("alexnet", "final"), "other_models"] == pytest.approx(0.45)


def test_a_published_figure_that_does_not_follow_is_found(data):
    edit(data / "anova_published.csv", lambda t: t.assign(SumSq=t["SumSq"].where(t.index != 3, t["SumSq"] * 1.001)))
    wrong = disagreements(replicate(data, 100).anova)
    assert [row["effect"] for row in wrong] == ["(Intercept):layer"]
    assert wrong[0]["relative_difference"] == pytest.approx(0.001, rel=0.1)


def test_permutation_ps_are_held_to_their_range(data):
    edit(
        data / "anova_published.csv",
        lambda t: t.assign(permutation_p=np.where(t["effect"] == "(Intercept):stage", 0.5, np.nan)),
    )
    rows = [row for row in replicate(data, 2000).anova if row["permutation"]]
    assert [row["effect"] for row in rows] == ["(Intercept):stage"]
    permutation = rows[0]["permutation"]
    assert permutation["low"] == pytest.approx(0.4836, abs=0.001) and permutation["high"] == pytest.approx(
        0.5164, abs=0.001
    )
    assert permutation["within"] == (permutation["low"] <= rows[0]["ours"]["permutation_p"] <= permutation["high"])
    assert permutation["exempt"] is None


def test_comparisons_without_data_are_named(data):
    def unknown(table):
        more = table[table["analysis"] == "human_stage_rm"].assign(repo_experiment="Vision_EXP3", models="vgg_19")
        return pd.concat([table, more])

    edit(data / "anova_published.csv", unknown)
    outcome = replicate(data, 100)
    assert len(outcome.anova) == 18
    assert outcome.missing[-1] == {
        "what": "comparison",
        "name": "Vision_EXP3, human_stage_rm of alexnet",
        "reason": "no data of vgg_19",
    }


def test_a_model_with_other_stages_is_named(data, make_mat):
    make_mat(
        model="resnet50",
        participant_data_matrix=np.full((6, 3, 2), 0.5),
        model_layers=["natural_image", "layer1", "final"],
    )
    outcome = replicate(data, 100)
    assert len(outcome.anova) == 6 + 4
    assert outcome.missing[-1]["name"] == "Vision_EXP1, human_models_rm of alexnet|resnet50"
    assert "the design is not balanced: subject '0', layer '3', model_type 'resnet50'" in outcome.missing[-1]["reason"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.assign(analysis="human_vs_network"), "no analysis 'human_vs_network' is known; did you mean"),
        (lambda t: t.assign(effect=t["effect"] + "s"), "no effect '(Intercept)s'; did you mean"),
    ],
)
def test_unknown_analyses_are_named(data, change, said):
    edit(data / "anova_published.csv", change)
    outcome = replicate(data, 100)
    assert outcome.anova == []
    assert said in outcome.missing[-1]["reason"]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.drop(columns="models"), "lacks the column 'models'"),
        (lambda t: t.assign(DF="many"), "row 2, column 'DF': 'many' is no number"),
    ],
)
def test_published_tables_that_are_not_what_they_should_be(data, change, said):
    edit(data / "anova_published.csv", change)
    with pytest.raises(MetamersError) as refused:
        replicate(data, 100)
    assert said in str(refused.value)


def test_folders_without_data_are_refused(tmp_path):
    with pytest.raises(MetamersError, match="no such folder"):
        replicate(tmp_path / "nowhere")
    with pytest.raises(MetamersError, match=r"has no file \(Vision\|Audio\)Experiment"):
        replicate(tmp_path)


def test_relative_difference_of_undefined_figures_is_infinite():
    assert relative_difference({"F": float("nan")}, {"F": 1.0}) == float("inf")
    assert relative_difference({"F": 1.0, "p": 0.0}, {"F": 1.0, "p": 0.0}) == 0


def test_settings_give_a_reason_for_each_exception():
    for analysis in ANALYSES.values():
        assert all(
            len(reason) > 20 for reason in (*analysis.stages_left_out.values(), *analysis.permutation_exempt.values())
        )


@real
def test_every_published_row_follows_from_the_published_data():
    outcome = replicate(REAL)
    assert len(outcome.anova) >= 410
    assert disagreements(outcome.anova) == []
    assert max(row["relative_difference"] for row in outcome.anova) < 1e-4
    exempt = {
        (row["comparison"].rsplit("_", 3)[-2], row["effect"])
        for row in outcome.anova
        if row["permutation"] and row["permutation"]["exempt"]
    }
    assert exempt == {("eval", "network")}
    assert max(row["difference"] for row in outcome.means) < 5.1e-7  # the six digits of the file
    figures = {row["modality"]: row for row in outcome.relations}
    if figures["audio"]["n_points"] == 81:
        assert [round(v, 3) for v in figures["audio"]["ours"].values()] == [0.972, 0.813, 0.654]
    if figures["vision"]["n_points"] == 113:
        assert [round(v, 3) for v in figures["vision"]["ours"].values()] == [0.833, 0.912, 0.748]
    for row in outcome.brain_score:
        assert row["n_models"] + len(row["missing"]) == row["published_n_models"]
