"""A `make` that is interrupted or killed resumes, does nothing twice, and ends where an unbroken one ends."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

from metamers.stimuli import read_image
from metamers.store import Store

MAKE = ("make", "nets.py:made:slow", "--stage", "0", "1", "--batch-size", "2", "--set", "steps=40", "--no-report")


def broken_off(arguments: tuple[str, ...], number: signal.Signals, cwd: Path) -> tuple[int, str, str]:
    """`metamers ARGUMENTS` in a process of its own, sent a signal in the middle: exit code, stdout, stderr."""
    process = subprocess.Popen(
        [sys.executable, "-c", "from metamers.cli import main; main()", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=cwd,
        env={**os.environ, "SECONDS_A_PASS": "0.05"},
    )
    limit = time.monotonic() + 120
    while not list(cwd.glob("run/batches/**/*.json")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.01)
    time.sleep(0.1)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out, err


def records(run: Path) -> dict[Path, int]:
    return {path: path.stat().st_mtime_ns for path in run.glob("batches/**/*.json")}


def tables(run: Path) -> dict[str, pd.DataFrame]:
    read = {path.stem: pd.read_csv(path) for path in sorted(run.glob("tables/*.csv"))}
    return {name: table.drop(columns="seconds", errors="ignore") for name, table in read.items()}


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_it_resumes(cli, images, null_npz, tmp_path, number):
    make = (*MAKE, "--stimuli", str(images), "--null-stimuli", str(null_npz), "--null-pairs", "500")
    code, out, err = broken_off((*make, "--out", "run"), number, tmp_path)
    run = tmp_path / "run"
    before = records(run)
    assert 1 <= len(before) < 4
    assert out == ""
    if number == signal.SIGINT:
        assert code == 130
        assert err.endswith("metamers: interrupted; run the same command again to resume\n")
        assert "Traceback" not in err
        assert not list(run.rglob("*.tmp"))
    for batch in Store.open(run).batches():
        assert all((run / cell["file"]).is_file() for cell in batch["cells"])
    for path in run.rglob("*.png"):
        if not path.name.startswith("."):
            assert read_image(path).shape == (16, 16, 3)

    assert cli(*make, "--out", "run", "--json").json["cells"] == 8
    after = records(run)
    assert len(after) == 4
    assert {path: after[path] for path in before} == before
    assert cli("verify", "run").code == 0

    cli(*make, "--out", "unbroken")
    resumed, unbroken = tables(run), tables(tmp_path / "unbroken")
    assert list(resumed) == list(unbroken) == ["controls", "matches", "null", "responses", "robustness"]
    for name, table in resumed.items():
        pd.testing.assert_frame_equal(table, unbroken[name], obj=name)


def test_what_a_kill_left_of_the_first_file_is_no_obstacle(cli, images):
    Path("run").mkdir()
    Path("run/.study.yaml.abc.tmp").write_text("half")
    options = ("--stage", "1", "--stimuli", images, "--out", "run", "--no-report", "--json", "--set", "steps=1")
    assert cli("make", "nets.py:net", *options).json["cells"] == 4
