"""The workers of a study: on this machine, of a scheduler that runs already, or jobs of SLURM."""

import os
import subprocess
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Thread
from typing import TYPE_CHECKING, Any

from metamers.errors import MetamersError

if TYPE_CHECKING:
    from distributed import Client

CONNECT_SECONDS = 20
_DASK = {
    # By itself it gives up a worker that is not there 15 s after it died, even where it was back and died again.
    "distributed.deploy.lost-worker-timeout": "30 days",
    "distributed.dashboard.link": "http://127.0.0.1:{port}/status",  # where it listens, not the scheduler's host
}


@dataclass(frozen=True)
class Slurm:
    """Jobs of SLURM, each a worker: of a partition, with CPU cores, memory, GPUs and a time limit (HH:MM:SS)."""

    partition: str
    cores: int = 4
    memory: str = "16GB"
    gpus: int = 0
    walltime: str = "04:00:00"


@contextmanager
def workers(n: int, address: str | None = None, slurm: Slurm | None = None) -> "Iterator[Client]":
    """A client with `n` workers of its own, which end with it, or those of the scheduler at `address`.

    Raises MetamersError without the extra, and where no scheduler answers within 20 s.
    """
    try:
        import dask
        from distributed import Client
    except ImportError as error:
        raise MetamersError(_needs("--runner dask", "dask")) from error
    if address is not None:
        with _connected(address) as client:
            yield client
        return
    with dask.config.set(_DASK), local_cluster(n) if slurm is None else slurm_cluster(slurm) as cluster:
        if slurm is not None:
            _require_accepted(cluster.job_script())
            cluster.scale(jobs=n)
        with Client(cluster) as client:
            yield client


def _needs(option: str, extra: str) -> str:
    install = f"pip install 'metamers[{extra}]' (in a clone: pip install -c constraints.txt -e '.[{extra}]')"
    return f"{option} needs the extra {extra!r}: {install}"


def _connected(address: str) -> "Client":
    """Raises MetamersError for what is no address, and where no scheduler answers in time, or something else does."""
    from distributed import Client

    found: Future[Client] = Future()

    def connect() -> None:
        try:
            found.set_result(Client(address, timeout=CONNECT_SECONDS))
        except BaseException as error:
            found.set_exception(error)

    # In a thread, as its own time limit does not hold for what accepts connections and then is silent.
    Thread(target=connect, daemon=True).start()
    try:
        return found.result(CONNECT_SECONDS + 1)
    except ValueError as error:
        raise MetamersError(f"--address {address}: is none; give tcp://HOST:8786") from error
    except Exception as error:
        raise MetamersError(
            f"no scheduler answers at {address} within {CONNECT_SECONDS} s ({type(error).__name__}); start one "
            "with `dask scheduler`, or leave --address out"
        ) from error


def local_cluster(n: int) -> Any:
    """`n` worker processes of this machine, which share its cores, or have OMP_NUM_THREADS each where that is set.

    Raises MetamersError where one does not start.
    """
    from distributed import LocalCluster

    threads = os.environ.get("OMP_NUM_THREADS") or str(max(1, (os.cpu_count() or 1) // n))
    try:
        return LocalCluster(
            n_workers=n,
            threads_per_worker=1,
            host="127.0.0.1",
            dashboard_address="127.0.0.1:0",
            env={"OMP_NUM_THREADS": threads},
        )
    except RuntimeError as error:
        raise MetamersError(f"the {n} workers could not be started ({error}); try again, or with fewer") from error


def _require_accepted(script: str) -> None:
    """Raises MetamersError where SLURM would not take a job script."""
    try:
        tried = subprocess.run(["sbatch", "--test-only"], input=script, capture_output=True, text=True, check=False)
    except OSError as error:
        raise MetamersError("--slurm needs the command sbatch, which is not here; call this where it is") from error
    if tried.returncode:
        said = (tried.stderr.strip().splitlines() or ["without a reason"])[-1]
        raise MetamersError(f"SLURM refuses the jobs ({said}); change --slurm, --gpus, --cores, --memory or --walltime")


def require_gpus(device: str, n: int, share: bool) -> None:
    """Raises MetamersError where `n` workers on the device `cuda` would share GPUs unasked."""
    import torch

    gpus = torch.cuda.device_count()
    if device.startswith("cuda") and not share and n > (gpus if device == "cuda" else 1):
        raise MetamersError(
            f"{n} workers on device {device!r} of this machine, which has {gpus} GPUs: one GPU is for one worker; "
            "lower --workers, or add --share-gpus"
        )


def slurm_cluster(slurm: Slurm) -> Any:
    """A cluster whose workers are jobs of SLURM. Raises MetamersError without the extra."""
    try:
        import dask
        from dask_jobqueue.slurm import SLURMCluster
    except ImportError as error:
        raise MetamersError(_needs("--slurm", "slurm")) from error
    site = dask.config.get("jobqueue.slurm")  # with what jobqueue.yaml says
    return SLURMCluster(
        queue=slurm.partition,
        cores=1,  # threads of a worker; torch uses the others
        processes=1,
        job_cpu=slurm.cores,
        job_script_prologue=[f"export OMP_NUM_THREADS={slurm.cores}"],
        memory=slurm.memory,
        walltime=slurm.walltime,
        scheduler_options={"dashboard_address": "127.0.0.1:0"} | (site.get("scheduler-options") or {}),
        worker_extra_args=["--no-dashboard", *(site.get("worker-extra-args") or ())],
        job_extra_directives=[f"--gres=gpu:{slurm.gpus}"] if slurm.gpus else [],
    )
