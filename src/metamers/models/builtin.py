"""`builtin:NAME[?classes=N]`: the architectures of this package, with random weights or those of a file."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import nn

from metamers.errors import MetamersError, nearest
from metamers.models import (
    cochcnn9,
    cochresnet50,
    lowpass_alexnet,
    small_cochcnn,
    small_cochresnet,
    small_resnet_lowpass,
    spectemp,
    vone_alexnet,
)
from metamers.models import hmax as hmax_layers
from metamers.models.hmax_patches import read_patches, sample_patches
from metamers.models.small_alexnet import SmallAlexNet
from metamers.models.small_resnet import SmallResNet
from metamers.models.small_vgg import SmallVGG
from metamers.models.staged import StagedModel
from metamers.models.state_dicts import RANDOM_NOTE, built_at_random, put_weights, read_metadata, read_weights
from metamers.stimuli.spoken_words import WORDS

CLASSES = (
    *("airplane", "anchor", "cat", "cloud", "cup", "flower", "heart", "knight"),
    *("music", "scissors", "skull", "snowman", "star", "sun", "telephone", "umbrella"),
)
"""The classes of the small networks, where nothing else is said."""
MOST_CLASSES = 1_000_000


@dataclass(frozen=True)
class Architecture:
    """A network that can be built for any number of classes, and how it is looked at.

    `build` takes the number of classes (and `options` by name, as text) and gives a network that takes images in
    [0, 1], [N, channels, *input_size], or sounds in [-1, 1], [N, input_size[1]], at `sample_rate` in Hz. `class_names`
    are those of its `classes` outputs, where they have names.
    `stages` are the default ones, None for the trunk. `note` must be said of a network without weights and options.
    """

    build: Callable[..., nn.Module]
    input_size: tuple[int, int] = (64, 64)
    channels: int = 3
    classes: int = len(CLASSES)
    class_names: tuple[str, ...] = CLASSES
    stages: tuple[str, ...] | None = None
    options: tuple[str, ...] = ()
    note: str = ""
    kind: str = "image"
    sample_rate: int | None = None

    def __call__(self, classes: int | None = None, **options: str) -> nn.Module:
        """The network with random weights, for `classes` classes or its own."""
        return self.build(self.classes if classes is None else classes, **options)


def _hmax(classes: int, patches: str | None = None) -> nn.Module:
    if patches is not None:
        return hmax_layers.HMAX(read_patches(patches), classes)
    from metamers.stimuli.pictograms import pictograms

    return hmax_layers.HMAX(sample_patches(pictograms("train", 32, size=250).read()), classes)


_IMAGENET: dict[str, Any] = {"input_size": (224, 224), "classes": 1000, "class_names": ()}
_SPEECH: dict[str, Any] = {
    **{"kind": "sound", "sample_rate": cochcnn9.SAMPLE_RATE, "input_size": (1, cochcnn9.N_SAMPLES)},
    **{"classes": cochcnn9.WORDS, "class_names": ()},
}

_WORDS: dict[str, Any] = {
    **{"kind": "sound", "sample_rate": small_cochcnn.SAMPLE_RATE, "input_size": (1, small_cochcnn.N_SAMPLES)},
    **{"classes": len(WORDS), "class_names": WORDS},
}

ARCHITECTURES: Mapping[str, Architecture] = {
    "small-resnet": Architecture(SmallResNet),
    "small-resnet-lowpass": Architecture(small_resnet_lowpass.SmallResNetLowPass, stages=small_resnet_lowpass.STAGES),
    "small-alexnet": Architecture(SmallAlexNet),
    "small-vgg": Architecture(SmallVGG),
    "small-cochcnn": Architecture(small_cochcnn.SmallCochCNN, stages=small_cochcnn.STAGES, **_WORDS),
    "small-cochresnet": Architecture(small_cochresnet.SmallCochResNet, stages=small_cochresnet.STAGES, **_WORDS),
    "lowpass-alexnet": Architecture(lowpass_alexnet.LowPassAlexNet, stages=lowpass_alexnet.STAGES, **_IMAGENET),
    "vone-alexnet": Architecture(vone_alexnet.VOneAlexNet, stages=vone_alexnet.STAGES, **_IMAGENET),
    "cochcnn9": Architecture(cochcnn9.CochCNN9, stages=cochcnn9.STAGES, options=("mode",), **_SPEECH),
    "cochresnet50": Architecture(cochresnet50.CochResNet50, stages=cochresnet50.STAGES, options=("mode",), **_SPEECH),
    "spectemp": Architecture(spectemp.SpecTemp, stages=spectemp.STAGES, options=("mode",), **_SPEECH),
    "hmax": Architecture(
        _hmax,
        stages=hmax_layers.STAGES,
        channels=1,
        options=("patches",),
        note="its patches are sampled from pictograms (seed 0); for others write builtin:hmax?patches=FILE",
        **_IMAGENET | {"input_size": (250, 250)},
    ),
}


def load_builtin(name: str, weights: str | None, device: torch.device) -> StagedModel:
    """An architecture of this package, `NAME` or `NAME?classes=N`, with random weights (seed 0) or those of a file.

    A safetensors file may say in its metadata for which classes and input size its weights are, as JSON under the key
    `metamers`: {"classes": [names], "input_size": number or [height, width]}. The network is built for as many classes,
    which get these names; without metadata they have none.

    Raises MetamersError for an unknown name or option, and for weights that do not fit.
    """
    asked = _parsed(name)
    name = asked.name + name[len(name.partition("?")[0]) :]
    architecture = ARCHITECTURES[asked.name]
    file = None if weights in (None, "random") else weights
    said = _Said() if file is None else _said(file)
    if asked.classes and said.classes and asked.classes != len(said.classes):
        raise MetamersError(
            f"weights {file!r} are for {len(said.classes)} classes, not {asked.classes}; "
            f"leave classes= out of 'builtin:{name}'"
        )
    classes = asked.classes or len(said.classes) or architecture.classes
    if not asked.classes and classes != architecture.classes:
        name += f"{'&' if '?' in name else '?'}classes={classes}"  # so that the name alone builds the same network
    network = built_at_random(lambda: architecture(classes, **asked.options))
    if file is not None:
        put_weights(network, read_weights(file), file)
    return StagedModel(
        network,
        name=f"builtin:{name}",
        spec=f"builtin:{name}",
        input_size=architecture.input_size if said.input_size is None else said.input_size,
        kind=architecture.kind,
        sample_rate=architecture.sample_rate,
        channels=architecture.channels,
        classes=said.classes or (architecture.class_names if file is None and classes == architecture.classes else ()),
        stages=architecture.stages,
        notes=() if file else _notes(architecture, asked),
        device=device,
    )


def _notes(architecture: Architecture, asked: "_Asked") -> tuple[str, ...]:
    return (RANDOM_NOTE, *([architecture.note] if architecture.note and not asked.options else []))


class _Asked(NamedTuple):
    """What a name and its query ask for."""

    name: str
    classes: int | None
    options: dict[str, str]


def architecture_name(asked: str) -> str:
    """The name of an architecture, also as papers write it (CochResNet50, LowPassAlexNet); another name as it is."""
    asked = asked.partition("?")[0]
    return {key.replace("-", ""): key for key in ARCHITECTURES}.get(asked.lower().replace("-", ""), asked)


def _parsed(spec: str) -> _Asked:
    asked, _, query = spec.partition("?")
    name = architecture_name(asked)
    if name not in ARCHITECTURES:
        names = ", ".join(ARCHITECTURES)
        raise MetamersError(f"no architecture {name!r}; choose one of {names}{nearest(name, ARCHITECTURES)}")
    known = ("classes", *ARCHITECTURES[name].options)
    pairs = [part.partition("=") for part in query.split("&")] if query else []
    if not all(equals for _, equals, _ in pairs):
        raise MetamersError(f"model 'builtin:{spec}': write what follows ? as key=value, joined by &")
    options = {key: value for key, _, value in pairs}
    for key in options:
        if key not in known:
            raise MetamersError(
                f"model 'builtin:{spec}': no option {key!r}{nearest(key, known)}; there is {known[0]}=N"
            )
    if len(options) < len(pairs):
        raise MetamersError(f"model 'builtin:{spec}' states an option twice; keep one")
    classes = options.pop("classes", None)
    if classes is not None and not _is_count(classes):
        raise MetamersError(
            f"model 'builtin:{spec}': classes is {classes!r}; give a whole number from 2 to {MOST_CLASSES:,}"
        )
    return _Asked(name, None if classes is None else int(classes), options)


def _is_count(text: str) -> bool:
    return bool(re.fullmatch("0*[0-9]{1,7}", text)) and 1 < int(text[-7:]) <= MOST_CLASSES


class _Said(NamedTuple):
    """What the metadata of a file of weights say."""

    classes: tuple[str, ...] = ()
    input_size: tuple[int, int] | None = None


def _said(file: str) -> _Said:
    try:
        said = json.loads(read_metadata(file).get("metamers", "{}"))
    except ValueError:
        said = None
    if not isinstance(said, dict):
        raise MetamersError(f"weights {file!r}: its metadata 'metamers' is no JSON object; write it anew")
    classes, size = said.get("classes"), said.get("input_size")
    classes = [] if classes is None else classes
    if not isinstance(classes, list) or not all(isinstance(name, str) for name in classes) or len(classes) == 1:
        raise MetamersError(f"weights {file!r}: its metadata 'classes' is no list of two names or more; write it anew")
    if size is None:
        return _Said(tuple(classes))
    sides = size if isinstance(size, list) else [size, size]
    if len(sides) != 2 or not all(type(side) is int and side > 0 for side in sides):
        raise MetamersError(
            f"weights {file!r}: its metadata 'input_size' is {size!r}, no number of pixels and no [height, width]; "
            "write it anew"
        )
    return _Said(tuple(classes), (sides[0], sides[1]))
