"""The runner for one process: batch after batch, each committed whole."""

import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metamers.errors import MetamersError
from metamers.matching import NullDistribution, Representation, null_distribution
from metamers.matching.null import MIN_GIVEN, MIN_OWN, different
from metamers.stimuli.sounds import encode_float_wav
from metamers.stimuli.written import SUFFIXES, encode
from metamers.store import Cell, Record, Store, build_tables, read_json, record_id, sha256, write_json
from metamers.study.batches import Made, require_matchable, synthesize_each
from metamers.study.cochleagrams import cochleagrams, draw_cochleagram
from metamers.study.plan import Batch, ModelTask, Settings, cut_batches, describe_study
from metamers.synthesis import choose_null_set, require_units

UNROUNDED = "unrounded"
"""Where within a run its sounds lie before rounding, as 32-bit floats under the names of those that are judged."""
Progress = Callable[[float, float, str], None]
"""Called with the work done, the work in all (in batches), and what is being done."""


def run_local(
    out: Path | str,
    tasks: Sequence[ModelTask],
    settings: Settings,
    *,
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
    store.begin(describe_study(tasks, settings, command))
    for note in dict.fromkeys(note for task in tasks for note in (*task.model.notes, *_null_notes(task, settings))):
        say(note)
    if there := sum(len(batch["cells"]) for batch in store.batches()):
        say(f"{there} cells are there already and are not made again")
    with store.locked(say) as touch:

        def alive(done: float, total: float, what: str) -> None:
            touch()
            progress(done, total, what)

        _make_all(store, tasks, settings, alive)
    build_tables(store)
    return store


def _make_all(store: Store, tasks: Sequence[ModelTask], settings: Settings, progress: Progress) -> None:
    total = sum(len(task.representations) * (1 + _batches_per_stage(task, settings)) for task in tasks)
    done = 0  # in batches; a null distribution counts as one
    for task in tasks:
        stimuli = task.stimuli
        files = (encode(stimuli.read([i])[0], stimuli.kind, stimuli.sample_rate) for i in range(len(stimuli)))
        references = store.add_references(
            _size_name(task), SUFFIXES[stimuli.kind], zip(stimuli.ids, files, strict=True)
        )
        for representation in task.representations:
            what = f"{task.model.name} {representation.name}"
            progress(done, total, f"{what}: null")
            null = _null(store, task, representation, settings, _within_null(progress, done, total, what))
            done += 1
            batches = cut_batches(task, settings, null.key, representation)
            for number, batch in enumerate(batches, 1):
                part = f"{what}, batch {number} of {len(batches)}"
                if not store.has_batch(batch.id):
                    _make(store, batch, settings, references, null, _within_batch(progress, done, total, part))
                done += 1
                progress(done, total, what)


def _within_null(progress: Progress, done: int, total: int, what: str) -> Callable[[int, int], None]:
    return lambda found, pairs: progress(done + found / pairs, total, f"{what}: null, {found / pairs:.0%} of the pairs")


def _within_batch(progress: Progress, done: int, total: int, what: str) -> Callable[[int, int, int], None]:
    """The progress within a batch, given step, limit and stimuli left."""
    return lambda step, limit, active: progress(done + step / limit, total, f"{what}: {active} stimuli sought")


def _batches_per_stage(task: ModelTask, settings: Settings) -> int:
    return len(settings.recipes) * len(settings.seeds) * -(-len(task.stimuli) // settings.batch_size)


def _size_name(task: ModelTask) -> str:
    height, width = task.stimuli.size or (0, 0)
    if task.stimuli.kind == "sound":
        return f"{width}-samples-{task.stimuli.sample_rate}-hz"
    return f"{height}x{width}" + ("-gray" if task.stimuli.channels == 1 else "")


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


@dataclass(frozen=True)
class _Null:
    """The null distribution of a model and representation and its file; without one, perhaps why."""

    distribution: NullDistribution | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        return None if self.path is None else self.path.stem


def _null(
    store: Store,
    task: ModelTask,
    representation: Representation,
    settings: Settings,
    progress: Callable[[int, int], None],
) -> _Null:
    """The null distribution of a model and representation, from the store where it is there already."""
    stimuli = choose_null_set(task.stimuli, settings.null_stimuli)
    if stimuli is None:
        return _Null()
    key = record_id(
        [task.model.weights_hash(), str(representation.to_json()), stimuli.set_hash(), str(settings.null_pairs)],
        stimuli.name.rsplit("/", 1)[-1],
    )
    path = store.null_path(task.model.name, representation.name, key)
    if path.is_file():
        return _Null(NullDistribution.from_json(read_json(path)), path)
    try:
        null = null_distribution(task.model, representation, stimuli, pairs=settings.null_pairs, progress=progress)
    except MetamersError as error:  # one stage without a null does not stop the others
        return _Null(notes=(f"no null: {error}",))
    write_json(path, null.to_json())
    return _Null(null, path)


def _make(
    store: Store,
    batch: Batch,
    settings: Settings,
    references: dict[str, tuple[str, str]],
    null: _Null,
    on_step: Callable[[int, int, int], None],
) -> None:
    """Synthesize a batch, write its files and then its record."""
    model = batch.task.model
    criterion = settings.criterion_of(model)
    made = synthesize_each(batch, null.distribution, criterion, on_step)
    files: dict[str, bytes] = {}
    for cell, signal in zip(made.cells, made.signals, strict=True):
        cell |= dict(zip(("reference_file", "reference_sha256"), references[cell["reference"]], strict=True))
        cell |= {"file": None, "sha256": None}
        if cell["verdict"] != "error" and signal is not None:
            key = Cell(cell["model"], cell["stage"], cell["recipe"], cell["reference"], cell["seed"])
            content = encode(signal, model.kind, batch.task.stimuli.sample_rate)
            cell |= {"file": f"{key.file_stem}{SUFFIXES[model.kind]}", "sha256": sha256(content)}
            files[cell["file"]] = content
    files |= _pictures(batch, made) | _unrounded(batch, made)
    record: Record = {
        **{"id": batch.id, "model": model.name, "stage": batch.representation.name, "recipe": batch.recipe.name},
        **{"representation": batch.representation.to_json(), "criterion": criterion.to_json()},
        "null_file": None if null.path is None else null.path.relative_to(store.folder).as_posix(),
        "null_sha256": None if null.path is None else sha256(null.path.read_bytes()),
        **{"versions": versions(), "device": str(model.device)},
        "notes": [*made.notes, *null.notes],
        "seconds": round(sum(cell["seconds"] for cell in made.cells), 3),
        "cells": made.cells,
    }
    store.commit(record, files)


def _unrounded(batch: Batch, made: Made) -> dict[str, bytes]:
    """Of sounds, the metamers before rounding to 16 bits, apart from what is played."""
    rate = batch.task.stimuli.sample_rate
    if rate is None:
        return {}
    return {
        f"{UNROUNDED}/{cell['file'].removeprefix('metamers/')}": encode_float_wav(raw, rate)
        for cell, raw in zip(made.cells, made.raw, strict=True)
        if cell["file"] is not None and raw is not None
    }


def _pictures(batch: Batch, made: Made) -> dict[str, bytes]:
    """Of sounds, a cochleagram beside each metamer's file and its reference's, both on the reference's scale."""
    rate, pictures = batch.task.stimuli.sample_rate, {}
    for cell, signal, row in zip(made.cells, made.signals, batch.rows, strict=True):
        if rate is None or signal is None or cell["file"] is None:
            continue
        drawn = cochleagrams(torch.stack([batch.task.stimuli.read([row])[0], signal]), rate)
        if drawn is not None:
            for file, envelopes in zip((cell["reference_file"], cell["file"]), drawn, strict=True):
                pictures[f"{file.removesuffix('.wav')}.png"] = draw_cochleagram(envelopes, float(drawn[0].max()))
    return pictures


def versions() -> dict[str, Any]:
    """The versions that a result depends on."""
    from metamers import __version__

    return {
        **{"metamers": __version__, "python": platform.python_version(), "platform": platform.platform()},
        **{"torch": torch.__version__, "numpy": np.__version__},
    }
