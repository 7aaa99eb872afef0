"""A study's cells, by default in this process: batch after batch, each committed whole."""

from collections.abc import Callable, Sequence
from pathlib import Path

from metamers.errors import MetamersError
from metamers.matching.null import MIN_GIVEN, MIN_OWN, different
from metamers.store import Store, build_tables
from metamers.study.batches import require_matchable
from metamers.study.making import NULL_FAILED, add_references, make_batch, null_of
from metamers.study.plan import ModelTask, Settings, cut_batches, describe_study, stimulus_hashes
from metamers.study.watch import OnEvent, Progress, Watch
from metamers.synthesis import require_units

Runner = Callable[[Store, Sequence[ModelTask], Settings, Watch], None]
"""Makes the nulls and batches of a study that are not there yet."""


def make_here(store: Store, tasks: Sequence[ModelTask], settings: Settings, watch: Watch) -> None:
    """The runner for one process."""
    for task in tasks:
        references = add_references(store, task, range(len(task.stimuli)))
        for representation in task.representations:
            what = f"{task.model.name} {representation.name}"
            watch.at(0, f"{what}: null")
            null = null_of(store, task, representation, settings, _within_null(watch, what))
            watch.finished(what)
            for number, batch in enumerate(cut_batches(task, settings, null.key, representation), 1):
                part = f"{what}, batch {number} of {_batches_per_stage(task, settings)}"
                record = None
                if not store.batch_path(task.model.name, representation.name, batch.id).is_file():
                    watch.running(len(batch.rows))
                    record = make_batch(store, batch, settings, references, null, _within_batch(watch, part))
                watch.finished(what, record)


def run_local(
    out: Path | str,
    tasks: Sequence[ModelTask],
    settings: Settings,
    *,
    runner: Runner = make_here,
    beside: bool = False,
    anew: bool = False,
    retry: bool = False,
    replace: bool = False,
    command: str = "",
    progress: Progress = lambda done, total, what: None,
    on_event: OnEvent = lambda event: None,
    say: Callable[[str], None] = lambda note: None,
) -> Store:
    """Make all cells of a study in the folder `out`; what is there already is not made again.

    With `beside`, the folder may hold cells of other models, stages, recipes and seeds. With `anew`, what was made of
    stimuli that have changed since is deleted; with `replace`, so is any other study that is there. With `retry`,
    batches are made again of which a cell, or its null distribution, could not be made. `say` is called with each thing
    to know before the work: notes of the models, and that there is no null.

    Raises MetamersError for a folder that holds another study, or one of other stimuli, or that cannot be written, and,
    before anything is written, where no cell can be made.
    """
    store = Store(out)
    store.require_free()
    for representation in (r for task in tasks for r in task.representations):
        for recipe in settings.recipes:
            require_units(recipe, representation)
    require_matchable(tasks)
    notes = dict.fromkeys(note for task in tasks for note in (*task.model.notes, *null_notes(task, settings)))
    cells = sum(len(task.stimuli) * len(task.representations) for task in tasks)
    cells *= len(settings.recipes) * len(settings.seeds)
    study, hashes = describe_study(tasks, settings, command), stimulus_hashes(tasks, settings)
    with store.locked(say) as tell:
        if changed := store.changed_stimuli(study, hashes):
            _let_go(store, changed, beside, anew, say)
        if store.begin(study, hashes, beside=beside, replace=replace or bool(changed)):
            (store.folder / "tables" / "recognition.csv").unlink(missing_ok=True)
            build_tables(store)  # so that they are never of what the study was before
        for note in notes:
            say(note)
        watch = Watch(work_in_all(tasks, settings), cells, progress, on_event, tell)
        if retry and (n := _forget_failures(store)):
            say(f"{n} cells are made again, as some of their batches could not be")
        if there := watch.begin(store):
            again = f"; {watch.n_errors} of them could not be made, and --retry tries again" * bool(watch.n_errors)
            say(f"{there} cells are there already and are not made again{again if beside else ''}")
        runner(store, tasks, settings, watch)
        build_tables(store)
    return store


def require_continuable(store: Store, tasks: Sequence[ModelTask], settings: Settings) -> None:
    """Raises MetamersError where `run_local` would refuse the folder, `beside` what it holds."""
    study = describe_study(tasks, settings, "")
    if changed := store.changed_stimuli(study, stimulus_hashes(tasks, settings)):
        _let_go(store, changed, beside=True, anew=False, say=lambda note: None)
    store.require_same(study, beside=True)


def _forget_failures(store: Store) -> int:
    """Drop the batches of a study of which a cell, or its null distribution, could not be made; how many cells."""
    n = 0
    for batch in store.batches():
        verdicts = [cell["verdict"] for cell in batch["cells"]]
        if "error" in verdicts or any(note.startswith(NULL_FAILED) for note in batch["notes"]):
            store.batch_path(batch["model"], batch["stage"], batch["id"]).unlink()
            n += len(verdicts)
    return n


def _let_go(store: Store, changed: Sequence[str], beside: bool, anew: bool, say: Callable[[str], None]) -> None:
    """Say that what was made of stimuli that have changed goes. Raises MetamersError where that is not wanted."""
    named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    if not anew:
        told = ", or let --anew delete what was made of the old ones" if beside else ""
        raise MetamersError(
            f"{store.folder}: its stimuli are no longer those that it was begun with ({named}); restore them or choose "
            f"another --out{told}"
        )
    say(f"all that was made before the stimuli changed is deleted, but for what people answered ({named})")


def work_in_all(tasks: Sequence[ModelTask], settings: Settings) -> int:
    """How many nulls and batches a study has."""
    return sum(len(task.representations) * (1 + _batches_per_stage(task, settings)) for task in tasks)


def _within_null(watch: Watch, what: str) -> Callable[[int, int], None]:
    return lambda found, pairs: watch.at(found / pairs, f"{what}: null, {found / pairs:.0%} of the pairs")


def _within_batch(watch: Watch, what: str) -> Callable[[int, int, int], None]:
    """The progress within a batch, given step, limit and stimuli left."""
    return lambda step, limit, active: watch.at(step / limit, f"{what}: {active} stimuli sought")


def _batches_per_stage(task: ModelTask, settings: Settings) -> int:
    return len(settings.recipes) * len(settings.seeds) * -(-len(task.stimuli) // settings.batch_size)


def null_notes(task: ModelTask, settings: Settings) -> tuple[str, ...]:
    """What to say where there are too few stimuli for a null distribution."""
    given = settings.null_stimuli
    if settings.null_of(task.stimuli) is not None:
        return ()
    need = f"--null-stimuli with {MIN_GIVEN} different ones, or {MIN_OWN} stimuli"
    if given is not None:
        need = f"{MIN_GIVEN} different --null-stimuli"
    n = len(different(task.stimuli if given is None else given))
    return (
        f"metamers are made but not judged (verdict 'no null'): that takes {need}; given: {n} (the key "
        "of a study's file is null_stimuli)",
    )
