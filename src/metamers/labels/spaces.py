"""Label spaces by name, or from a file of one's own."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from metamers.errors import MetamersError, nearest
from metamers.labels.imagenet16 import IMAGENET16
from metamers.labels.label_space import LabelSpace, identity

CIFAR10_CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
CIFAR10 = replace(identity(CIFAR10_CLASSES, 10), name="cifar10")
"""The classes of CIFAR-10 in the order of its labels 0 to 9."""

LABEL_SPACES = ("identity", "imagenet16", "cifar10")


def label_space(name: str) -> LabelSpace | None:
    """The label space `name`: imagenet16, cifar10 or FILE.json; None for identity, which is each model's own.

    The file holds the labels in the order of the model's outputs, `["cat", "dog"]`, or for each label the indices of
    the outputs that mean it, `{"cat": [281, 282], "dog": [151]}`; other outputs are then left out of account.

    Raises MetamersError for an unknown name, and for a file that is missing or holds something else.
    """
    if name in LABEL_SPACES:
        return {"identity": None, "imagenet16": IMAGENET16, "cifar10": CIFAR10}[name]
    if name.endswith(".json"):
        return _from_file(Path(name))
    raise MetamersError(
        f"no labels {name!r}{nearest(name, LABEL_SPACES)}; choose one of {', '.join(LABEL_SPACES)} or FILE.json"
    )


def _from_file(path: Path) -> LabelSpace:
    try:
        content = path.read_bytes()
        value = json.loads(content, object_pairs_hook=_without_repeats)
    except OSError as error:
        raise MetamersError(f"labels '{path}' cannot be read ({error.strerror}); correct the path") from error
    except ValueError as error:
        raise MetamersError(f"labels '{path}': {error}; correct the file") from error
    name = f"{path.name}-{hashlib.sha256(content).hexdigest()[:6]}"
    if isinstance(value, list) and len(value) > 1 and all(isinstance(label, str) and label for label in value):
        return replace(identity(value, len(value)), name=name)
    if not isinstance(value, dict) or len(value) < 2 or not all(value) or not all(map(_are_indices, value.values())):
        raise MetamersError(
            f'labels \'{path}\' are no ["cat", "dog", ...] and no {{"cat": [281, 282], ...}}, with at least two labels '
            "and an output's index for each; correct the file"
        )
    owner: dict[int, str] = {}
    for label, indices in value.items():
        for index in indices:
            if index in owner:
                raise MetamersError(f"labels '{path}': output {index} means {owner[index]!r} and {label!r}; keep one")
            owner[index] = label
    return LabelSpace(name, tuple(value), tuple(map(tuple, value.values())))


def _are_indices(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(type(index) is int and index >= 0 for index in value)


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError("a label is there twice")
    return found
