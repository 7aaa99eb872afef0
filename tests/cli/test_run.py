"""`metamers run`, `status` and `schema`: a study from its file."""

import json
import os
import socket
from pathlib import Path

import pandas as pd
import pytest
import yaml

STUDY = {
    "models": [
        {"source": "nets.py:net", "stages": ["1"]},
        {"source": "nets.py:made:talking", "stages": ["1", "output"]},
    ],
    "recipes": [{"name": "fast", "set": {"steps": 60}}, {"name": "adam", "set": {"steps": 60}}],
    **{"seeds": [0, 1], "null_pairs": 500, "observers": "bundled:picto-resnet", "report": False},
}


@pytest.fixture
def study(cli, images, null_npz):
    Path("study.yaml").write_text(yaml.safe_dump(STUDY | {"stimuli": str(images), "null_stimuli": "null.npz"}))
    labels = [["airplane", "anchor"][i % 2] for i in range(4)]
    files = [f"{i % 2}/{i % 2}_{i}.png" for i in range(4)]
    pd.DataFrame({"file": files, "label": labels}).to_csv("labels.csv", index=False)
    return "study.yaml"


def test_a_study_is_made_named_and_resumed(cli, study):
    ended = cli("run", study, "--out", "run", "--json", "--set", "stimuli.labels=labels.csv")
    assert ended.code == 0
    assert ended.json["cells"] == 4 * 3 * 2 * 2
    matches = pd.read_csv("run/tables/matches.csv")
    assert matches.groupby(["model", "recipe"]).size().tolist() == [8, 8, 16, 16]
    assert matches.recipe.nunique() == 2
    responses = pd.read_csv("run/tables/responses.csv")
    shown = responses[responses.stage != "natural"].groupby(["observer", "model"]).size().to_dict()
    of_net, of_talking = {("net", "net"): 16, ("picto-resnet", "net"): 16}, {("picto-resnet", "talking"): 32}
    assert shown == {**of_net, **of_talking, ("net", "talking"): 32}  # they have the same weights: one observer
    records = {path: path.stat().st_mtime_ns for path in Path("run/batches").iterdir()}
    again = cli("run", study, "--out", "run", "--json", "--set", "stimuli.labels=labels.csv")
    assert again.json == ended.json
    assert "48 cells are there already" in again.err
    assert records == {path: path.stat().st_mtime_ns for path in Path("run/batches").iterdir()}
    status = cli("status", "run", "--json").json
    assert (status["cells"], status["done"], status["waiting"], status["owner"]) == (48, 48, 0, None)
    assert status["passed"] + status["failed"] == 48 and sum(status["reasons"].values()) == status["failed"]


def test_what_is_waiting_and_who_works_on_it_is_told(cli, study):
    assert cli("run", study, "--out", "run", "--set", "observers=[]").code == 0
    next(Path("run/batches").iterdir()).unlink()
    owner = {"host": socket.gethostname(), "process": os.getpid(), "since": "now"}
    Path("run/lock.json").write_text(json.dumps(owner))
    told = cli("status", "run").err
    assert "44 of 48 cells done" in told and f"4 waiting, about 0 s of computing; process {os.getpid()} on" in told
    refused = cli("run", study, "--out", "run", "--set", "observers=[]")
    assert refused.code == 2 and "has worked on this run since now" in refused.err


def test_a_plan_costs_nothing(cli, study):
    planned = cli("run", study, "--plan", "--json", "--set", "observers=[]")
    assert planned.code == 0
    assert planned.json["cells"] == 48 and [each["cells"] for each in planned.json["models"]] == [16, 32]
    assert all(planned.json[key] > 0 for key in ("seconds", "memory_bytes", "disk_bytes"))
    assert "in all: 48 cells" in cli("run", study, "--plan", "--set", "observers=[]").err
    assert not Path("run").exists()


def test_the_schema_is_of_the_file(cli):
    schema = cli("schema").json
    assert {"models", "stimuli", "recipes", "observers"} <= set(schema["properties"])
    assert set(schema["required"]) == {"models", "stimuli"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("stages=[nowhere]", "no stage 'nowhere'"),
        ("models.0.stages=x", "models"),
        ("models=[nets.py:net,nets.py:net]", "two models are named 'net'"),
        ("recipes=[fast,fast]", "each once"),
        ("recipes=slow", "no recipe 'slow'"),
        ("observers=nets.py:features", "makes no decision"),
        ("criterion.quantile=3", "choose one of max"),
        ("recipes={name: fast, set: {name: mine}}", "leave name out of set"),
        ("preset=quik", "no preset 'quik'"),
    ],
)
def test_bad_studies_are_refused_before_any_work(cli, study, change, words):
    plain = yaml.safe_load(Path(study).read_text()) | {"models": ["nets.py:net"], "observers": []}
    Path(study).write_text(yaml.safe_dump(plain))
    ended = cli("run", study, "--out", "run", "--set", change)
    assert (ended.code, ended.out) == (2, "")
    assert words in ended.err and ended.err.count("\n") == 1
    assert not Path("run").exists()


def test_the_folder_is_asked_for(cli, study):
    ended = cli("run", study)
    assert ended.code == 2 and "--out is missing" in ended.err


def test_a_refused_run_leaves_the_study_as_it_is(cli, study):
    run = ("run", study, "--out", "run", "--set", "observers=[]")
    assert cli(*run).code == 0
    before = Path("run/study.yaml").read_bytes()
    owner = {"host": socket.gethostname(), "process": os.getpid(), "since": "now"}
    Path("run/lock.json").write_text(json.dumps(owner))
    assert "has worked on this run since now" in cli(*run, "recipes=adam").err
    Path("run/lock.json").unlink()
    refused = cli(*run, "recipes=adam")
    assert refused.code == 2 and "holds another study" in refused.err
    assert Path("run/study.yaml").read_bytes() == before


def test_a_folder_with_nothing_but_the_lock_of_a_killed_run_is_free(cli, study):
    Path("run").mkdir()
    Path("run/lock.json").write_text("")
    os.utime("run/lock.json", (0, 0))
    assert cli("run", study, "--out", "run", "--set", "observers=[]").code == 0
