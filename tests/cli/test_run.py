"""`metamers run`, `status` and `schema`: a study from its file."""

import json
import os
import re
import shutil
import socket
from io import StringIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml


def test_a_study_is_made_named_and_resumed(cli, study):
    ended = cli("run", study, "--out", "run", "--json", "--set", "stimuli.labels=labels.csv")
    assert ended.code == 0
    *batches, finished = ended.events
    assert finished["event"] == "finished" and finished["cells"] == 4 * 3 * 2 * 2
    assert {event["event"] for event in batches} == {"batch"} and [e["done"] for e in batches] == list(range(4, 49, 4))
    assert batches[-1]["passed"] == finished["passed"] and batches[-1]["seconds_left"] == 0
    matches = pd.read_csv("run/tables/matches.csv")
    assert matches.groupby(["model", "recipe"]).size().tolist() == [8, 8, 16, 16]
    assert matches.recipe.nunique() == 2
    responses = pd.read_csv("run/tables/responses.csv")
    shown = responses[responses.stage != "natural"].groupby(["observer", "model"]).size().to_dict()
    of_net, of_talking = {("net", "net"): 16, ("picto-resnet", "net"): 16}, {("picto-resnet", "talking"): 32}
    assert shown == {**of_net, **of_talking, ("net", "talking"): 32}  # they have the same weights: one observer
    records = {path: path.stat().st_mtime_ns for path in Path("run/batches").rglob("*.json")}
    again = cli("run", study, "--out", "run", "--json", "--set", "stimuli.labels=labels.csv")
    assert again.events == [finished]
    assert "48 cells are there already" in again.err
    assert records == {path: path.stat().st_mtime_ns for path in Path("run/batches").rglob("*.json")}
    status = cli("status", "run", "--json").json
    assert (status["cells"], status["done"], status["waiting"], status["owner"]) == (48, 48, 0, None)
    assert status["passed"] + status["failed"] == 48 and sum(status["reasons"].values()) == status["failed"]


def test_what_is_waiting_and_who_works_on_it_is_told(cli, study):
    assert cli("run", study, "--out", "run", "--set", "observers=[]").code == 0
    missing, *there = Path("run/batches").rglob("*.json")
    missing.unlink()
    for path in there:
        path.write_text(json.dumps(json.loads(path.read_text()) | {"seconds": 8.0}))
    owner = {"host": socket.gethostname(), "process": os.getpid(), "since": "now"}
    Path("run/lock.json").write_text(json.dumps(owner))
    told = cli("status", "run").out
    assert "44 of 48 cells done" in told
    assert f"0 running, 4 waiting, about 8 s of computing; process {os.getpid()} on" in told
    refused = cli("run", study, "--out", "run", "--set", "observers=[]")
    assert refused.code == 2 and "has worked on this run since now" in refused.err


def test_analyses_are_written_as_tables(cli, study):
    command = ("run", study, "--out", "run", "--set", TWO, "recipes=[{name: fast, set: {steps: 40}}]")
    chosen = "analyses=[recognition, accuracy, confusion, consistency, idiosyncrasy, merit, seeds]"
    ended = cli(*command, "stimuli.labels=labels.csv", chosen)
    assert ended.code == 0
    tables = {path.stem: pd.read_csv(path) for path in Path("run/analyses").iterdir()}
    assert set(tables) == {"recognition", "accuracy", "confusion", "merit", "seeds"}
    for lacking in ("consistency", "idiosyncrasy"):  # they take more observers
        assert f"analysis {lacking}: " in ended.err and cli("analyze", lacking, "run").code == 2
    for name, table in tables.items():
        given = pd.DataFrame(cli("analyze", name, "run", "--json").json["rows"])
        pd.testing.assert_frame_equal(table, pd.read_csv(StringIO(given.to_csv(index=False))))


def test_analyses_follow_new_answers(cli, study):
    chosen = ("stimuli.labels=labels.csv", "analyses=[accuracy]", "report=false")
    assert cli("run", study, "--out", "run", *SMALL, "seeds=0", *chosen).code == 0
    assert cli("recognize", "run", "--by", "bundled:picto-alexnet", "--no-report").code == 0
    (path,) = Path("run/analyses").iterdir()
    assert "picto-alexnet" in set(pd.read_csv(path)["observer"])


def test_an_analysis_that_cannot_be_made_is_said_and_stops_nothing(cli, study):
    ended = cli("run", study, "--out", "run", *SMALL, "seeds=0", "analyses=[seeds, recognition]")
    assert ended.code == 0 and ended.err.count("analysis ") == 1 and "analysis seeds: " in ended.err
    assert not Path("run/analyses/seeds.csv").exists()


def test_a_plan_costs_nothing(cli, study):
    planned = cli("run", study, "--plan", "--json", "--set", "observers=[]")
    assert planned.code == 0
    assert planned.json["cells"] == 48 and [each["cells"] for each in planned.json["models"]] == [16, 32]
    assert all(planned.json[key] > 0 for key in ("seconds", "memory_bytes", "disk_bytes"))
    assert "in all: 48 cells" in cli("run", study, "--plan", "--set", "observers=[]").out
    assert not Path("run").exists()


def test_a_plan_is_of_what_is_left(cli, study):
    few = ("observers=[]", "models=nets.py:net", "stages=['0', '1']")
    plan = ("run", study, "--plan", "--json", "--out", "run", "--set", *few)
    before = cli(*plan).json
    assert (before["cells"], before["done"]) == (32, 0) and not Path("run").exists()
    assert cli("run", study, "--out", "run", "--set", *few, "stages='0'").code == 0
    left = cli(*plan).json
    assert (left["cells"], left["done"], left["disk_bytes"]) == (32, 16, before["disk_bytes"] / 2)
    assert "32 cells (16 of them there already)" in cli("run", study, "--plan", "--out", "run", "--set", *few).out
    assert cli(*plan, "recipes={name: fast, set: {steps: 3}}").json["done"] == 0
    assert cli("run", study, "--out", "run", "--set", *few).code == 0
    done = cli(*plan).json
    assert (done["done"], done["seconds"], done["disk_bytes"]) == (32, 0, 0)


def test_a_plan_refuses_what_the_run_would(cli, study):
    command = ("run", study, "--out", "run", "--set", "observers=[]", "recipes={name: fast, set: {steps: 3}}")
    assert cli(*command).code == 0
    assert "holds another study" in cli(*command, "null_pairs=400", "--plan").err
    assert "'00055' is gone" in cli(*command, "null_stimuli.limit=55", "--plan").err
    Path("nets.py").write_text(Path("nets.py").read_text().replace("manual_seed(0)", "manual_seed(1)"))
    assert cli(*command, "--plan").code == 2


def test_what_could_not_be_made_is_tried_again_when_asked(cli, study):
    whole = ("run", study, "--out", "run", "--set", "observers=[]", TWO, "recipes={name: fast, set: {steps: 8}}")
    assert cli(*whole).code == 0
    expected = rows("matches").drop(columns="seconds")
    failed, *_, no_null = (path for path in sorted(Path("run/batches").rglob("*.json")))
    record = json.loads(failed.read_text())
    record["cells"][1] |= {"verdict": "error", "reason": "out of memory", "file": None, "sha256": None}
    failed.write_text(json.dumps(record))
    no_null.write_text(json.dumps(json.loads(no_null.read_text()) | {"notes": ["no null: out of memory"]}))
    again = cli(*whole)
    assert "16 cells are there already" in again.err and "1 of them could not be made, and --retry tries" in again.err
    tried = cli(*whole, "--retry")
    assert "8 cells are made again" in tried.err and "8 cells are there already and are not made again\n" in tried.err
    pd.testing.assert_frame_equal(rows("matches").drop(columns="seconds"), expected)
    assert "16 cells are there already" in cli(*whole, "--retry").err


def test_answers_that_cannot_be_scored_are_told_before_the_work(cli, study):
    few = ("observers=bundled:picto-resnet", "models=nets.py:net", "recipes={name: fast, set: {steps: 3}}")
    of_labels = ("run", study, "--out", "run", "--set", *few, "stimuli.labels=labels.csv")
    table = pd.read_csv("labels.csv")
    table.assign(label=["yak", "zebra"] * 2).to_csv("labels.csv", index=False)
    said = cli(*of_labels, "--plan").err
    assert "note: observer 'picto-resnet' has no label 'yak', 'zebra': no answer to such stimuli is scored; its" in said
    table[:1].to_csv("labels.csv", index=False)
    said = cli(*of_labels).err
    assert "3 of 4 stimuli have no label: no answer to them is scored" in said and "has no label" not in said


def test_a_plan_says_that_nothing_would_be_judged(cli, study):
    said = cli("run", study, "--plan", "--set", "null_stimuli=null", "recipes={name: fast, set: {early_stop: false}}")
    assert "note: metamers are made but not judged (verdict 'no null'): that takes --null-stimuli with 50" in said.err
    assert "of a study's file is null_stimuli" in said.err
    assert said.code == 0 and "stop early" not in said.out
    assert "stop early" in cli("run", study, "--plan").out
    Path("study.yaml").write_text(Path("study.yaml").read_text().replace("null.npz", "other.npz"))
    assert cli("run", "study.yaml", "--out", "run", "--set", "observers=[]", "null_stimuli=null.npz").code == 0
    shutil.copy("null.npz", "other.npz")
    np.savez("other.npz", X=np.load("null.npz")["X"][:55])
    refused = cli("run", "study.yaml", "--out", "run", "--set", "observers=[]").err
    assert "is judged by other null stimuli" in refused


def test_the_schema_is_of_the_file(cli):
    schema = cli("schema").json
    assert {"models", "stimuli", "recipes", "observers"} <= set(schema["properties"])
    assert schema["anyOf"] == [{"required": ["preset"]}, {"required": ["models", "stimuli"]}]
    assert all("description" in described for described in schema["properties"].values())
    Validator = pytest.importorskip("jsonschema").Draft202012Validator  # noqa: N806
    Validator.check_schema(schema)
    root = Path(__file__).parents[2]
    readme = (root / "README.md").read_text(encoding="utf-8")
    of_readme = next(text for text in re.findall(r"```yaml\n(.*?)```", readme, re.DOTALL) if "models:" in text)
    good = [of_readme, "preset: quick", "{models: x, stages: 1, stimuli: y, seeds: 3, criterion: {quantile: 0.99}}"]
    good += [path.read_text(encoding="utf-8") for path in (root / "examples" / "studies").glob("*.yaml")]
    for text in good:
        assert not list(Validator(schema).iter_errors(yaml.safe_load(text))), text
    for text in (
        "models: x",
        "{models: x, stimuli: y, seeds: a}",
        "{models: x, stimuli: y, stimulli: y}",
        "{preset: 3}",
    ):
        assert list(Validator(schema).iter_errors(yaml.safe_load(text))), text


def test_a_study_may_come_from_a_pipe(cli, study):
    text = Path(study).read_bytes()
    read, write = os.pipe()
    os.write(write, text)
    os.close(write)
    planned = cli("run", f"/dev/fd/{read}", "--plan", "--json", "--set", "observers=[]")
    assert planned.code == 0 and planned.json["cells"] == 48


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
    refused = cli(*run, "criterion.quantile=0.99")
    assert refused.code == 2 and "holds another study" in refused.err
    assert Path("run/study.yaml").read_bytes() == before


OUTPUT_ONLY = "models=[{source: nets.py:made:talking, stages: output}]"
TWO = "models=[{source: nets.py:net, stages: '1'}, {source: nets.py:made:talking, stages: output}]"
SMALL = ("--set", "observers=[]", TWO, "recipes=[{name: fast, set: {steps: 8}}]")
"""A command for 16 cells that soon end."""


def rows(name):
    return pd.read_csv(f"run/tables/{name}.csv", dtype=str).fillna("")


def written():
    return {path for path in Path("run").rglob("*") if path.suffix in (".png", ".json")}


def test_other_recipes_seeds_and_stages_make_cells_beside_the_old_ones(cli, study):
    command = ("run", study, "--out", "run", *SMALL, "stimuli.labels=labels.csv")
    assert cli(*command).code == 0
    first, answers, files = rows("matches"), rows("responses"), written()
    assert cli(*command, "recipes=[{name: fast, set: {steps: 9}}]", "seeds=[1, 2]", OUTPUT_ONLY).code == 0
    assert files < written()
    other = rows("matches")
    assert set(other.recipe) == {"fast steps=9"} and set(other.seed) == {"1", "2"} and len(other) == 8
    assert set(rows("responses").recipe) == {"", "fast steps=9"} and set(rows("responses").stage) == {
        "natural",
        "output",
    }
    status = cli("status", "run", "--json").json
    assert (status["cells"], status["done"]) == (8, 8)
    back = cli(*command)
    assert "16 cells are there already" in back.err
    pd.testing.assert_frame_equal(rows("matches"), first)
    pd.testing.assert_frame_equal(rows("responses"), answers)


def test_clean_lists_what_the_study_does_not_refer_to_and_deletes_it_when_told(cli, study):
    command = ("run", study, "--out", "run", *SMALL, "stimuli.labels=labels.csv")
    assert cli(*command).code == 0
    before = written()
    assert cli(*command, "recipes=[{name: fast, set: {steps: 9}}]").code == 0
    tables = {name: rows(name) for name in ("matches", "responses")}
    left = Path("run/metamers/net/left.png")
    left.write_bytes(b"")
    (Path("run") / ".half.tmp").write_bytes(b"")
    listed = cli("clean", "run", "--json").json
    old = {path for path in before if "/metamers/" in str(path)}
    records = {Path("run") / name for name in listed["files"] if name.startswith("batches")}
    assert len(old) == 16 and old <= {Path("run") / name for name in listed["files"]}
    assert len(records) == 4 and len(listed["files"]) == 20 and not listed["deleted"]
    for path in (left, Path("run/.half.tmp")):  # younger, they may be of a process that lives
        os.utime(path, (0, 0))
    told = cli("clean", "run", "--yes")
    assert told.code == 0 and "22 files" in told.out and "deleted" in told.out and not left.exists()
    assert not any(path.exists() for path in old | records)
    for name, table in tables.items():
        pd.testing.assert_frame_equal(rows(name), table)
    assert cli("clean", "run", "--json").json["files"] == []
    assert cli("verify", "run").code == 0
    again = cli(*command)
    assert again.code == 0 and "already" not in again.err and before <= written()


def test_clean_leaves_what_people_answered(cli, study):
    command = ("run", study, "--out", "run", *SMALL)
    assert cli(*command).code == 0
    cell = rows("matches").cell[0]
    batches = [json.loads(path.read_text()) for path in Path("run/batches").rglob("*.json")]
    digest = next(made["sha256"] for batch in batches for made in batch["cells"] if made["cell"] == cell)
    row = {
        "cell": cell,
        "sha256": digest,
        "model": "net",
        "stage": "1",
        "recipe": "fast steps=8",
        "seed": 0,
        "observer_kind": "human",
    }
    record = Path("run/responses/human.json")
    record.write_text(json.dumps({"id": "human", "observer": "human", "responses": [row]}))
    assert cli(*command).code == 0 and cell in set(rows("responses").cell)
    assert cli(*command, "recipes=adam").code == 0 and cli("clean", "run", "--yes").code == 0
    assert json.loads(record.read_text())["responses"] == [row]
    assert cell not in set(rows("responses").cell)


def test_another_model_of_the_same_name_is_refused(cli, study):
    plain = yaml.safe_load(Path(study).read_text()) | {"models": ["nets.py:net"], "observers": [], "stages": "1"}
    Path(study).write_text(yaml.safe_dump(plain))
    assert cli("run", study, "--out", "run").code == 0
    nets = Path("nets.py").read_text()
    Path("nets.py").write_text(nets.replace("torch.manual_seed(0)", "torch.manual_seed(5)"))
    refused = cli("run", study, "--out", "run")
    assert refused.code == 2 and "holds another study (its models net weights_hash is" in refused.err
    assert cli("run", study, "--out", "run", "--set", "models=nets.py:made:talking").code == 0
    refused = cli("run", study, "--out", "run")
    assert refused.code == 2 and "holds cells of another model 'net'" in refused.err
    assert cli("clean", "run", "--yes").code == 0
    assert cli("run", study, "--out", "run").code == 0


def test_stimuli_that_changed_are_named_and_refused_unless_told(cli, study, images):
    command = ("run", study, "--out", "run", *SMALL)
    assert cli(*command).code == 0
    before = rows("matches")
    first, second, *_ = sorted(images.rglob("*.png"))
    second.unlink()
    second.write_bytes(first.read_bytes())
    (images / "0" / "new.png").write_bytes(first.read_bytes())
    refused = cli(*command)
    assert refused.code == 2 and refused.err.count("\n") == 1
    name = second.relative_to(images).as_posix()
    assert f"'{name}' has changed" in refused.err and "'0/new.png' is new" in refused.err and "--anew" in refused.err
    pd.testing.assert_frame_equal(rows("matches"), before)
    told = cli(*command, "--anew")
    assert told.code == 0 and "is deleted" in told.err and len(rows("matches")) == 5 * 4
    assert cli("verify", "run").code == 0
    kept = cli(*command, "--anew")
    assert kept.code == 0 and "20 cells are there already" in kept.err


@pytest.mark.parametrize("version", [None, 2, 3, 4, 99])
def test_a_run_in_another_format_is_not_read(cli, study, version):
    assert cli("run", study, "--out", "run", *SMALL, "models=nets.py:net", "stages=1").code == 0
    held = yaml.safe_load(Path("run/study.yaml").read_text())
    Path("run/study.yaml").write_text(yaml.safe_dump({**held, "format": version}))
    for command in (("status", "run"), ("report", "run"), ("run", study, "--out", "run")):
        ended = cli(*command)
        assert ended.code == 2 and f"in format {version}, not 5" in ended.err


def test_a_folder_with_nothing_but_the_lock_of_a_killed_run_is_free(cli, study):
    Path("run").mkdir()
    Path("run/lock.json").write_text("")
    os.utime("run/lock.json", (0, 0))
    assert cli("run", study, "--out", "run", "--set", "observers=[]").code == 0


def test_a_model_whose_code_has_changed_is_another(cli, study):
    command = ("run", study, "--out", "run", *SMALL, "models=nets.py:net", "stages='1'")
    assert cli(*command).code == 0
    code = Path("nets.py").read_text()
    Path("nets.py").write_text(code + "\n# that is all\n")
    assert "4 cells are there already" in cli(*command, "seeds=0").err
    Path("nets.py").write_text(code.replace("nn.ReLU()", "nn.Tanh()"))
    refused = cli(*command)
    assert refused.code == 2 and "with the same weights it computes something else" in refused.err
    # Nor is the null distribution that it left taken for that of the other.
    described = yaml.safe_load(Path("run/study.yaml").read_text())
    described["models"][0]["fingerprint"] = None
    Path("run/study.yaml").write_text(yaml.safe_dump(described))
    shutil.rmtree("run/batches")
    (null,) = Path("run/null").rglob("*.json")
    before = json.loads(null.read_text())
    assert cli(*command).code == 0
    after = json.loads(null.read_text())
    assert after["fingerprint"] != before["fingerprint"] and after["measures"] != before["measures"]
