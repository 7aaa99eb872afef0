"""The job script for a GPU partition."""

from pathlib import Path

import pytest

pytest.importorskip("dask_jobqueue")

import dask

from metamers.study.clusters import Slurm, slurm_cluster

GOLDEN = Path(__file__).with_name("slurm_gpu.sh")


def test_what_a_site_asks_for_is_kept():
    site = {
        "jobqueue.slurm.scheduler-options": {"host": "127.0.0.1"},
        "jobqueue.slurm.worker-extra-args": ["--lifetime", "55m"],
    }
    with dask.config.set(site), slurm_cluster(Slurm("gpu")) as cluster:
        assert cluster.scheduler.address.startswith("tcp://127.0.0.1:")
        assert "--no-dashboard --lifetime 55m" in cluster.job_script()


def test_the_job_script_for_a_gpu_partition():
    with slurm_cluster(Slurm("gpu", cores=8, memory="32GB", gpus=1, walltime="12:00:00")) as cluster:
        *script, command = [line for line in cluster.job_script().splitlines() if line]
        sockets = cluster.scheduler.http_server._sockets.values()
        assert [socket.getsockname()[0] for socket in sockets] == ["127.0.0.1"]  # the dashboard, for this machine alone
    assert "\n".join(script) + "\n" == GOLDEN.read_text()
    worker = command.split()
    assert worker[1:3] == ["-m", "distributed.cli.dask_worker"]
    assert [worker[worker.index(option) + 1] for option in ("--nthreads", "--memory-limit")] == ["1", "29.80GiB"]
    assert "--no-dashboard" in worker
