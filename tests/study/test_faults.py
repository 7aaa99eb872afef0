"""Killed at a random moment and run again, a study ends as if nothing had happened."""

import json
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import yaml

from metamers.store import Store, sha256

NETS = """
import torch
from torch import nn

def net():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 4)), 16
"""
DEADLY = """
import multiprocessing
import os

class Deadly(nn.Module):
    def __init__(self):
        super().__init__()
        self.inner = net()[0]

    def forward(self, x):
        if multiprocessing.parent_process() and not x.flatten(1).amax(1).all():
            os._exit(1)  # a worker that is shown something black
        return self.inner(x)

def deadly():
    return Deadly(), 16
"""
STUDY = {
    **{"models": {"source": "nets.py:net", "stages": ["1", "output"]}, "stimuli": "images.npz"},
    **{"null_stimuli": "null.npz", "null_pairs": 500, "recipes": {"name": "fast", "set": {"steps": 60}}},
    **{"seeds": [0, 1], "batch_size": 2, "report": False},
}
COMMAND = [sys.executable, "-c", "from metamers.cli import main; main()", "run", "study.yaml", "--out"]
DASK = ["--runner", "dask", "--workers", "2"]


def write_study(folder):
    pixels = np.random.default_rng(0).integers(0, 256, (64, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", X=pixels[:4], y=np.arange(4))
    np.savez(folder / "null.npz", X=pixels[4:])
    (folder / "nets.py").write_text(NETS)
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY))


def start(folder, out, *options):
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE}
    return subprocess.Popen([*COMMAND, out, *options], cwd=folder, env=environment, **quiet)  # type: ignore[call-overload]


def end(process):
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 0, errors.decode()


def matches(run):
    return pd.read_csv(run / "tables" / "matches.csv").drop(columns="seconds")


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory):
    """A folder with a study, its run that nothing broke, and how long that took."""
    folder = tmp_path_factory.mktemp("study")
    write_study(folder)
    begun = time.monotonic()
    end(start(folder, "unbroken"))
    return folder, time.monotonic() - begun


def assert_whole(run, before):
    """All files that records name are as they were written, and no batch of `before` was made again."""
    for batch in Store.open(run).batches():
        for cell in batch["cells"]:
            assert sha256((run / cell["file"]).read_bytes()) == cell["sha256"]
            assert sha256((run / cell["reference_file"]).read_bytes()) == cell["reference_sha256"]
    assert before == {path: path.stat().st_mtime_ns for path in before}


def wait_for_batches(process, run, n):
    """Until a run of eight batches has begun and has so many, and both of its workers live."""
    while not (run / "study.yaml").is_file() or len(batches(run)) < n or len(workers_of(process)) < 2:
        assert process.poll() is None
        time.sleep(0.02)


def workers_of(process):
    psutil = pytest.importorskip("psutil")
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def batches(run):
    return {path: path.stat().st_mtime_ns for path in (run / "batches").rglob("*.json")}


@pytest.mark.parametrize("number", range(20))
def test_the_main_process_is_killed(unbroken, number):
    folder, seconds = unbroken
    process = start(folder, f"main{number}")
    time.sleep(random.Random(number).uniform(0.3 * seconds, seconds))
    process.send_signal(signal.SIGKILL)
    process.communicate()
    run = folder / f"main{number}"
    before = batches(run)
    end(start(folder, run.name))
    assert_whole(run, before)
    pd.testing.assert_frame_equal(matches(run), matches(folder / "unbroken"))


@pytest.mark.parametrize("number", range(10))
def test_a_worker_is_killed(unbroken, number):
    pytest.importorskip("distributed")
    folder, _ = unbroken
    run = folder / f"worker{number}"
    process = start(folder, run.name, *DASK)
    wait_for_batches(process, run, random.Random(number).randrange(8))
    workers_of(process)[0].send_signal(signal.SIGKILL)
    before = batches(run)
    end(process)
    end(start(folder, run.name))
    assert_whole(run, before)
    pd.testing.assert_frame_equal(matches(run), matches(folder / "unbroken"))


@pytest.mark.parametrize("number", range(3))
def test_the_main_process_is_killed_while_workers_work(unbroken, number):
    psutil = pytest.importorskip("psutil")
    pytest.importorskip("distributed")
    folder, _ = unbroken
    run = folder / f"orphans{number}"
    process = start(folder, run.name, *DASK)
    wait_for_batches(process, run, 2 * number)
    workers = workers_of(process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    before = batches(run)
    end(start(folder, run.name))
    assert_whole(run, before)
    pd.testing.assert_frame_equal(matches(run), matches(folder / "unbroken"))
    assert not psutil.wait_procs(workers, timeout=60)[1]


def test_threads_of_one_worker_take_turns(unbroken):
    distributed = pytest.importorskip("distributed")
    folder, run = unbroken[0], unbroken[0] / "threads"
    options = {"host": "127.0.0.1", "dashboard_address": "127.0.0.1:0", "env": {"OMP_NUM_THREADS": "1"}}
    with distributed.LocalCluster(n_workers=1, threads_per_worker=2, **options) as cluster:
        end(start(folder, run.name, "--runner", "dask", "--address", cluster.scheduler_address))
    pd.testing.assert_frame_equal(matches(run), matches(folder / "unbroken"))


def write_deadly(folder, **black):
    """A study of a net that dies of what is black: stimuli of files at these places."""
    folder.mkdir()
    write_study(folder)
    for name, places in black.items():
        with np.load(folder / f"{name}.npz") as file:
            held = dict(file)
        held["X"][places] = 0
        np.savez(folder / f"{name}.npz", **held)
    (folder / "nets.py").write_text(NETS + DEADLY)
    settings = {"models": {"source": "nets.py:deadly", "stages": "inner.1"}, "seeds": 0}
    (folder / "study.yaml").write_text(yaml.safe_dump(STUDY | settings))


def verdicts(run):
    return pd.read_csv(run / "tables" / "matches.csv", dtype={"reference": str}).set_index("reference")


def test_cells_that_kill_their_workers_are_errors_and_the_others_are_made(unbroken):
    pytest.importorskip("distributed")
    folder, deadly = unbroken[0] / "deadly", ["00001", "00003"]
    write_deadly(folder, images=[1, 3])
    end(start(folder, "run", *DASK))
    told = verdicts(folder / "run")
    assert (told.verdict[deadly] == "error").all() and told.reason[deadly].str.contains("process died").all()
    assert (told.verdict.drop(deadly) != "error").all() and len(told) == 4


def test_a_null_that_kills_its_workers_ends_nothing_else(unbroken):
    pytest.importorskip("distributed")
    folder = unbroken[0] / "deadly-null"
    write_deadly(folder, null=[5])
    end(start(folder, "run", *DASK))
    assert list(verdicts(folder / "run").verdict) == ["no null"] * 4
    notes = [json.loads(path.read_text())["notes"] for path in (folder / "run" / "batches").rglob("*.json")]
    assert notes == [["no null: its process died each time that it was tried"]] * 2
