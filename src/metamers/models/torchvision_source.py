"""`torchvision:NAME`: classifiers, with input size, normalization and classes from their weights' configuration."""

from pathlib import Path
from typing import Any

import torch
from torch import nn

from metamers.errors import MetamersError, nearest
from metamers.models.downloads import GIVE_WEIGHTS, download
from metamers.models.staged import StagedModel
from metamers.models.state_dicts import RANDOM_NOTE, built_at_random, put_weights, read_weights
from metamers.models.torchvision_compat import import_torchvision


def load_torchvision(name: str, weights: str | None, device: torch.device) -> StagedModel:
    """A torchvision classifier with its default weights, other weights of its own (by name), random ones, or a file's.

    Raises MetamersError for an unknown name, for weights that do not fit, and where they cannot be downloaded.
    """
    models = import_torchvision().models
    names = models.list_models(module=models)
    if name not in names:
        raise MetamersError(f"torchvision has no classifier {name!r}{nearest(name, names)}")
    published = models.get_model_weights(name)
    own = published[weights] if weights in published.__members__ else published.DEFAULT
    notes: tuple[str, ...] = ()
    spec = f"torchvision:{name}"
    network: nn.Module = built_at_random(lambda: models.get_model(name, weights=None, **_arguments(name, own, weights)))
    if weights is None or weights in published.__members__:
        put_weights(network, _download(spec, own), f"{spec} {own.name}")
    elif weights == "random":
        notes = (RANDOM_NOTE,)
    else:
        put_weights(network, read_weights(weights), weights)
    preset = own.transforms()
    return StagedModel(
        network,
        spec=spec,
        name=spec,
        input_size=preset.crop_size,
        mean=preset.mean,
        std=preset.std,
        classes=own.meta["categories"],
        notes=notes,
        device=device,
    )


def _arguments(name: str, own: Any, weights: str | None) -> dict[str, Any]:
    """What a builder sets by itself only when it is given its own weights."""
    arguments: dict[str, Any] = {}
    if name.startswith("vit_"):
        arguments["image_size"] = own.transforms().crop_size[0]
    if name in ("googlenet", "inception_v3"):
        arguments = {"transform_input": True, "init_weights": weights == "random"}
    return arguments


def _download(spec: str, own: Any) -> dict[str, torch.Tensor]:
    cached = Path(torch.hub.get_dir()) / "checkpoints" / Path(own.url).name
    with download(spec, own.url, GIVE_WEIGHTS, needed=not cached.is_file()) as online:
        if not cached.is_file() and not online:
            raise ConnectionError
        state: dict[str, torch.Tensor] = own.get_state_dict(check_hash=True, weights_only=True)
        return state
