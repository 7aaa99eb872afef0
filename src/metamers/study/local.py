"""A study's cells, by default in this process: batch after batch, each committed whole."""

from collections.abc import Callable, Sequence
from pathlib import Path

from metamers.matching.null import MIN_GIVEN, MIN_OWN, different
from metamers.store import Store, build_tables
from metamers.study.batches import require_matchable
from metamers.study.making import add_references, make_batch, null_of
from metamers.study.plan import ModelTask, Settings, cut_batches, describe_study
from metamers.synthesis import choose_null_set, require_units

Progress = Callable[[float, float, str], None]
"""Called with the work done, the work in all (in batches), and what is being done."""
Runner = Callable[[Store, Sequence[ModelTask], Settings, Progress], None]
"""Makes the nulls and batches of a study that are not there yet."""


def make_here(store: Store, tasks: Sequence[ModelTask], settings: Settings, progress: Progress) -> None:
    """The runner for one process."""
    total, done = work_in_all(tasks, settings), 0
    for task in tasks:
        references = add_references(store, task, range(len(task.stimuli)))
        for representation in task.representations:
            what = f"{task.model.name} {representation.name}"
            progress(done, total, f"{what}: null")
            null = null_of(store, task, representation, settings, _within_null(progress, done, total, what))
            done += 1
            batches = cut_batches(task, settings, null.key, representation)
            for number, batch in enumerate(batches, 1):
                part = f"{what}, batch {number} of {len(batches)}"
                if not store.has_batch(batch.id):
                    make_batch(store, batch, settings, references, null, _within_batch(progress, done, total, part))
                done += 1
                progress(done, total, what)


def run_local(
    out: Path | str,
    tasks: Sequence[ModelTask],
    settings: Settings,
    *,
    runner: Runner = make_here,
    command: str = "",
    progress: Progress = lambda done, total, what: None,
    say: Callable[[str], None] = lambda note: None,
) -> Store:
    """Make all cells of a study in the folder `out`; what is there already is not made again.

    `say` is called with each thing to know before the work: notes of the models, and that there is no null.

    Raises MetamersError for a folder that holds another study, or that cannot be written, and, before anything is
    written, where no cell can be made.
    """
    store = Store(out)
    store.require_free()
    for representation in (r for task in tasks for r in task.representations):
        for recipe in settings.recipes:
            require_units(recipe, representation)
    require_matchable(tasks)
    notes = dict.fromkeys(note for task in tasks for note in (*task.model.notes, *_null_notes(task, settings)))
    with store.locked(say):
        store.begin(describe_study(tasks, settings, command))
        for note in notes:
            say(note)
        if there := sum(len(batch["cells"]) for batch in store.batches()):
            say(f"{there} cells are there already and are not made again")
        runner(store, tasks, settings, progress)
    build_tables(store)
    return store


def work_in_all(tasks: Sequence[ModelTask], settings: Settings) -> int:
    """How many nulls and batches a study has."""
    return sum(len(task.representations) * (1 + _batches_per_stage(task, settings)) for task in tasks)


def _within_null(progress: Progress, done: int, total: int, what: str) -> Callable[[int, int], None]:
    return lambda found, pairs: progress(done + found / pairs, total, f"{what}: null, {found / pairs:.0%} of the pairs")


def _within_batch(progress: Progress, done: int, total: int, what: str) -> Callable[[int, int, int], None]:
    """The progress within a batch, given step, limit and stimuli left."""
    return lambda step, limit, active: progress(done + step / limit, total, f"{what}: {active} stimuli sought")


def _batches_per_stage(task: ModelTask, settings: Settings) -> int:
    return len(settings.recipes) * len(settings.seeds) * -(-len(task.stimuli) // settings.batch_size)


def _null_notes(task: ModelTask, settings: Settings) -> tuple[str, ...]:
    """What to say where there are too few stimuli for a null distribution."""
    given = settings.null_stimuli
    if choose_null_set(task.stimuli, given) is not None:
        return ()
    need = f"--null-stimuli with {MIN_GIVEN} different ones, or {MIN_OWN} stimuli"
    if given is not None:
        need = f"{MIN_GIVEN} different --null-stimuli"
    n = len(different(task.stimuli if given is None else given))
    return (f"metamers are made but not judged (verdict 'no null'): that takes {need}; given: {n}",)
