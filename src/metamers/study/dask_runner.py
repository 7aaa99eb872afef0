"""The runner for many processes, on one machine or a cluster: dask.distributed (extra: dask).

Workers read the study's configuration, load a model once and keep it; what comes back from them is keys, not data.
"""

import secrets
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from metamers.errors import MetamersError
from metamers.store import Store
from metamers.study.batches import synthesize_each
from metamers.study.config import StudyConfig
from metamers.study.local import Progress, work_in_all
from metamers.study.making import add_references, make_batch, null_of
from metamers.study.plan import Batch, ModelTask, Settings, cut_batches
from metamers.study.resolve import Study, resolve

if TYPE_CHECKING:
    from distributed import Client, Future

AHEAD = 4
"""Tasks for each worker that the scheduler is given at once: its memory does not grow with the study."""
POLL_SECONDS = 5.0


class Place(NamedTuple):
    """Which stage of which model of a study, in which run."""

    config: str
    token: str
    folder: str
    task: int
    representation: int


class DaskRunner:
    """Makes the nulls and batches of a study on the workers of a client.

    A batch whose worker dies is tried on another, as often as the scheduler allows (three times). Then each of its
    cells is tried alone, and those that kill their workers again are recorded as errors.
    """

    def __init__(self, client: "Client", config: StudyConfig) -> None:
        self.client = client
        self.config = config.model_dump_json()
        self.token = secrets.token_hex(8)  # so that workers that live on read the study anew

    def __call__(self, store: Store, tasks: Sequence[ModelTask], settings: Settings, progress: Progress) -> None:
        """See `metamers.study.local.Runner`."""
        total, done, what = work_in_all(tasks, settings), 0, "null distributions"

        def tick() -> None:
            progress(done, total, what)

        folder = str(store.folder.resolve())
        for task in tasks:
            add_references(store, task, range(len(task.stimuli)))
        places = [
            Place(self.config, self.token, folder, i, j)
            for i, task in enumerate(tasks)
            for j in range(len(task.representations))
        ]
        keys: dict[Place, str | None] = {}
        for place, future in self._each(((place, (_null_key, place)) for place in places), tick):
            keys[place] = _result(future, tasks[place.task].model.name)
            done = len(keys)
            tick()

        def batches() -> Iterator[tuple[Place, Batch]]:
            for place in places:
                task = tasks[place.task]
                for batch in cut_batches(task, settings, keys[place], task.representations[place.representation]):
                    yield place, batch

        waiting = [(place, batch) for place, batch in batches() if not store.has_batch(batch.id)]
        done = total - len(waiting)
        jobs = ((pair, (_make, pair[0], keys[pair[0]], pair[1].id)) for pair in waiting)
        deadly: list[tuple[Place, Batch]] = []
        for (place, batch), future in self._each(jobs, tick):
            if _killed_its_workers(future):
                deadly.append((place, batch))
                continue
            _result(future, batch.task.model.name)
            done, what = done + 1, f"{batch.task.model.name} {batch.representation.name}"
            tick()

        for place, batch in deadly:  # when nothing else runs, as a dying worker makes all its tasks suspect
            self._make_without_killers(place, keys[place], batch, tick)
            done += 1
            tick()

    def _make_without_killers(self, place: Place, key: str | None, batch: Batch, tick: Callable[[], None]) -> None:
        alone = [(row, (_try, place, batch.recipe.name, batch.seed, row)) for row in batch.rows]
        tried = [found for job in alone for found in self._each([job], tick)]
        killers = tuple(row for row, future in tried if _killed_its_workers(future))
        for _, future in self._each([(batch, (_make, place, key, batch.id, killers))], tick):
            _result(future, batch.task.model.name)

    def _each(self, jobs: Iterable[tuple[Any, tuple[Any, ...]]], tick: Callable[[], None]) -> Iterator[Any]:
        """Each job's label and its future once it is done; a job is a label, and a function with its arguments."""
        from distributed import wait

        left, pending = iter(jobs), dict[Any, Any]()
        while True:
            room = AHEAD * max(1, len(self.client.scheduler_info(n_workers=-1)["workers"])) - len(pending)
            for _, (label, (function, *arguments)) in zip(range(room), left, strict=False):
                pending[self.client.submit(function, *arguments, pure=False)] = label
            if not pending:
                return
            try:
                finished = wait(list(pending), timeout=POLL_SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                tick()
                continue
            for future in finished:
                yield pending.pop(future), future


def _killed_its_workers(future: "Future[Any]") -> bool:
    from distributed import KilledWorker

    return future.status == "error" and isinstance(future.exception(), KilledWorker)


def _result(future: "Future[Any]", model: str) -> Any:
    if _killed_its_workers(future):
        raise MetamersError(
            f"work on {model} ends its workers, though no cell alone does; give them more memory, or the study a "
            "smaller batch_size and another --out"
        )
    return future.result()


@lru_cache(maxsize=1)
def _study(config: str, token: str) -> Study:
    return resolve(StudyConfig.model_validate_json(config), check=False)


@lru_cache(maxsize=8)
def _batches(place: Place, key: str | None) -> dict[str, Batch]:
    study = _study(place.config, place.token)
    task = study.tasks[place.task]
    cut = cut_batches(task, study.settings, key, task.representations[place.representation])
    return {batch.id: batch for batch in cut}


def _null_key(place: Place) -> str | None:
    study = _study(place.config, place.token)
    task = study.tasks[place.task]
    return null_of(Store(place.folder), task, task.representations[place.representation], study.settings).key


def _make(place: Place, key: str | None, batch_id: str, killers: tuple[int, ...] = ()) -> str:
    batch, settings, store = (
        _batches(place, key)[batch_id],
        _study(place.config, place.token).settings,
        Store(place.folder),
    )
    if not store.has_batch(batch.id):
        null = null_of(store, batch.task, batch.representation, settings)
        make_batch(store, batch, settings, add_references(store, batch.task, batch.rows), null, killers=killers)
    return batch.id


def _try(place: Place, recipe: str, seed: int, row: int) -> int:
    """Make a cell, and let it go: does its worker live?"""
    study = _study(place.config, place.token)
    task = study.tasks[place.task]
    chosen = next(each for each in study.settings.recipes if each.name == recipe)
    batch = Batch("", task, task.representations[place.representation], chosen, seed, (row,))
    synthesize_each(batch, None, study.settings.criterion_of(task.model))
    return row
