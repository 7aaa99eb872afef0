"""Trained models that ship with the package: they name pictograms (64 x 64, RGB) or spoken words (1 s, 16 kHz)."""

from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import load_file

from metamers.errors import MetamersError, nearest
from metamers.models.builtin import ARCHITECTURES as ARCHITECTURES
from metamers.models.builtin import CLASSES as CLASSES
from metamers.models.staged import StagedModel

BUNDLED = {
    "picto-resnet": "small-resnet",
    "picto-resnet-b": "small-resnet",
    "picto-resnet-l2": "small-resnet",
    "picto-resnet-linf": "small-resnet",
    "picto-resnet-random": "small-resnet",
    "picto-resnet-lowpass": "small-resnet-lowpass",
    "picto-alexnet": "small-alexnet",
    "word-cochcnn": "small-cochcnn",
    "word-cochresnet": "small-cochresnet",
    "word-cochresnet-b": "small-cochresnet",
    "word-cochresnet-l2": "small-cochresnet",
}
NAMES = tuple(BUNDLED)
WEIGHTS = Path(__file__).parent / "weights"


def load_bundled(name: str, device: str | torch.device = "cpu") -> StagedModel:
    """A bundled model with its trained weights. Raises MetamersError for an unknown name."""
    _require_known(name)
    architecture = ARCHITECTURES[BUNDLED[name]]
    network = architecture()
    network.load_state_dict(load_file(WEIGHTS / f"{name}.safetensors"))
    model = StagedModel(
        network,
        name=name,
        spec=f"bundled:{name}",
        kind=architecture.kind,
        sample_rate=architecture.sample_rate,
        input_size=architecture.input_size,
        classes=architecture.class_names,
        stages=architecture.stages,
    )
    return model.to(device)


def kind_of(name: str) -> str:
    """What a bundled model takes: "image" or "sound". Raises MetamersError for an unknown name."""
    _require_known(name)
    return ARCHITECTURES[BUNDLED[name]].kind


def _require_known(name: str) -> None:
    if name not in BUNDLED:
        raise MetamersError(f"no bundled model {name!r}; choose one of {', '.join(NAMES)}{nearest(name, NAMES)}")


def describe_bundled() -> list[dict[str, Any]]:
    """The cards of all bundled models: name, architecture, data, accuracy, recipe and the command that rebuilds it."""
    return [yaml.safe_load((WEIGHTS / f"{name}.md").read_text(encoding="utf-8").split("---")[1]) for name in NAMES]
