"""A whole study: its metamers, who names them, its tables."""

from collections.abc import Callable
from pathlib import Path

from metamers.observers import ModelObserver, model_observer, recognize
from metamers.store import Store, build_tables
from metamers.study.analyses import responses_in_parts, run_analyses, write_recognition
from metamers.study.config import StudyConfig
from metamers.study.local import Runner, make_here, run_local
from metamers.study.resolve import Study
from metamers.study.untrained import run_untrained
from metamers.study.watch import OnEvent, Progress


def run_study(
    config: StudyConfig,
    study: Study,
    out: Path | str,
    *,
    runner: Runner = make_here,
    anew: bool = False,
    retry: bool = False,
    command: str = "",
    progress: Progress = lambda done, total, what: None,
    on_event: OnEvent = lambda event: None,
    say: Callable[[str], None] = lambda note: None,
) -> Store:
    """Make the cells of a resolved study in the folder `out`, and ask its observers; what is there is not done again.

    The folder may hold cells of other models, stages, recipes and seeds, from an earlier state of the study: they stay,
    and are no part of its tables. With `anew`, what was made of stimuli that have changed since is deleted; with
    `retry`, what could not be made is tried again. Each generating model names its own metamers; the observers of the
    configuration name all.

    Raises MetamersError as `run_local` and `recognize` do.
    """
    for note in study.notes:
        say(note)
    store = run_local(
        out,
        study.tasks,
        study.settings,
        runner=runner,
        beside=True,
        anew=anew,
        retry=retry,
        command=command,
        progress=progress,
        on_event=on_event,
        say=say,
    )
    with store.locked(say):
        _let_observers_name(store, config, study, command, progress, say)
        run_analyses(store, config.analyses, say)
    return store


def _let_observers_name(
    store: Store,
    config: StudyConfig,
    study: Study,
    command: str,
    progress: Progress,
    say: Callable[[str], None],
) -> None:
    if "untrained" in config.controls:
        run_untrained(store, command=command, device=config.device, progress=progress)
    made = {cell["model"] for batch in store.batches() for cell in batch["cells"] if cell["file"] is not None}
    for model in (task.model for task in study.tasks):
        if model.has_decision and model.name in made:
            recognize(store, model, of=(model.name,), progress=_named(progress, model.name))
    observers: dict[str, ModelObserver] = {}
    for model, labels, decision in study.observers:
        observer = model_observer(store, model, labels, decision, beside=observers.values())
        observers.setdefault(observer.name, observer)
    for observer in observers.values():
        recognize(store, observer, controls=config.controls, progress=_named(progress, observer.name))
    named = {task.model.name for task in study.tasks} | set(observers)
    if others := sorted({str(record["observer"]) for record in store.responses()} - named):
        say(f"answers of {', '.join(others)}, whom the study does not name, are there and count, too")
    build_tables(store)
    if any(len(part) for part in responses_in_parts(store)):
        write_recognition(store)


def _named(progress: Progress, name: str) -> Callable[[int, int], None]:
    return lambda done, total: progress(done, total, f"shown to {name}")
