"""Labeled stimuli as batches for training."""

from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from metamers.errors import MetamersError, nearest
from metamers.models import StagedModel, fitted
from metamers.stimuli import StimulusSet
from metamers.stimuli.sounds import FULL_SCALE

HELD_BYTES = 2 * 2**30
"""Sets of up to this size are decoded once and held; of larger ones, batches are read as they are needed."""
READ_AHEAD = 4


@dataclass(frozen=True)
class LabeledStimuli:
    """Stimuli fitted to a model's input, and the index of each one's class, int64 [N]."""

    stimuli: StimulusSet
    labels: Tensor
    classes: tuple[str, ...]
    _held: list[Tensor] = field(default_factory=list, compare=False, repr=False)

    def __len__(self) -> int:
        return len(self.labels)

    def batches(self, order: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        """For each tensor of indices, the stimuli as written (`as_signals` of them are signals) and their labels, int64
        [n]: images uint8 [n, C, H, W], sounds int16 [n, T]."""
        if self._n_bytes() <= HELD_BYTES:
            if not self._held:
                self._held.append(self._read(range(len(self))))
            yield from ((self._held[0][rows], self.labels[rows]) for rows in order)
            return
        with ThreadPoolExecutor(READ_AHEAD) as pool:
            ahead: list[Future[Tensor]] = []
            for i, rows in enumerate(order):
                while len(ahead) < READ_AHEAD and i + len(ahead) < len(order):
                    ahead.append(pool.submit(self._read, order[i + len(ahead)].tolist()))
                yield ahead.pop(0).result(), self.labels[rows]

    def _n_bytes(self) -> int:
        return len(self) * self.stimuli.pixels(0).nbytes

    def _read(self, rows: Sequence[int]) -> Tensor:
        written = torch.from_numpy(np.stack([self.stimuli.pixels(i) for i in rows]))
        return written.permute(0, 3, 1, 2).contiguous() if self.stimuli.kind == "image" else written


def as_signals(written: Tensor) -> Tensor:
    """Pixels, uint8, as floats in [0, 1]; samples, int16, as floats in [-1, 1)."""
    return written.float() / (255 if written.dtype == torch.uint8 else FULL_SCALE)


def class_names(stimuli: StimulusSet) -> tuple[str, ...]:
    """The classes of a labeled set: those that it states, else its different labels in order.

    Raises MetamersError where stimuli have no label, or all the same.
    """
    unlabeled = [id_ for id_, label in zip(stimuli.ids, stimuli.labels, strict=True) if label is None]
    if unlabeled:
        raise MetamersError(
            f"'{stimuli.name}': {len(unlabeled)} of {len(stimuli)} stimuli have no label, first '{unlabeled[0]}'; "
            "put them into folders named by class, or give labels"
        )
    found = sorted({str(label) for label in stimuli.labels}, key=_numbers_by_value)
    if len(found) < 2:
        raise MetamersError(f"'{stimuli.name}': all stimuli have the label {found[0]!r}; training takes two classes")
    return stimuli.classes or tuple(found)


def labeled_stimuli(stimuli: StimulusSet, model: StagedModel, classes: Sequence[str]) -> LabeledStimuli:
    """Stimuli with labels that are `classes` or, as digits, indices of them, fitted to a model that gives as many.

    Raises MetamersError for a label out of range, a set with one class, and a model of another number of outputs.
    """
    class_names(stimuli)
    n_outputs = next(stage.shape[0] for stage in model.describe() if stage.name == "output")
    if n_outputs < len(classes):
        raise MetamersError(
            f"model {model.name!r} has {n_outputs} outputs for {len(classes)} classes; build it for as many, e.g. "
            f"builtin:NAME?classes={len(classes)}"
        )
    index = {name: i for i, name in enumerate(classes)}
    labels = []
    for id_, label in zip(stimuli.ids, stimuli.labels, strict=True):
        known = index.get(str(label))
        if known is None and str(label).isdecimal() and int(str(label)) < n_outputs:
            known = int(str(label))
        if known is None:
            raise MetamersError(
                f"'{stimuli.name}': the label {label!r} of '{id_}' is none of the {len(classes)} classes"
                f"{nearest(str(label), classes)}; correct it"
            )
        labels.append(known)
    return LabeledStimuli(fitted(stimuli, model), torch.tensor(labels), tuple(classes))


def _numbers_by_value(label: str) -> tuple[int, int, str]:
    return (0, int(label), label) if label.isdecimal() else (1, 0, label)
