"""Every command: what it writes, what it says and where, and how it ends."""

import csv
import json
import re
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from metamers.cli import demo as demo_module
from metamers.cli.output import progress
from metamers.models.bundled import BUNDLED

OUT = ("--out", "run", "--no-report", "--json")
NET = ("make", "nets.py:net", "--stage", "1", "--set", "steps=20")
JUDGED = ("--null-stimuli", "null.npz", "--null-pairs", "500")


def make(function, steps):
    return "make", f"nets.py:{function}", "--stage", "1", "--set", f"steps={steps}"


@pytest.fixture
def run_folder(cli, images, null_npz):
    """A judged run of four cells."""
    assert cli(*NET, *JUDGED, "--stimuli", images, "--out", "run", "--no-report", "--set", "steps=100").code == 0
    return Path("run")


def test_make_end_to_end(cli, images, null_npz):
    ended = cli(*NET, *JUDGED, "--stimuli", images, "--out", "runs/a", "--json", "--set", "steps=200")
    said = ended.json
    assert ended.code == 0
    assert said["run"] == "runs/a"
    assert said["cells"] == 4 == said["passed"]
    assert said["stages"] == [{"model": "net", "stage": "1", "passed": 4}]
    assert {path.name for path in Path("runs/a").iterdir()} >= {"study.yaml", "references", "metamers", "tables"}
    assert Path(said["report"]).is_file()
    with Path(said["matches"]).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["reference"] for row in rows] == ["0/0_0.png", "0/0_2.png", "1/1_1.png", "1/1_3.png"]
    assert [row["label"] for row in rows] == ["0", "0", "1", "1"]
    assert all(Path("runs/a", row["file"]).is_file() for row in rows)
    assert cli("verify", "runs/a", "--json").json["passed"] == 4


def test_the_quantile_is_what_is_judged_by(cli, images, null_npz):
    for quantile in ("max", "0.5"):
        out = f"run-{quantile}"
        make = (*NET, *JUDGED, "--stimuli", images, "--quantile", quantile, "--set", "steps=1", "--out", out)
        assert cli(*make, "--no-report").code == 0
        (record,) = Path(out).glob("batches/**/*.json")
        criterion = json.loads(record.read_text())["criterion"]
        assert criterion["above"] == [[m, quantile] for m in ("pearson_r", "snr_db", "spearman_rho")]
        assert criterion["same_decision"]
        said = f"snr_db > null {quantile} & spearman_rho > null {quantile} & same decision"
        assert said in " ".join(Path(out, "study.yaml").read_text().split())


def test_make_without_json_says_it_on_stderr(cli, images, null_npz):
    ended = cli(*NET, *JUDGED, "--stimuli", images, "--out", "run")
    assert (ended.code, ended.out) == (0, "")
    assert re.search(r"^[0-4] of 4 metamers passed", ended.err, re.MULTILINE)
    assert ended.err.endswith(f"see {Path('run/report.html')}\n")


def test_make_without_a_null_says_so_and_how_to_mend_it(cli, images, null_npz):
    ended = cli(*NET, "--stimuli", images, "--out", "run", "--no-report", "--strict")
    assert ended.code == 1
    assert "--null-stimuli with 50 different ones, or 200 stimuli; given: 4" in ended.err
    assert "4 could not be judged (no null)" in ended.err
    assert not Path("run/report.html").exists()
    np.savez("few.npz", X=np.load(null_npz)["X"][:20])
    ended = cli(*NET, "--stimuli", images, "--null-stimuli", "few.npz", "--out", "few", "--json")
    assert ended.json["no_null"] == 4
    assert "50 different --null-stimuli; given: 20" in ended.err


def test_a_model_that_prints_leaves_the_json_alone(cli, images):
    ended = cli(*make("made:talking", 1), "--stimuli", images, *OUT)
    assert ended.json["cells"] == 4
    assert "a user's model may print" in ended.err
    assert cli("stages", "nets.py:made:talking", "--json").json["model"] == "talking"


def test_a_model_without_a_decision(cli, images, null_npz):
    ended = cli(*make("features", 200), *JUDGED, "--stimuli", images, *OUT)
    assert ended.json["passed"] == 4
    assert Path("run/tables/responses.csv").read_text().count("\n") == 1
    assert cli("verify", "run").code == 0


def test_a_model_of_any_size_takes_that_of_the_stimuli(cli, images):
    make = ("make", "nets.py:any_size", "--stage", "1", "--stimuli", images, "--set", "steps=1", "--json")
    assert cli(*make, "--out", "run").json["cells"] == 4
    assert Path("run/references/16x16").is_dir()
    assert cli(*make, "--input-size", "12x20", "--out", "run2").json["cells"] == 4
    assert Path("run2/references/12x20").is_dir()


def test_a_gray_model_sees_gray_stimuli(cli, images, null_npz):
    ended = cli(*make("gray", 20), *JUDGED, "--stimuli", images, *OUT)
    assert ended.json["cells"] == 4
    assert Path("run/references/16x16-gray").is_dir()
    assert cli("verify", "run").code == 0


@pytest.mark.parametrize(
    ("options", "labels"),
    [
        ((), ["0", "0", "1", "1"]),
        (("--labels", "labels.csv", "--label-column", "kind"), ["cat", "", "dog", "cat"]),
        (("--label-pattern", "?_{label}.png"), ["0", "2", "1", "3"]),
        (("--limit", "1"), ["0"]),
    ],
)
def test_labels(cli, images, options, labels):
    Path("labels.csv").write_text("file,kind,other\n0_0.png,cat,1\n1_1.png,dog,2\n1/1_3.png,cat,3\n")
    cli(*NET, "--stimuli", images, *options, "--out", "run", "--no-report", "--json", "--set", "steps=1")
    with Path("run/tables/matches.csv").open() as file:
        assert [row["label"] for row in csv.DictReader(file)] == labels


def test_stages_and_seeds_in_any_number(cli):
    np.savez("two.npz", X=np.zeros((2, 16, 16, 3), np.uint8) + np.arange(16, dtype=np.uint8)[:, None, None], y=[1, 2])
    make = (*NET[:2], "--stimuli", "two.npz", "--limit", "1", "--set", "steps=1", "start=pink", "--no-report", "--json")
    said = cli(*make, "--stage", "0", "1", "--stage", "0+1", "--seed", "0", "7", "--seed", "7", "--out", "run").json
    assert [row["stage"] for row in said["stages"]] == ["0", "1", "0+1"]
    assert said["cells"] == 6
    with Path("run/tables/matches.csv").open() as file:
        assert {row["seed"] for row in csv.DictReader(file)} == {"0", "7"}


def test_the_same_command_again_changes_nothing(cli, run_folder, images):
    before = {
        path: path.stat().st_mtime_ns
        for path in run_folder.rglob("*.*")
        if path.parent.name not in ("tables", "figures")
    }
    assert cli(*NET, *JUDGED, "--stimuli", images, "--out", "run", "--set", "steps=100").code == 0
    after = {path: path.stat().st_mtime_ns for path in before}
    assert {path for path in before if before[path] != after[path]} <= {run_folder / "report.html"}


def test_verify_finds_an_altered_file(cli, run_folder):
    whole = cli("verify", "run", "--json")
    assert (whole.code, whole.json["ok"], whole.json["cells"]) == (0, True, 4)
    first = min(run_folder.glob("metamers/**/*.png"))
    first.write_bytes(first.read_bytes()[:-1] + b"x")
    altered = cli("verify", "run", "--json")
    assert (altered.code, altered.json["ok"]) == (1, False)
    assert altered.json["altered"] == [first.relative_to(run_folder).as_posix()]
    said = cli("verify", "run")
    assert (said.code, said.out) == (1, "")
    assert f"altered or missing: {first.relative_to(run_folder).as_posix()}" in said.err
    first.unlink()
    assert cli("verify", "run").code == 1


def test_verify_finds_an_altered_verdict(cli, run_folder):
    path = next(run_folder.glob("batches/**/*.json"))
    record = json.loads(path.read_text())
    record["cells"][0]["verdict"] = "failed" if record["cells"][0]["verdict"] == "passed" else "passed"
    path.write_text(json.dumps(record))
    ended = cli("verify", "run", "--json")
    assert ended.code == 1
    assert ended.json["changed"] == [record["cells"][0]["cell"]]


def test_report(cli, run_folder):
    page = run_folder / "report.html"
    assert cli("report", "run").err == f"see {page}\n"
    said = cli("report", "run", "--standalone", "--json").json
    assert said == {"run": "run", "report": str(page), "bytes": page.stat().st_size}


def test_stages(cli):
    said = cli("stages", "nets.py:net", "--json").json
    assert [stage["name"] for stage in said["stages"]][:3] == ["input", "0", "1"]
    assert said["stages"][1]["shape"] == [4, 14, 14]
    listed = cli("stages", "nets.py:net")
    assert listed.code == 0
    assert re.search(r"^\* 1 .* 4 x 14 x 14 +ReLU$", listed.out, re.MULTILINE)


def test_models(cli):
    said = cli("models", "--json").json
    assert [card["name"] for card in said["bundled"]] == list(BUNDLED)
    listed = cli("models").out
    assert "bundled:picto-alexnet" in listed
    assert "FILE.py:FUNCTION[:ARGUMENT]" in listed


SHORT = {
    "image": replace(
        demo_module.IMAGES,
        stages={"picto-resnet": ("relu",), "picto-alexnet": ("features.1",)},
        stimuli="bundled:pictograms?n=2",
        attacked="bundled:pictograms?n=4",
        steps=50,
        null_stimuli="bundled:pictograms?n=60&seed=1",
    ),
    "sound": replace(
        demo_module.SOUNDS,
        stages={"word-cochresnet": ("layer4",), "word-cochcnn": ("relufc",)},
        stimuli="bundled:spoken_clips?n=2",
        attacked="bundled:spoken_clips?n=4",
        steps=20,
        null_stimuli="bundled:spoken_clips?n=52",
    ),
}


def rows_of(path):
    with Path(path).open() as file:
        return list(csv.DictReader(file))


def test_demo(cli, monkeypatch):
    monkeypatch.setattr(demo_module, "DEMONSTRATIONS", SHORT)
    ended = cli("demo", "--json")
    assert ended.code == 0
    assert ended.json["cells"] == 4
    assert Path("runs/demo/report.html").is_file()
    answers = Counter((row["observer"], row["model"]) for row in rows_of("runs/demo/tables/responses.csv"))
    ours = {("picto-resnet", "picto-resnet"), ("picto-alexnet", "picto-alexnet"), ("picto-alexnet", "picto-resnet")}
    observers = ("picto-resnet", "picto-resnet-b", "picto-alexnet")
    assert answers == dict.fromkeys(
        {*ours, ("picto-resnet-b", "picto-resnet"), ("picto-resnet-b", "picto-alexnet")}
        | {(name, "") for name in observers},
        2,
    )
    attacks = {(row["model"], float(row["eps"])) for row in rows_of("runs/demo/tables/robustness.csv")}
    assert attacks == {("picto-resnet", 1.0), ("picto-alexnet", 1.0)}


def test_demo_of_both_kinds(cli, monkeypatch):
    monkeypatch.setattr(demo_module, "DEMONSTRATIONS", SHORT)
    ended = cli("demo", "--kind", "both", "--json", "--out", "shown")
    assert ended.code == 0
    assert {kind: (run["cells"], run["report"]) for kind, run in ended.json.items()} == {
        "image": (4, "shown/report.html"),
        "sound": (4, "shown/sound/report.html"),
    }
    assert len(list(Path("shown/sound/metamers").rglob("*.wav"))) == 4
    attacks = {(row["model"], float(row["eps"])) for row in rows_of("shown/sound/tables/robustness.csv")}
    assert attacks == {("word-cochresnet", 0.5), ("word-cochcnn", 0.5)}


def test_demo_of_sounds_says_what_came_out(cli, monkeypatch):
    monkeypatch.setattr(demo_module, "DEMONSTRATIONS", SHORT)
    ended = cli("demo", "--kind", "sound", "--strict", "--out", "heard")
    assert (ended.code, ended.out) == (1, "")  # 20 steps are too few
    assert "of 4 metamers passed" in ended.err and "see heard/report.html" in ended.err


def test_help_and_version(cli):
    for command in ("demo", "models", "stages", "make", "verify", "report"):
        ended = cli(command, "--help")
        assert ended.code == 0
        assert command in ended.out
        assert "--empty-" not in ended.out
    assert cli("--version").out.strip()


def test_progress_lines_where_there_is_no_terminal(capsys, monkeypatch):
    times = iter((0.0, 1.0, 11.0, 12.0, 30.0))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with progress() as update:
        for done in range(4):
            update(done, 4, "net 1")
    assert capsys.readouterr().err.splitlines() == [" 25 %  30 s left  net 1", " 75 %  10 s left  net 1"]


def test_what_a_resumed_run_skips_tells_nothing_of_the_remaining_time(capsys, monkeypatch):
    times = iter((0.0, 1.0, 2.0, 130.0, 141.0))
    monkeypatch.setattr("time.monotonic", lambda: next(times))
    with progress() as update:
        for done in (0, 90, 91, 92):
            update(done, 100, "net 1")
    assert capsys.readouterr().err.splitlines() == [
        " 91 %  remaining time unknown yet  net 1",
        " 92 %  88 s left  net 1",
    ]


def test_a_closed_pipe_is_no_error():
    metamers = f"'{sys.executable}' -c 'from metamers.cli import main; main()'"
    done = subprocess.run(
        ["bash", "-c", f"{metamers} models | true; exit ${{PIPESTATUS[0]}}"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
