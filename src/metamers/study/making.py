"""What a worker does: the null distribution of a stage, and batches of cells, each committed whole."""

import platform
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from metamers.errors import MetamersError
from metamers.matching import NullDistribution, Representation, null_distribution
from metamers.models.devices import described
from metamers.stimuli.sounds import encode_float_wav
from metamers.stimuli.written import SUFFIXES, encode
from metamers.store import Cell, Record, Store, read_json, record_id, sha256, write_json
from metamers.store.identity import agree
from metamers.study.batches import Made, OnStep, synthesize_each
from metamers.study.cochleagrams import cochleagrams, draw_cochleagram
from metamers.study.plan import NUMERICS, Batch, ModelTask, Settings, hashes_of

NULL_FAILED = "no null: "
"""How the note of a batch begins whose null distribution could not be made."""
UNROUNDED = "unrounded"
"""Where within a run its sounds lie before rounding, as 32-bit floats under the names of those that are judged."""


@dataclass(frozen=True)
class Null:
    """The null distribution of a model and representation and its file; without one, perhaps why."""

    distribution: NullDistribution | None = None
    path: Path | None = None
    notes: tuple[str, ...] = ()

    @property
    def key(self) -> str | None:
        """What tells it from other nulls of its stage."""
        return None if self.path is None else self.path.stem


def null_of(
    store: Store,
    task: ModelTask,
    representation: Representation,
    settings: Settings,
    progress: Callable[[int, int], None] = lambda found, pairs: None,
) -> Null:
    """The null distribution of a model and representation, from the store where it is there already."""
    stimuli = settings.null_of(task.stimuli)
    if stimuli is None:
        return Null()
    key = record_id(
        [
            *(str(NUMERICS), task.model.weights_hash(), str(representation.to_json()), stimuli.set_hash()),
            str(settings.null_pairs),
        ],
        stimuli.name.rsplit("/", 1)[-1],
    )
    path = store.null_path(task.model.name, representation.name, key)
    if path.is_file() and agree((kept := read_json(path)).get("fingerprint"), task.fingerprint):
        return Null(NullDistribution.from_json(kept), path)
    try:
        null = null_distribution(task.model, representation, stimuli, pairs=settings.null_pairs, progress=progress)
    except MetamersError as error:  # one stage without a null does not stop the others
        return Null(notes=(f"{NULL_FAILED}{error}",))
    write_json(path, {**null.to_json(), "fingerprint": task.fingerprint})
    return Null(null, path)


def make_batch(
    store: Store,
    batch: Batch,
    settings: Settings,
    references: dict[str, tuple[str, str]],
    null: Null,
    on_step: OnStep = lambda step, limit, active: None,
    killers: Collection[int] = (),
) -> Record:
    """Synthesize a batch, but for the rows of `killers`, write its files and then its record, which is given."""
    model = batch.task.model
    criterion = settings.criterion_of(model)
    made = synthesize_each(batch, null.distribution, criterion, on_step, killers)
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
        **{"seed": batch.seed, "weights_hash": model.weights_hash(), "settings": batch.recipe.to_json()},
        **{"representation": batch.representation.to_json(), **hashes_of(batch.task, settings)},
        "null_file": None if null.path is None else null.path.relative_to(store.folder).as_posix(),
        "null_sha256": None if null.path is None else sha256(null.path.read_bytes()),
        **{"versions": versions(), "device": described(model.device)},
        "notes": [*made.notes, *null.notes],
        "seconds": round(sum(cell["seconds"] for cell in made.cells), 3),
        "cells": made.cells,
    }
    store.commit(record, files)
    return record


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


def add_references(store: Store, task: ModelTask, rows: Sequence[int]) -> dict[str, tuple[str, str]]:
    """Write some of a task's references where they are not yet: id -> (relative file, SHA-256 of its bytes)."""
    stimuli = task.stimuli
    files = (encode(stimuli.read([i])[0], stimuli.kind, stimuli.sample_rate) for i in rows)
    ids = [stimuli.ids[i] for i in rows]
    return store.add_references(_size_name(task), SUFFIXES[stimuli.kind], zip(ids, files, strict=True))


def _size_name(task: ModelTask) -> str:
    height, width = task.stimuli.size or (0, 0)
    if task.stimuli.kind == "sound":
        return f"{width}-samples-{task.stimuli.sample_rate}-hz"
    return f"{height}x{width}" + ("-gray" if task.stimuli.channels == 1 else "")
