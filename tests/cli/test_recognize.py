"""`metamers recognize`: models look at a run."""

import csv
import json
import re
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn


@pytest.fixture
def run(make_once):
    """A run of four cells, labeled 0 and 1, at one stage."""
    return make_once("--stage", "1")


def rows(run, table="responses"):
    with (run / "tables" / f"{table}.csv").open() as file:
        return list(csv.DictReader(file))


def test_models_name_metamers_and_references(cli, run):
    ended = cli("recognize", run, "--by", "nets.py:made:slow", "nets.py:made:talking", "--json")
    assert ended.code == 0
    # The nets of nets.py are one, however they are called.
    assert ended.json["observers"] == [
        {"observer": "net", "new": 0, "answered": 8, "unscored": 0, "unscored_labels": []}
    ]
    assert "nets.py:made:talking is the same model as net; it is asked once" in ended.err
    said = cli("recognize", run, "--by", "nets.py:gray", "--json").json
    assert [(seen["observer"], seen["new"]) for seen in said["observers"]] == [("gray", 8)]
    assert {(row["model"], row["stage"], row["observer"], row["n"], row["chance"]) for row in said["matrix"]} == {
        (model, stage, observer, 4, 0.25)
        for model, stage in (("", "natural"), ("net", "1"))
        for observer in ("net", "gray")
    }
    assert Path(said["report"]).is_file()
    assert (run / "tables" / "recognition.csv").read_text().count("\n") == 5
    assert len(rows(run)) == 16
    assert cli("recognize", run, "--by", "nets.py:gray", "--json").json["observers"][0]["new"] == 0


def test_cells_that_failed_do_not_count(cli, run):
    record = next(run.glob("batches/**/*.json"))
    batch = json.loads(record.read_text())
    batch["cells"][0]["verdict"] = "failed"
    record.write_text(json.dumps(batch))
    said = cli("recognize", run, "--by", "nets.py:net", "--no-report", "--json").json
    counts = {row["stage"]: (row["n"], row["n_excluded"]) for row in said["matrix"]}
    assert counts == {"natural": (4, 0), "1": (3, 1)}


def test_without_json_the_matrix_is_said(cli, run):
    ended = cli("recognize", run, "--by", "nets.py:net", "--no-report")
    assert (ended.code, ended.out) == (0, "")
    lines = [line.split() for line in ended.err.splitlines()]
    assert lines[0] == ["observer", "net"]
    assert [line[:-1] for line in lines[1:3]] == [["natural"], ["net", "1"]]
    assert lines[-1] == ["see", "run/tables/responses.csv"]


def test_labels_of_ones_own(cli, run):
    Path("labels.json").write_text('{"0": [0, 3], "other": [1, 2]}')
    said = cli("recognize", run, "--by", "nets.py:net", "--labels", "labels.json", "--no-report", "--json")
    assert said.json["observers"][0] | {"unscored_labels": ["1"]} == {
        **{"observer": "net", "new": 8, "answered": 8, "unscored": 4, "unscored_labels": ["1"]}
    }
    assert "4 of 8 answers of net have no score; labels: '1'" in said.err
    assert {row["response"] for row in rows(run)} <= {"0", "other"}
    assert {row["chance"] for row in said.json["matrix"]} == {0.5}
    again = cli("recognize", run, "--by", "nets.py:net")
    assert re.search(
        r"note: 8 answers of net with labels 'labels.json-\w+' are replaced by those with labels 'identity'", again.err
    )
    assert "Observer net" in (run / "report.html").read_text()
    assert "replaced" not in cli("recognize", run, "--by", "nets.py:net", "--no-report").err


def test_a_model_that_answered_in_other_labels_than_the_observers_is_named(cli, run):
    Path("labels.json").write_text(json.dumps({"0": [0, 1], "other": [2, 3]}))
    said = cli("recognize", run, "--by", "nets.py:gray", "--labels", "labels.json", "--no-report")
    assert "note: net, whose metamers these are, has answered in the labels identity" in said.err
    assert "--by nets.py:net" in said.err
    assert "whose metamers" not in cli("recognize", run, "--by", "nets.py:gray", "--no-report").err


def test_controls(cli, run):
    ended = cli("recognize", run, "--by", "nets.py:gray", "--controls", "start,reference", "untrained", "--json")
    assert ended.json["observers"][0]["new"] == 4 * 4
    kinds = {(row["model"], row["stage"]) for row in rows(run) if row["observer"] == "gray"}
    assert kinds == {("", "natural"), ("net", "1")}
    controls = {(row["control"], row["model"], row["stage"]) for row in rows(run, "controls")}
    assert controls == {("start", "", "start"), ("untrained", "untrained-net", "1")}
    assert {row["stage"] for row in ended.json["matrix"]} == {"natural", "start", "1"}
    assert cli("verify", "run/controls/untrained").code == 0
    before = sorted((run / "controls").rglob("*.json"))
    again = cli("recognize", run, "--by", "nets.py:gray", "--controls", "untrained", "start", "--json")
    assert again.json["observers"][0]["new"] == 0
    assert sorted((run / "controls").rglob("*.json")) == before
    assert cli("recognize", run, "--by", "nets.py:gray", "--json").json["observers"][0]["answered"] == 16


def test_what_is_replaced_or_dropped_is_said(cli, run):
    Path("labels.json").write_text('["0", "1", "2", "3"]')
    ask = ("recognize", run, "--by", "nets.py:gray", "--no-report")
    assert "note" not in cli(*ask, "--controls", "start").err
    assert "note" not in cli(*ask).err  # nothing is asked otherwise, so the controls stay
    assert len(rows(run, "controls")) == 4
    said = cli(*ask, "--labels", "labels.json").err
    space = re.search(r"8 answers of gray with labels 'identity' are replaced by those with labels '(.+)'", said)
    assert space
    assert (
        f"note: 4 answers of gray with labels 'identity' to the controls start are dropped; --controls start asks for "
        f"them with labels '{space[1]}'"
    ) in said
    assert rows(run, "controls") == []
    again = cli(*ask, "--labels", "labels.json", "--controls", "start").err
    assert "replaced" not in again and "dropped" not in again
    changed = (*ask, "--labels", "labels.json", "--controls", "start", "--decision", "mean-probability")
    said = cli(*changed).err
    assert said.startswith(
        "note: 12 answers of gray with decision first are replaced by those with decision mean-probability\n"
    )
    assert len(rows(run, "controls")) == 4


def test_an_observer_whose_code_has_changed_is_asked_again(cli, run):
    code = "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n    return nn.Sequential("
    code += "nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)), 8\n"
    Path("free.py").write_text(code)
    ask = ("recognize", run, "--by", "free.py:net", "--no-report", "--json")
    name = cli(*ask).json["observers"][0]["observer"]
    Path("free.py").write_text(code + "\n# that is all\n")
    assert cli(*ask).json["observers"][0] | {"new": 0} == cli(*ask).json["observers"][0]
    Path("free.py").write_text(code.replace("nn.ReLU()", "nn.Tanh()"))
    said = cli(*ask)
    assert re.search(
        rf"note: 8 answers of {name} with outputs for noise from \S+ to \S+ are replaced by those with outputs",
        said.err,
    )
    assert said.json["observers"][0] | {"observer": name, "new": 8, "answered": 8} == said.json["observers"][0]


def test_another_input_size_is_said(cli, run):
    Path("free.py").write_text(
        "import torch\nfrom torch import nn\n\n\ndef net():\n    torch.manual_seed(0)\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)), 8\n"
    )
    ask = ("recognize", run, "--by", "free.py:net", "--no-report")
    name = cli(*ask, "--json").json["observers"][0]["observer"]
    assert (
        f"note: 8 answers of {name} with input size 8 x 8 are replaced by those with input size 12 x 10"
        in cli(*ask, "--input-size", "12x10").err
    )


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--by", "nets.py:features"), "model 'features' makes no decision"),
        (("--by", "nets.py:net", "--labels", "cifar"), "no labels 'cifar'; did you mean 'cifar10'?"),
        (("--by", "nets.py:net", "--labels", "imagenet16"), "model 'net' has 4 outputs"),
        (("--by", "nets.py:net", "--labels", "animals.json"), "has none of the stimuli's labels ('0', '1')"),
        (("--by", "nets.py:net", "--decision", "best"), "no decision 'best'"),
        (("--by", "nets.py:net", "--controls", "starts"), "no control 'starts'"),
        (("--by", "nets.py:net", "nets.py:gray", "--weights", "random"), "--weights is for one model"),
        (("--by", "bundled:picto"), "no bundled model 'picto'"),
        (("--by",), "--by names no model"),
    ],
)
def test_bad_input_is_refused_before_anyone_is_asked(cli, run, arguments, said):
    Path("animals.json").write_text('{"cat": [0, 1], "emu": [2]}')
    before = rows(run)
    ended = cli("recognize", run, *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    assert ended.err.count("\n") == 1
    assert rows(run) == before
    assert not (run / "report.html").exists()


def test_a_folder_without_a_run_or_metamers(cli, images):
    assert "not a run" in cli("recognize", images, "--by", "nets.py:net").err


def test_two_models_of_one_name(cli, run):
    torch.manual_seed(7)
    other = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 4))
    save_file(other.state_dict(), "a.safetensors")
    assert cli("recognize", run, "--by", "nets.py:net", "--weights", "a.safetensors", "--json").code == 0
    Path("more").mkdir()
    changed = {key: value + torch.rand_like(value) for key, value in other.state_dict().items()}
    save_file(changed, "more/a.safetensors")
    said = cli("recognize", run, "--by", "nets.py:net", "--weights", "more/a.safetensors", "--json").json
    assert said["observers"][0]["observer"].startswith("net?weights=a#")
    assert len({row["observer"] for row in rows(run)}) == 3
    assert len(said["matrix"]) == 6


def test_new_models_of_one_call_are_told_apart(cli, run):
    source = (
        "import torch\nfrom torch import nn\n\n\ndef net(seed={seed}):\n    torch.manual_seed(int(seed))\n"
        "    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 4)), 8\n"
    )
    for name, seed in (("a", 31), ("b", 32)):
        Path(f"{name}.py").write_text(source.format(seed=seed))
    by = ("a.py:net", "b.py:net", "a.py:net:31", "b.py:net:32")
    ended = cli("recognize", run, "--by", *by, "--no-report", "--json")
    first, second = [seen["observer"] for seen in ended.json["observers"]]
    assert first.startswith("net#") and second.startswith("net#") and first != second
    assert f"a.py:net:31 is the same model as {first}; it is asked once" in ended.err
    assert f"b.py:net:32 is the same model as {second}; it is asked once" in ended.err
