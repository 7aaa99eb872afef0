"""The state of a training after an epoch, in files that are whole or not there."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from metamers.errors import MetamersError
from metamers.store import read_json, sha256, write_json, write_whole

KEPT = 2
"""How many checkpoints stay: the last, and the one before it should the last be damaged."""


@dataclass(frozen=True)
class Checkpoint:
    """After `epoch` epochs: tensors by name (weights, momenta, states of random generators) and one row of measures
    for each epoch."""

    epoch: int
    tensors: dict[str, Tensor]
    history: list[dict[str, Any]]


def save_checkpoint(folder: Path, checkpoint: Checkpoint, config: Mapping[str, Any]) -> None:
    """Write a checkpoint of a training of `config`, its record last, and remove all but the last two.

    Raises MetamersError when the disk is full or cannot be written to; what was there stays.
    """
    content = save({name: tensor.detach().cpu().contiguous() for name, tensor in checkpoint.tensors.items()})
    write_whole(_file(folder, checkpoint.epoch, "safetensors"), content)
    record = {"epoch": checkpoint.epoch, "sha256": sha256(content), "config": config, "history": checkpoint.history}
    write_json(_file(folder, checkpoint.epoch, "json"), record)
    for epoch in _epochs(folder)[:-KEPT]:
        _file(folder, epoch, "json").unlink()
        _file(folder, epoch, "safetensors").unlink(missing_ok=True)


def last_checkpoint(folder: Path, config: Mapping[str, Any], say: Callable[[str], None]) -> Checkpoint | None:
    """The last checkpoint that is whole; None where there is none. `say` is told of each that is damaged.

    Raises MetamersError for one of another configuration.
    """
    for epoch in reversed(_epochs(folder)):
        path = _file(folder, epoch, "safetensors")
        try:
            record = read_json(_file(folder, epoch, "json"))
            content = path.read_bytes()
            tensors = load(content)
            if sha256(content) != record["sha256"]:
                raise ValueError
        except (MetamersError, OSError, SafetensorError, ValueError, KeyError, TypeError):
            say(f"checkpoint {path} is damaged; the one before it is used")
            continue
        if difference := _difference(record["config"], config):
            raise MetamersError(
                f"{path}: a checkpoint of another configuration ({difference}); choose another --out, or set that back"
            )
        return Checkpoint(epoch, tensors, record["history"])
    return None


def _file(folder: Path, epoch: int, suffix: str) -> Path:
    return folder / f"epoch-{epoch:04d}.{suffix}"


def _epochs(folder: Path) -> list[int]:
    stems = (path.stem.removeprefix("epoch-") for path in folder.glob("epoch-*.json"))
    return sorted(int(stem) for stem in stems if stem.isdecimal())


def _difference(old: Mapping[str, Any], new: Mapping[str, Any], where: str = "") -> str | None:
    """Where two configurations differ first, as `epochs is 4, not 8`."""
    for key in dict.fromkeys([*old, *new]):
        name = f"{where}.{key}".strip(".")
        before, after = old.get(key), new.get(key)
        if isinstance(before, Mapping) and isinstance(after, Mapping):
            if found := _difference(before, after, name):
                return found
        elif before != after:
            return f"{name} was {before!r}, not {after!r}"
    return None
