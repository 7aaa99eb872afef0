"""Workers: which GPU is whose, and workers that cannot do the work."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from metamers.errors import MetamersError
from metamers.study import Settings, clusters
from metamers.study.clusters import require_gpus
from metamers.study.config import StudyConfig
from metamers.study.resolve import Study
from metamers.synthesis import recipe_named

dask_runner = pytest.importorskip("metamers.study.dask_runner")
distributed = pytest.importorskip("distributed")
dask = pytest.importorskip("dask")

CONFIG = '{"models": [{"source": "nets.py:net"}], "stimuli": {"source": "images"}}'
SETTINGS = Settings((recipe_named("fast"),), None)


@pytest.mark.parametrize(
    ("device", "workers", "share", "allowed"),
    [
        *(("cpu", 8, False, True), ("cuda", 2, False, True), ("cuda", 3, False, False), ("cuda", 3, True, True)),
        *(("cuda:1", 1, False, True), ("cuda:1", 2, False, False)),
    ],
)
def test_one_gpu_is_for_one_worker_unless_asked(monkeypatch, device, workers, share, allowed):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    if allowed:
        require_gpus(device, workers, share)
        return
    with pytest.raises(MetamersError, match="one GPU is for one worker; lower --workers"):
        require_gpus(device, workers, share)


@pytest.mark.parametrize(
    ("name", "gpus", "device", "own"),
    [
        *((0, 2, "cuda", "cuda:0"), (1, 2, "cuda", "cuda:1"), (2, 2, "cuda", "cuda:0"), (1, 1, "cuda", "cuda")),
        *((1, 2, "cuda:0", "cuda:0"), (1, 0, "cpu", "cpu"), ("SLURMCluster-0", 1, "cuda", "cuda")),
        ("tcp://10.0.0.1:1234", 2, "cuda", None),
    ],
)
def test_workers_of_one_machine_take_different_gpus(monkeypatch, name, gpus, device, own):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    monkeypatch.setattr("distributed.get_worker", lambda: SimpleNamespace(name=name))
    if own is None:
        with pytest.raises(MetamersError, match="sees 2 GPUs .* CUDA_VISIBLE_DEVICES"):
            dask_runner.own_device(device)
    else:
        assert dask_runner.own_device(device) == own


@pytest.mark.parametrize(
    ("version", "here", "words"), [("0.0.1", ".", "has metamers .*, not 0.0.1"), (None, "/nowhere", "has no folder")]
)
def test_a_worker_that_differs_is_refused(version, here, words):
    from metamers import __version__

    place = dask_runner.Place(CONFIG, "token", version or __version__, here, "run", 0, 0)
    with pytest.raises(MetamersError, match=f"a worker on .* {words}"):
        dask_runner._null_key(place)


@pytest.mark.parametrize(
    ("sbatch", "words"),
    [
        (None, "needs the command sbatch"),
        ("echo 'sbatch: error: invalid partition specified: gpuu' >&2; exit 1", "invalid partition specified: gpuu"),
    ],
)
def test_jobs_that_slurm_does_not_take_are_refused(tmp_path, monkeypatch, sbatch, words):
    pytest.importorskip("dask_jobqueue")
    from metamers.study.clusters import Slurm, workers

    monkeypatch.setenv("PATH", str(tmp_path))
    if sbatch is not None:
        (tmp_path / "sbatch").write_text(f"#!/bin/sh\n{sbatch}\n")
        (tmp_path / "sbatch").chmod(0o755)
    with pytest.raises(MetamersError, match=words), workers(1, slurm=Slurm("gpuu")):
        pass


def test_the_dashboard_of_a_cluster_is_named_by_where_it_listens(tmp_path, monkeypatch):
    pytest.importorskip("dask_jobqueue")
    (tmp_path / "sbatch").write_text("#!/bin/sh\n")
    (tmp_path / "sbatch").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with clusters.workers(0, slurm=clusters.Slurm("gpu")) as client:
        assert client.dashboard_link.startswith("http://127.0.0.1:")


@pytest.mark.parametrize(("n", "given", "threads"), [(1, None, os.cpu_count()), (2, "1", 1)])
def test_workers_share_the_cores(monkeypatch, n, given, threads):
    from metamers.study.clusters import workers

    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    if given:
        monkeypatch.setenv("OMP_NUM_THREADS", given)
    with workers(n) as client:
        assert set(client.run(os.getenv, "OMP_NUM_THREADS").values()) == {str(threads)}


def test_what_is_no_scheduler_is_given_up_in_time(monkeypatch):
    monkeypatch.setattr(clusters, "CONNECT_SECONDS", 2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = "tcp://{}:{}".format(*silent.getsockname())
        for where, words in ((address, f"no scheduler answers at {address} within 2 s"), ("127.0.0.1", "is none")):
            with pytest.raises(MetamersError, match=words), clusters.workers(1, where):
                pass


def test_a_worker_that_died_is_waited_for():
    with dask.config.set({"distributed.deploy.lost-worker-timeout": "0 s"}), clusters.workers(1) as client:
        died = client.submit(os.getpid, pure=False).result(timeout=60)
        os.kill(died, signal.SIGKILL)
        assert client.submit(os.getpid, pure=False).result(timeout=60) != died


def test_workers_that_cannot_be_started_again_are_not_waited_for(monkeypatch):
    monkeypatch.setattr(dask_runner, "POLL_SECONDS", 0.2)
    watch = SimpleNamespace(running=lambda cells: None, at=lambda share, words: None)
    with clusters.workers(1) as client:
        own: Any = client.cluster
        own.sync(own.workers[0].close)
        runner = dask_runner.DaskRunner(client, StudyConfig.model_validate_json(CONFIG))
        with pytest.raises(MetamersError, match="all workers ended .* run the same command again"):
            list(runner._each([("a job", (os.getpid,))], watch))


def test_a_result_that_was_lost_with_its_worker_is_computed_anew(monkeypatch):
    monkeypatch.setattr(dask_runner, "POLL_SECONDS", 0.5)
    with clusters.workers(1) as client:
        kept = client.submit(os.getpid, pure=False)
        distributed.wait([kept], timeout=60)
        own: Any = client.cluster
        died = own.workers[0].pid
        os.kill(died, signal.SIGSTOP)  # it answers nobody
        assert dask_runner._result(kept) is dask_runner._LOST
        os.kill(died, signal.SIGKILL)
        deadline = time.monotonic() + 60
        while not (found := dask_runner._finished([kept])):
            assert time.monotonic() < deadline
    assert found[0][1] != died


def test_a_scheduler_that_is_lost_is_told(tmp_path):
    file = tmp_path / "scheduler.json"
    options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard", "--scheduler-file", file)
    scheduler = subprocess.Popen([sys.executable, "-m", "distributed.cli.dask_scheduler", *options])
    deadline = time.monotonic() + 60
    while not file.is_file():
        assert time.monotonic() < deadline
        time.sleep(0.1)
    with clusters.workers(0, json.loads(file.read_text())["address"]) as client:
        lost = SimpleNamespace(running=lambda cells: scheduler.kill(), at=lambda share, words: None)
        runner = dask_runner.DaskRunner(client, StudyConfig.model_validate_json(CONFIG))
        with pytest.raises(MetamersError, match="the scheduler was lost; run the same command again"):
            list(runner._each([("a job", (os.getpid,))], lost))
    scheduler.wait()


def test_what_a_worker_lacks_is_told():
    def result(timeout: float) -> None:
        raise ModuleNotFoundError("No module named 'timm'")

    with pytest.raises(MetamersError, match=r"a worker cannot import .* \(No module named 'timm'\); install it"):
        dask_runner._result(SimpleNamespace(result=result))


def test_workers_read_relative_paths_from_where_the_study_was_called_and_use_their_cores(tmp_path, monkeypatch):
    here = Path.cwd()
    loaded = []

    def resolve(config, check):
        loaded.append(Path.cwd())
        return Study([], SETTINGS, ())

    monkeypatch.setattr(dask_runner, "resolve", resolve)
    monkeypatch.setattr(dask_runner, "own_device", lambda device: device)
    threads, kept = list[int](), list[tuple[int, int]]()
    library = SimpleNamespace(mallopt=lambda parameter, value: kept.append((parameter, value)))
    monkeypatch.setattr(dask_runner, "CDLL", lambda name: library)
    monkeypatch.setattr(torch, "set_num_threads", threads.append)
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    try:
        dask_runner._loaded(CONFIG, "another token", dask_runner.__version__, str(tmp_path))
    finally:
        os.chdir(here)
        dask_runner._loaded.cache_clear()
    assert loaded == [tmp_path] and threads == [3] and kept == [(-3, 2**25), (-1, 2**26)]
