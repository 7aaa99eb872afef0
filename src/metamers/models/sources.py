"""Models by name: from torchvision, timm, transformers, a Python file, or this package."""

import copy
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from metamers.errors import MetamersError, nearest
from metamers.models.builtin import ARCHITECTURES, architecture_name, load_builtin
from metamers.models.bundled import BUNDLED, load_bundled
from metamers.models.devices import parse_device
from metamers.models.python_file import call_function
from metamers.models.staged import StagedModel
from metamers.models.state_dicts import RANDOM_NOTE, put_weights, randomize, read_weights
from metamers.models.timm_source import load_timm
from metamers.models.torchvision_source import load_torchvision
from metamers.models.transformers_source import load_transformers

SOURCES: Mapping[str, str] = {
    "torchvision:NAME": "classifiers of torchvision (extra: vision)",
    "timm:NAME": "models of timm (extra: timm)",
    "transformers:NAME_OR_FOLDER": "image models of Hugging Face transformers (extra: transformers)",
    "FILE.py:FUNCTION[:ARGUMENT]": "what your function returns: a module, (module, input size) or a StagedModel",
    "bundled:NAME": "trained models of this package",
    "builtin:NAME[?classes=N]": f"architectures of this package, untrained: {', '.join(ARCHITECTURES)}",
}
"""The forms of a model's name, and what each stands for."""

Loader = Callable[[str, str | None, torch.device], StagedModel]


def load_model(
    spec_or_module: str | nn.Module | StagedModel,
    *,
    stages: str | Sequence[str] | None = None,
    input_size: int | Sequence[int] | None = None,
    input_range: tuple[float, float] | None = None,
    channels: int = 3,
    sample_rate: int | None = None,
    kind: str | None = None,
    device: str | torch.device = "cpu",
    weights: str | Path | None = None,
) -> StagedModel:
    """A model by name (the forms are in `SOURCES`) or from a module of one's own, with stages to read activations at.

    `stages` are names or globs that "all" stands for. `input_size` is (height, width) or one number for a square.
    `input_range` (what stimuli are mapped to), `channels`, `sample_rate` and `kind` ("image", the default, or "sound")
    describe a module of one's own (with a sample_rate, of sounds); other models know theirs. `weights` is None for the
    source's own, "random" (seed 0), or a file: safetensors, or a state dict that loads without running code. A module
    is copied, a StagedModel where it gets other weights or another device: what is given stays as it is.

    Raises MetamersError for whatever is unknown, missing or does not fit.

    >>> model = load_model("builtin:small-resnet", weights="random")
    >>> model.stages
    ('conv1', 'relu', 'layer1', 'layer2', 'layer3', 'layer4', 'avgpool', 'output')
    """
    on = parse_device(device)
    given = {"input_range": input_range, "channels": channels, "sample_rate": sample_rate, "kind": kind}
    own = {**given, "kind": kind or ("image" if sample_rate is None else "sound")}
    chosen = None if weights is None else str(weights)
    if isinstance(spec_or_module, nn.Module):
        model = _from_module(spec_or_module, chosen, on, own)
    elif isinstance(spec_or_module, StagedModel):
        _refuse(given, spec_or_module.name)
        model = spec_or_module if chosen is None else _with_weights(spec_or_module.copied(), chosen)
        model = model.to(on)
    elif _is_function(spec_or_module):
        model = _from_function(spec_or_module, chosen, on, own)
    else:
        _refuse(given, spec_or_module)
        model = _from_source(spec_or_module, chosen, on)
    if chosen is not None:
        model.weights = chosen
        file = Path(chosen)
        # A training writes model.safetensors into a folder of its own name.
        known_by = file.resolve().parent.name if file.name == "model.safetensors" else file.stem
        model.name += f"{'&' if '?' in model.name else '?'}weights={known_by}"
    if input_size is not None:
        model = model.with_input_size(input_size)
    return model if stages is None else model.with_stages(stages)


def own_kind(spec: str | nn.Module | StagedModel, kind: str, sample_rate: int | None) -> dict[str, Any]:
    """What `load_model` must be told of stimuli: their kind and rate, for modules of one's own, which do not say."""
    plain = isinstance(spec, nn.Module) or (isinstance(spec, str) and _is_function(spec))
    return {"kind": kind, "sample_rate": sample_rate} if plain else {}


def known_rate(spec: str) -> int | None:
    """The samples per second that a model of this package takes; None for images and for models of others."""
    source, _, name = spec.partition(":")
    key = BUNDLED.get(name, "") if source == "bundled" else architecture_name(name) if source == "builtin" else ""
    return ARCHITECTURES[key].sample_rate if key in ARCHITECTURES else None


def _is_function(spec: str) -> bool:
    return ".py:" in spec or spec.endswith(".py")


def _from_source(spec: str, weights: str | None, device: torch.device) -> StagedModel:
    source, colon, name = spec.partition(":")
    if source not in _LOADERS:
        forms = ", ".join(SOURCES)
        raise MetamersError(f"no model {spec!r}{nearest(source, _LOADERS)}; a model is one of {forms}")
    if not colon or not name:
        raise MetamersError(f"model {spec!r} names none; write {source}:NAME")
    return _LOADERS[source](name, weights, device)


def _bundled(name: str, weights: str | None, device: torch.device) -> StagedModel:
    return _with_weights(load_bundled(name), weights).to(device)


_LOADERS: dict[str, Loader] = {
    "torchvision": load_torchvision,
    "timm": load_timm,
    "transformers": load_transformers,
    "bundled": _bundled,
    "builtin": load_builtin,
}


def _from_function(spec: str, weights: str | None, device: torch.device, given: dict[str, Any]) -> StagedModel:
    made, name = call_function(spec)
    size = None
    if isinstance(made, tuple) and len(made) == 2:
        made, size = made
    if isinstance(made, StagedModel):
        _refuse({key: given[key] for key in ("input_range", "channels")}, spec)
        model = made.to(device)
    elif isinstance(made, nn.Module):
        model = StagedModel(_unwrapped(made), input_size=size, device=device, **given)
    else:
        raise MetamersError(
            f"model {spec!r} returned {type(made).__name__}; it must return a module, (module, size) or a StagedModel"
        )
    model.spec, model.name = spec, name
    return _with_weights(model, weights)


def _from_module(module: nn.Module, weights: str | None, device: torch.device, given: dict[str, Any]) -> StagedModel:
    notes: tuple[str, ...] = ()
    network = _unwrapped(module)
    try:
        network = copy.deepcopy(network)
    except Exception:
        notes = ("could not be copied: used in place, in evaluation mode and frozen",)
    return _with_weights(StagedModel(network, notes=notes, device=device, **given), weights)


def _with_weights(model: StagedModel, weights: str | None) -> StagedModel:
    if weights is None:
        return model
    if weights == "random":
        randomize(model.network)
        return model.with_notes(RANDOM_NOTE)
    put_weights(model.network, read_weights(weights), weights)
    return model


def _unwrapped(module: nn.Module) -> nn.Module:
    parallel = (nn.DataParallel, nn.parallel.DistributedDataParallel)
    return module.module if isinstance(module, parallel) else module


_DEFAULTS: Mapping[str, Any] = {"input_range": None, "channels": 3, "sample_rate": None, "kind": None}


def _refuse(given: Mapping[str, Any], model: str) -> None:
    if changed := [key for key, value in given.items() if value != _DEFAULTS[key]]:
        raise MetamersError(f"model {model!r} has its own {changed[0]}; leave it out, or make a StagedModel of it")
