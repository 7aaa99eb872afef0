"""The runner for many processes, on one machine or a cluster: dask.distributed (extra: dask).

Workers read the study's configuration, load a model once and keep it; what comes back from them is keys, not data.
"""

import os
import secrets
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager, suppress
from ctypes import CDLL
from functools import lru_cache, wraps
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, NamedTuple, ParamSpec, TypeVar

from metamers import __version__
from metamers.errors import MetamersError
from metamers.store import Store, read_json
from metamers.study.batches import synthesize_each
from metamers.study.config import StudyConfig
from metamers.study.making import NULL_FAILED, Null, add_references, make_batch, null_of
from metamers.study.plan import Batch, ModelTask, Settings, cut_batches
from metamers.study.resolve import Study, resolve
from metamers.study.watch import Watch

if TYPE_CHECKING:
    from distributed import Client, Future

P = ParamSpec("P")
R = TypeVar("R")

AHEAD = 4
"""Tasks for each worker that the scheduler is given at once: its memory does not grow with the study."""
POLL_SECONDS = 5.0
_KILLED = object()
"""The result of a task whose workers died, each time that it was tried."""
_LOST = object()
"""The result of a task whose worker died before it was fetched, so that another computes it anew."""
_AT_WORK = Lock()
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


class Place(NamedTuple):
    """Which stage of which model of a study, in which run; and the folder that relative paths start from."""

    config: str
    token: str
    version: str
    here: str
    folder: str
    task: int
    representation: int


class DaskRunner:
    """Makes the nulls and batches of a study on the workers of a client.

    A batch whose worker dies is tried on another, as often as the scheduler allows (three times). Then each of its
    cells is tried alone, and those that kill their workers again are recorded as errors. Where it is a null
    distribution that kills them, its stage has none.
    """

    def __init__(self, client: "Client", config: StudyConfig) -> None:
        self.client = client
        self.config = config.model_dump_json()
        self.token = secrets.token_hex(8)  # so that workers that live on read the study anew

    def __call__(self, store: Store, tasks: Sequence[ModelTask], settings: Settings, watch: Watch) -> None:
        """See `metamers.study.local.Runner`."""
        paths = str(Path.cwd()), str(store.folder.resolve())
        for task in tasks:
            add_references(store, task, range(len(task.stimuli)))
        places = [
            Place(self.config, self.token, __version__, *paths, i, j)
            for i, task in enumerate(tasks)
            for j in range(len(task.representations))
        ]
        keys: dict[Place, str | None] = {}
        without_null = set[Place]()  # whose null distribution kills its workers
        for place, key in self._each(((place, (_null_key, place)) for place in places), watch):
            if key is _KILLED:
                without_null.add(place)
            keys[place] = None if key is _KILLED else key
            watch.finished("null distributions")

        def jobs() -> Iterator[tuple[tuple[Place, Batch], tuple[Any, ...]]]:
            for place in places:
                task, key = tasks[place.task], keys[place]
                for batch in cut_batches(task, settings, key, task.representations[place.representation]):
                    if _path(store, batch).is_file():
                        watch.finished(_named(batch))
                    else:
                        yield (place, batch), (_make, place, key, batch.id, place in without_null)

        deadly: list[tuple[Place, Batch]] = []
        for (place, batch), made in self._each(jobs(), watch, lambda label: len(label[1].rows)):
            if made is _KILLED:
                deadly.append((place, batch))
            else:
                watch.finished(_named(batch), read_json(_path(store, batch)))

        for place, batch in deadly:  # when nothing else runs, as a dying worker makes all its tasks suspect
            self._make_without_killers(place, keys[place], batch, place in without_null, watch)
            watch.finished(_named(batch), read_json(_path(store, batch)))

    def _make_without_killers(
        self, place: Place, key: str | None, batch: Batch, without_null: bool, watch: Watch
    ) -> None:
        alone = [(row, (_try, place, batch.recipe.name, batch.seed, row)) for row in batch.rows]
        tried = [found for job in alone for found in self._each([job], watch)]
        killers = tuple(row for row, lived in tried if lived is _KILLED)
        job = batch, (_make, place, key, batch.id, without_null, killers)
        for _, made in self._each([job], watch, lambda b: len(b.rows)):
            if made is _KILLED:
                raise MetamersError(
                    f"work on {batch.task.model.name} ends its workers, though no cell alone does; give them more "
                    "memory, or the study a smaller batch_size and another --out"
                )

    def _each(
        self, jobs: Iterable[tuple[Any, tuple[Any, ...]]], watch: Watch, cells: Callable[[Any], int] = lambda label: 0
    ) -> Iterator[tuple[Any, Any]]:
        """Each job's label and its result once it is done; a job is a label, and a function with its arguments. `cells`
        tells how many the job with a label makes."""
        left, pending = iter(jobs), dict[Any, Any]()
        while True:
            with _needing_its_scheduler():
                workers = len(self.client.scheduler_info(n_workers=-1)["workers"])
                room = AHEAD * max(1, workers) - len(pending)
                for _, (label, (function, *arguments)) in zip(range(room), left, strict=False):
                    pending[self.client.submit(function, *arguments, pure=False)] = label
                watch.running(sum(map(cells, list(pending.values())[:workers])))
                finished = _finished(list(pending))
            if not pending:
                return
            if not finished:
                if not workers and _none_will_come(self.client):
                    raise MetamersError(
                        "all workers ended and could not be started again; run the same command again, it resumes"
                    )
                watch.at(0, f"{workers} workers" if workers else "waiting for workers")
            for future, result in finished:
                yield pending.pop(future), result


def _path(store: Store, batch: Batch) -> Path:
    return store.batch_path(batch.task.model.name, batch.representation.name, batch.id)


def _named(batch: Batch) -> str:
    return f"{batch.task.model.name} {batch.representation.name}"


def _none_will_come(client: "Client") -> bool:
    from distributed import Status

    own = client.cluster
    return own is not None and all(worker.status in (Status.closed, Status.failed) for worker in own.workers.values())


@contextmanager
def _needing_its_scheduler() -> Iterator[None]:
    from distributed.comm.core import CommClosedError

    try:
        yield
    except (CancelledError, CommClosedError) as error:
        raise MetamersError("the scheduler was lost; run the same command again, it resumes") from error


def _finished(futures: "Sequence[Future[Any]]") -> "list[tuple[Future[Any], Any]]":
    """Those of some tasks that are done, with their results: as soon as there is one, or none after `POLL_SECONDS`."""
    from distributed import wait

    try:
        done = wait(futures, timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").done if futures else ()
    except TimeoutError:
        return []
    found = [(future, _result(future)) for future in done]
    return [(future, result) for future, result in found if result is not _LOST]


def _result(future: "Future[Any]") -> Any:
    """What a task gave, `_KILLED`, or `_LOST`. It is forgotten, or others would compute it anew where the worker that
    has it dies."""
    from distributed import KilledWorker

    try:
        result = future.result(timeout=POLL_SECONDS)
    except KilledWorker:
        result = _KILLED
    except TimeoutError:
        if future.status == "error":
            raise  # it is the task's own
        return _LOST
    except ImportError as error:
        raise MetamersError(
            f"a worker cannot import what the study needs ({error}); install it for the workers"
        ) from error
    future.release()
    return result


@lru_cache(maxsize=1)
def _loaded(config: str, token: str, version: str, here: str) -> Study:
    """The study as a worker loads and keeps it."""
    import torch

    host = socket.gethostname()
    if version != __version__:
        raise MetamersError(
            f"a worker on {host} has metamers {__version__}, not {version}; install the same everywhere"
        )
    try:
        os.chdir(here)
    except OSError as error:
        raise MetamersError(
            f"a worker on {host} has no folder {here}; run the study on a disk that workers share"
        ) from error
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))  # set, but after torch was loaded, by Dask
    _keep_freed_memory()
    study = StudyConfig.model_validate_json(config)
    return resolve(study.model_copy(update={"device": own_device(study.device)}), check=False)


def _keep_freed_memory() -> None:
    """Undo what Dask asks of glibc for its workers: to give all memory back at once, which doubles the time of a step.

    The values are those that glibc by itself comes to when large tensors are freed (mallopt(3)).
    """
    with suppress(OSError, AttributeError):  # another system's library
        library = CDLL("libc.so.6")
        library.mallopt(_MMAP_THRESHOLD, 32 * 2**20)
        library.mallopt(_TRIM_THRESHOLD, 64 * 2**20)


def _study(place: Place) -> Study:
    return _loaded(place.config, place.token, place.version, place.here)


def own_device(device: str) -> str:
    """The GPU of this worker, of those that its machine lets it see: the first worker's is the first.

    Raises MetamersError for a worker without a number that sees several.
    """
    import torch
    from distributed import get_worker

    name, gpus = get_worker().name, torch.cuda.device_count()
    if device != "cuda" or gpus < 2:
        return device
    if not str(name).isdigit():
        raise MetamersError(
            f"a worker on {socket.gethostname()} sees {gpus} GPUs and does not know which is its own; start each "
            "worker with one in CUDA_VISIBLE_DEVICES"
        )
    return f"cuda:{int(name) % gpus}"


@lru_cache(maxsize=8)
def _batches(place: Place, key: str | None) -> dict[str, Batch]:
    study = _study(place)
    task = study.tasks[place.task]
    cut = cut_batches(task, study.settings, key, task.representations[place.representation])
    return {batch.id: batch for batch in cut}


def _alone(work: Callable[P, R]) -> Callable[P, R]:
    """`work`, which no other thread of its worker does meanwhile: they share a model, and what is captured of it."""

    @wraps(work)
    def waiting(*args: P.args, **kwargs: P.kwargs) -> R:
        with _AT_WORK:
            return work(*args, **kwargs)

    return waiting


@_alone
def _null_key(place: Place) -> str | None:
    study = _study(place)
    task = study.tasks[place.task]
    return null_of(Store(place.folder), task, task.representations[place.representation], study.settings).key


@_alone
def _make(place: Place, key: str | None, batch_id: str, without_null: bool, killers: tuple[int, ...] = ()) -> str:
    batch, settings, store = _batches(place, key).get(batch_id), _study(place).settings, Store(place.folder)
    if batch is None:
        raise MetamersError(
            f"a worker on {socket.gethostname()} reads other stimuli or models than the study began with; let nothing "
            "change while it runs, and run the same command again"
        )
    if not _path(store, batch).is_file():
        gone = Null(notes=(f"{NULL_FAILED}its process died each time that it was tried",))
        null = gone if without_null else null_of(store, batch.task, batch.representation, settings)
        make_batch(store, batch, settings, add_references(store, batch.task, batch.rows), null, killers=killers)
    return batch.id


@_alone
def _try(place: Place, recipe: str, seed: int, row: int) -> int:
    """Make a cell, and let it go: does its worker live?"""
    study = _study(place)
    task = study.tasks[place.task]
    chosen = next(each for each in study.settings.recipes if each.name == recipe)
    batch = Batch("", task, task.representations[place.representation], chosen, seed, (row,))
    synthesize_each(batch, None, study.settings.criterion_of(task.model))
    return row
