"""The runner for one process: batch after batch, each committed whole."""

import platform
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metamers.matching import NullDistribution, Representation, null_distribution
from metamers.stimuli import encode_png
from metamers.store import Cell, Record, Store, build_tables, read_json, record_id, sha256, write_json
from metamers.study.plan import Batch, ModelTask, Settings, cut_batches, describe_study
from metamers.synthesis import choose_null_set, default_criterion, synthesize_batch

Progress = Callable[[float, float, str], None]
"""Called with the work done, the work in all (in batches), and what is being done."""


def run_local(
    out: Path | str,
    tasks: Sequence[ModelTask],
    settings: Settings,
    *,
    command: str = "",
    progress: Progress = lambda done, total, what: None,
) -> Store:
    """Make all cells of a study in the folder `out`; what is there already is not made again.

    Raises MetamersError for a folder that holds another study, or that cannot be written.
    """
    store = Store(out)
    store.begin(describe_study(tasks, settings, command))
    total = sum(len(task.representations) * _batches_per_stage(task, settings) for task in tasks)
    done = 0
    for task in tasks:
        pngs = [encode_png(task.stimuli.read([i])[0]) for i in range(len(task.stimuli))]
        references = store.add_references(_size_name(task), zip(task.stimuli.ids, pngs, strict=True))
        for representation in task.representations:
            progress(done, total, f"{task.model.name} {representation.name}: null")
            null, null_path = _null(store, task, representation, settings)
            null_key = None if null_path is None else null_path.stem
            for batch in cut_batches(task, settings, null_key, representation):
                if not store.has_batch(batch.id):
                    _make(store, batch, settings, references, null, null_path, _within(progress, done, total, batch))
                done += 1
                progress(done, total, f"{task.model.name} {representation.name}")
    build_tables(store)
    return store


def _within(progress: Progress, done: int, total: int, batch: Batch) -> Callable[[int, int, int], None]:
    """The progress within a batch, given step, limit and stimuli left."""
    what = f"{batch.task.model.name} {batch.representation.name}"
    return lambda step, limit, active: progress(done + step / limit, total, f"{what}: {active} left")


def _batches_per_stage(task: ModelTask, settings: Settings) -> int:
    return len(settings.seeds) * -(-len(task.stimuli) // settings.batch_size)


def _size_name(task: ModelTask) -> str:
    height, width = task.stimuli.size or (0, 0)
    return f"{height}x{width}" + ("-gray" if task.stimuli.channels == 1 else "")


def _null(
    store: Store, task: ModelTask, representation: Representation, settings: Settings
) -> tuple[NullDistribution | None, Path | None]:
    """The null distribution of a model and representation, from the store where it is there already."""
    stimuli = choose_null_set(task.stimuli, settings.null_stimuli)
    if stimuli is None:
        return None, None
    key = record_id(
        [task.model.weights_hash(), str(representation.to_json()), stimuli.set_hash(), str(settings.null_pairs)],
        stimuli.name.rsplit("/", 1)[-1],
    )
    path = store.null_path(task.model.name, representation.name, key)
    if path.is_file():
        return NullDistribution.from_json(read_json(path)), path
    null = null_distribution(task.model, representation, stimuli, pairs=settings.null_pairs)
    write_json(path, null.to_json())
    return null, path


def _make(
    store: Store,
    batch: Batch,
    settings: Settings,
    references: dict[str, tuple[str, str]],
    null: NullDistribution | None,
    null_path: Path | None,
    on_step: Callable[[int, int, int], None],
) -> None:
    """Synthesize a batch, write its files and then its record."""
    model = batch.task.model
    criterion = default_criterion(model) if settings.criterion is None else settings.criterion
    result = synthesize_batch(
        model,
        batch.representation,
        batch.task.stimuli[list(batch.rows)],
        recipe=settings.recipe,
        seed=batch.seed,
        null=null,
        criterion=criterion,
        progress=on_step,
    )
    files: dict[str, bytes] = {}
    for cell, signal in zip(result.cells, result.signals, strict=True):
        cell |= dict(zip(("reference_file", "reference_sha256"), references[cell["reference"]], strict=True))
        cell |= {"file": None, "sha256": None}
        if cell["verdict"] != "error":
            key = Cell(cell["model"], cell["stage"], cell["recipe"], cell["reference"], cell["seed"])
            content = encode_png(signal)
            cell |= {"file": f"{key.file_stem}.png", "sha256": sha256(content)}
            files[cell["file"]] = content
    record: Record = {
        **{"id": batch.id, "model": model.name, "stage": batch.representation.name, "recipe": settings.recipe.name},
        **{"representation": batch.representation.to_json(), "criterion": criterion.to_json()},
        "null_file": None if null_path is None else null_path.relative_to(store.folder).as_posix(),
        "null_sha256": None if null_path is None else sha256(null_path.read_bytes()),
        **{"versions": versions(), "device": str(model.device)},
        "seconds": round(sum(cell["seconds"] for cell in result.cells), 3),
        "cells": result.cells,
    }
    store.commit(record, files)


def versions() -> dict[str, Any]:
    """The versions that a result depends on."""
    from metamers import __version__

    return {
        **{"metamers": __version__, "python": platform.python_version(), "platform": platform.platform()},
        **{"torch": torch.__version__, "numpy": np.__version__},
    }
