"""`metamers attack`: curves, files, runs, and bad input."""

import json
from pathlib import Path

import pandas as pd
import pytest

ATTACK = ("attack", "nets.py:net", "--stimuli", "my imáges", "--eps", "0", "1/255", "0.5", "--norm", "linf")
LISTS = ("eps", "accuracy", "ci_low", "ci_high")


@pytest.fixture(autouse=True)
def _images(images):
    """Four images, labeled 0 and 1."""


def test_a_curve_is_given_and_written(cli):
    said = cli(*ATTACK, "--json")
    assert said.code == 0
    given = said.json
    assert given["eps"] == [0, 1 / 255, 0.5]
    assert all(len(given[key]) == 3 and all(0 <= value <= 1 for value in given[key]) for key in LISTS)
    assert given["accuracy"] == sorted(given["accuracy"], reverse=True)
    assert (given["model"], given["norm"], given["n"], given["seeds"]) == ("net", "linf", 4, [0])
    assert given["interval"] == "over images" and given["accuracy_by_seed"] == [given["accuracy"]]
    assert "note: net: all 4 stimuli are taken once" in said.err
    assert json.loads(Path(given["record"]).read_text()) == given
    assert Path(given["table"]) == Path("runs/attacks/net.linf/robustness.csv")
    table = pd.read_csv(given["table"])
    assert table.columns.tolist() == ["model", "attack", "norm", "eps", "robustness", "ci_low", "ci_high", "n"]
    assert table["attack"].tolist() == ["linf 0", "linf 1/255", "linf 0.5"]
    assert table["robustness"].tolist() == given["accuracy"]
    assert Path(given["figure"]).is_file() and Path(given["figure"]).with_suffix(".pdf").is_file()


def test_seeds_draw_images_and_the_interval_is_over_them(cli):
    given = cli(*ATTACK, "--images", 2, "--seed", 0, 1, 2, "--out", "here", "--json").json
    assert given["seeds"] == [0, 1, 2] and given["n_images"] == 2 and given["interval"] == "over seeds"
    assert len(given["accuracy_by_seed"]) == 3
    assert given["table"] == "here/robustness.csv"


def test_models_share_a_table_and_a_figure(cli):
    said = cli("attack", "nets.py:net", "nets.py:made:talking", *ATTACK[2:], "--json")
    given = said.json
    assert [entry["model"] for entry in given["models"]] == ["net", "talking"]
    assert given["models"][0]["accuracy"] == given["models"][1]["accuracy"]
    assert pd.read_csv(given["table"])["model"].tolist() == ["net"] * 3 + ["talking"] * 3
    assert ">talking<" in Path(given["figure"]).read_text()


def test_it_is_for_reading_too(cli):
    said = cli(*ATTACK, "--restarts", 1, "--random-start", "--steps", 3, "--step-size", "1/255")
    assert (said.code, said.out) == (0, "")
    assert "linf 1/255" in said.err and "see runs/attacks/net.linf/curve.svg" in said.err


def test_a_run_keeps_the_robustness_of_its_model(cli, make_once):
    run = make_once("--stage", "1")
    said = cli(*ATTACK, "--run", run)
    assert said.code == 0 and "`metamers report run`" in said.err
    assert cli(*ATTACK[:4], "--eps", 0.25, "--norm", "linf", "--run", run).code == 0  # in place of the first
    (record,) = [json.loads(path.read_text()) for path in (run / "robustness").iterdir()]
    assert [row["attack"] for row in record["rows"]] == ["linf 0.25"]
    assert pd.read_csv(run / "tables" / "robustness.csv")["model"].tolist() == ["net"]
    assert "holds no metamers of gray" in cli("attack", "nets.py:gray", *ATTACK[2:], "--run", run).err
    Path("nets.py").write_text(Path("nets.py").read_text().replace("torch.manual_seed(0)", "torch.manual_seed(1)"))
    other = cli(*ATTACK, "--run", run)
    assert other.code == 2 and "run: its model 'net' has other weights" in other.err


def test_the_table_goes_into_the_analysis(cli, make_once):
    run = make_once("--stage", "1")
    assert cli(*ATTACK).code == 0
    assert cli("recognize", run, "--by", "nets.py:gray", "--no-report").code == 0
    said = cli("analyze", "robustness", run, "--robustness", "runs/attacks/net.linf/robustness.csv", "--json")
    assert said.code == 0, said.err
    assert [row["attack"] for row in said.json["rows"]] == ["linf 0", "linf 1/255", "linf 0.5"]


def test_pictograms_are_for_bundled_models(cli):
    said = cli("attack", "bundled:picto-alexnet", "--eps", 0, "--images", 3, "--seed", 0, 1, "--json")
    assert said.code == 0
    assert said.json["stimuli"].startswith("bundled:pictograms") and said.json["accuracy"] == [1.0]


def test_labels_that_the_model_lacks_are_named(cli, tmp_path):
    (tmp_path / "my imáges" / "1").rename(tmp_path / "my imáges" / "sun")
    said = cli(*ATTACK, "--json")
    assert said.json["left_out"] == {"sun": 2}
    assert "note: net: 2 stimuli are left out, whose labels it lacks: 'sun'" in said.err


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (("--eps", "-1"), "eps -1.0: give a finite number of at least 0"),
        (("--eps", "much"), "--eps much: give a number, or a fraction such as 4/255"),
        (("--eps", "1/0"), "--eps 1/0: give a number"),
        (("--eps", "nan"), "--eps nan: give a number"),
        (("--eps", "1.5"), "eps 1.5 is beyond 1, the greatest linf distance"),
        (("--norm", "l2", "--eps", "28"), "eps 28 is beyond 27.7128, the greatest l2 distance"),
        (("--norm", "l1", "--eps", "800"), "eps 800 is beyond 768"),
        (("--norm", "linff"), "no norm 'linff'; did you mean 'linf'"),
        (("--steps", "0"), "--steps"),
        (("--step-size", "0"), "step_size 0.0: give a finite number above 0"),
        (("--restarts", "-1"), "--restarts"),
        (("--images", "0"), "--images"),
        (("--seed", "-1"), "one seed of at least 0"),
        (("--stimuli", "nowhere"), "stimuli 'nowhere'"),
        (("--stimuli", "my imáges/0/0_0.png"), "have no labels"),
        (("--stimuli", "bundled:pictograms?n=4"), "has none of the labels of"),
        (("--run", "nowhere"), "nowhere: not a run"),
        (("--out", "my imáges/here"), "lies in the folder of stimuli"),
    ],
)
def test_bad_input_is_one_line(cli, changed, said):
    options = {"--stimuli": "my imáges", "--norm": "linf"} | dict(zip(changed[::2], changed[1::2], strict=True))
    ended = cli("attack", "nets.py:net", *(part for pair in options.items() for part in pair))
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith("metamers: error: ") and ended.err.count("\n") == 1, ended.err
    assert said in ended.err
    assert not Path("runs").exists()


def test_models_that_cannot_be_attacked_are_refused(cli):
    assert "makes no decision" in cli("attack", "nets.py:features", *ATTACK[2:]).err
    assert "two models are named 'net'" in cli("attack", "nets.py:net", "nets.py:net", *ATTACK[2:]).err
    assert "--stimuli is missing; nets.py:net needs labeled stimuli" in cli("attack", "nets.py:net").err
    two = ("attack", "nets.py:net", "nets.py:gray", *ATTACK[2:], "--weights", "random")
    assert "--weights is for one model" in cli(*two).err


def test_word_nets_are_attacked_with_the_bundled_clips(cli):
    small = ("--eps", "0", "0.1", "--images", 4, "--seed", 0, "--steps", 1)
    said = cli("attack", "bundled:word-cochcnn", *small, "--json")
    assert said.code == 0
    assert said.json["stimuli"] == "bundled:spoken_clips"
    assert said.json["n"] == 4
    mixed = cli("attack", "bundled:word-cochcnn", "bundled:picto-resnet", *small)
    assert mixed.code == 2
    assert "both images and sounds" in mixed.err
