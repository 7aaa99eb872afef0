"""Imports torchvision, also where its wheel was built for another PyTorch than the one installed.

A torchvision built for CUDA beside a PyTorch for CPUs registers gradients of two operators that only its unloadable
binary defines, and its import fails. Declaring them lets models, weights, transforms and datasets work;
`torchvision.ops.nms` and `torchvision.io` stay unusable. timm and transformers import torchvision and need this first.
"""

import importlib
import importlib.util
import sys
from types import ModuleType

import torch

from metamers.errors import MetamersError

_OPERATORS = (
    "nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
    "qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor",
)
_libraries: list[torch.library.Library] = []
"""A declaration lasts as long as its library object."""


def import_torchvision() -> ModuleType:
    """The package torchvision. Raises MetamersError where it is not installed."""
    try:
        return importlib.import_module("torchvision")
    except ModuleNotFoundError as error:
        if error.name != "torchvision":
            raise
        raise missing_extra("torchvision", "vision") from error
    except RuntimeError as error:
        if "torchvision::" not in str(error) or _libraries:
            raise
    _declare_operators()
    return importlib.import_module("torchvision")


def import_after_torchvision(package: str, extra: str) -> ModuleType:
    """A package that imports torchvision where it is there. Raises MetamersError naming `extra` where it is missing."""
    if importlib.util.find_spec(package) is None:
        raise missing_extra(package, extra)
    if importlib.util.find_spec("torchvision") is not None:
        import_torchvision()
    return importlib.import_module(package)


def missing_extra(package: str, extra: str) -> MetamersError:
    """The error for a package that is not installed."""
    return MetamersError(f"{package} is not installed; in the clone, pip install -c constraints.txt -e '.[{extra}]'")


def _declare_operators() -> None:
    library = torch.library.Library("torchvision", "FRAGMENT")
    _libraries.append(library)
    for schema in _OPERATORS:
        library.define(schema)
    for name in [name for name in sys.modules if name == "torchvision" or name.startswith("torchvision.")]:
        del sys.modules[name]
