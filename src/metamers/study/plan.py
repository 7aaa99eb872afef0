"""What is to be done: batches of cells, cut once so that a rerun cuts them alike."""

import itertools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from metamers.errors import MetamersError
from metamers.matching import Criterion, Representation
from metamers.models import StagedModel, fingerprint
from metamers.stimuli import StimulusSet
from metamers.store import record_id, sha256, slug
from metamers.store.identity import Hashes
from metamers.synthesis import Recipe, choose_null_set, default_criterion

NUMERICS = 2
"""Raised when this package computes other numbers than before, so that no cell is taken for one of today's."""

PREPARATION = {
    "image": "shorter side resized (antialiased bicubic) and center crop, where not of the input's size",
    "sound": "mixed to one channel, resampled (polyphase) and its middle kept, where not as the model takes it; "
    "ramps of 10 ms; turned down to an RMS of 0.25 where louder",
}


@dataclass(frozen=True)
class ModelTask:
    """A model, the stimuli fitted to it (sounds as they are played), and what is to be matched.

    Raises MetamersError where the files of two stimuli would have one name.
    """

    model: StagedModel
    stimuli: StimulusSet
    representations: tuple[Representation, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "stimuli", self.stimuli.as_played())  # as people hear them
        names: dict[str, str] = {}
        for id_ in self.stimuli.ids:
            earlier = names.setdefault(slug(id_), id_)
            if earlier != id_:
                raise MetamersError(f"stimuli '{earlier}' and '{id_}' have the same short name; rename one")

    @cached_property
    def fingerprint(self) -> list[float] | None:
        """See `metamers.models.fingerprint`."""
        return fingerprint(self.model, self.stimuli.read([0]).shape)


@dataclass(frozen=True)
class Settings:
    """What all batches of a study share. `null_stimuli` None: the stimuli themselves, where they are many enough.

    Raises MetamersError for counts below 1, for recipes that are none or share a name, and for seeds that are none,
    repeated or beyond 64 bits.
    """

    recipes: tuple[Recipe, ...]
    criterion: Criterion | None
    seeds: tuple[int, ...] = (0,)
    null_stimuli: StimulusSet | None = None
    null_pairs: int = 1_000_000
    batch_size: int = 16
    _nulls: dict[Any, StimulusSet | None] = field(default_factory=dict, init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        if self.null_stimuli is not None:
            object.__setattr__(self, "null_stimuli", self.null_stimuli.as_played())
        for name in ("null_pairs", "batch_size"):
            if getattr(self, name) < 1:
                raise MetamersError(f"{name} {getattr(self, name)}: give at least 1")
        names = [recipe.name for recipe in self.recipes]
        if not names or len(set(names)) < len(names):
            raise MetamersError(f"recipes {', '.join(names) or 'none'}: give at least one, and each once")
        if not self.seeds or len(set(self.seeds)) < len(self.seeds):
            raise MetamersError(f"seeds {list(self.seeds)}: give at least one, and each once")
        if any(not -(2**63) <= seed < 2**63 for seed in self.seeds):
            raise MetamersError(f"seeds {list(self.seeds)}: give numbers of at most 18 digits")

    def null_of(self, stimuli: StimulusSet) -> StimulusSet | None:
        """The stimuli for the null of models that take `stimuli` as they are fitted; read once."""
        if self.null_stimuli is None:
            return choose_null_set(stimuli, None)
        key = stimuli.size, stimuli.channels, stimuli.sample_rate
        if key not in self._nulls:
            self._nulls[key] = choose_null_set(stimuli, self.null_stimuli)
        return self._nulls[key]

    def criterion_of(self, model: StagedModel) -> Criterion:
        """The criterion of a model's cells: without the decision, of a model that makes none."""
        chosen = default_criterion(model) if self.criterion is None else self.criterion
        return chosen if model.has_decision else replace(chosen, same_decision=False)


@dataclass(frozen=True, slots=True)
class Batch:
    """Cells of one model, representation, recipe and seed, made together: the references at `rows` of the task's
    stimuli."""

    id: str
    task: ModelTask
    representation: Representation
    recipe: Recipe
    seed: int
    rows: tuple[int, ...]


def cut_batches(
    task: ModelTask, settings: Settings, null_key: str | None, representation: Representation
) -> Iterator[Batch]:
    """The batches of one model and representation. A batch's id changes with all that determines its results."""
    for recipe, seed in itertools.product(settings.recipes, settings.seeds):
        for number, start in enumerate(range(0, len(task.stimuli), settings.batch_size)):
            rows = tuple(range(start, min(start + settings.batch_size, len(task.stimuli))))
            determinants: list[Any] = [
                *(NUMERICS, task.model.name, task.model.weights_hash(), representation.to_json(), recipe.to_json()),
                *(seed, null_key, None if settings.criterion is None else settings.criterion.to_json()),
                *((task.stimuli.ids[i], task.stimuli.hash(i)) for i in rows),
            ]
            readable = f"{task.model.name}.{representation.name}.s{seed}.{number:04d}"
            identity = record_id([json.dumps(d, sort_keys=True) for d in determinants], readable)
            yield Batch(identity, task, representation, recipe, seed, rows)


def describe_study(tasks: Sequence[ModelTask], settings: Settings, command: str) -> dict[str, Any]:
    """The study as resolved: the content of `study.yaml`."""
    from datetime import UTC, datetime

    from metamers import __version__

    stimuli, null = tasks[0].stimuli, settings.null_stimuli
    return {
        "metamers": __version__,
        "command": command,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "models": [
            {
                **{"name": task.model.name, "spec": task.model.spec, "weights": task.model.weights},
                **{"weights_hash": task.model.weights_hash(), "notes": list(task.model.notes)},
                **hashes_of(task, settings),
                "stages": [representation.name for representation in task.representations],
                **{"kind": task.model.kind, "sample_rate": task.stimuli.sample_rate},
                "input_size": list(task.model.input_size or ()),
                "classes": list(task.model.classes),
                "n_classes": _n_classes(task.model),
            }
            for task in tasks
        ],
        "stimuli": {
            **{"spec": stimuli.name, "n": len(stimuli)},
            **{"kind": stimuli.kind, "preparation": PREPARATION[stimuli.kind]},
            "labels_hash": sha256(json.dumps([stimuli.ids, stimuli.labels]).encode()),
        },
        "null_stimuli": None if null is None else {"spec": null.name, "n": len(null)},
        "null_pairs": settings.null_pairs,
        "recipes": [recipe.to_json() for recipe in settings.recipes],
        "seeds": list(settings.seeds),
        "criterion": " or ".join(dict.fromkeys(str(settings.criterion_of(task.model)) for task in tasks)),
        "batch_size": settings.batch_size,
        "device": str(tasks[0].model.device),
    }


def hashes_of(task: ModelTask, settings: Settings) -> dict[str, Any]:
    """What a model's cells depend on besides weights, stage, recipe and seed."""
    null = settings.null_of(task.stimuli)
    return {
        **{"numerics": NUMERICS, "fingerprint": task.fingerprint},
        **{"stimuli_hash": task.stimuli.set_hash(), "null_hash": None if null is None else null.set_hash()},
        "criterion": settings.criterion_of(task.model).to_json(),
    }


def stimulus_hashes(tasks: Sequence[ModelTask], settings: Settings) -> Hashes:
    """The hashes of the stimuli that `describe_study` names, by set, size and id."""
    found: Hashes = {"stimuli": {}, "null_stimuli": {}}
    for task in tasks:
        null = settings.null_of(task.stimuli)
        for name, stimuli in (("stimuli", task.stimuli), ("null_stimuli", null)):
            if stimuli is not None and (name == "stimuli" or settings.null_stimuli is not None):
                size = f"{stimuli.size} {stimuli.channels} {stimuli.sample_rate}"
                found[name].setdefault(size, {id_: stimuli.hash(i) for i, id_ in enumerate(stimuli.ids)})
    return found


def _n_classes(model: StagedModel) -> int | None:
    """How many decisions a model can take; None for one that takes none."""
    return next(stage.shape[0] for stage in model.describe() if stage.name == "output") if model.has_decision else None
