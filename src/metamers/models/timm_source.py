"""`timm:NAME`, with input size, normalization and classes from its configuration."""

from types import ModuleType

import torch
from torch import nn

from metamers.errors import MetamersError, nearest
from metamers.models.downloads import GIVE_WEIGHTS, download
from metamers.models.staged import StagedModel
from metamers.models.state_dicts import RANDOM_NOTE, built_at_random, put_weights, read_weights
from metamers.models.torchvision_compat import import_after_torchvision


def load_timm(name: str, weights: str | None, device: torch.device) -> StagedModel:
    """A timm model, `NAME` or `NAME.TAG`, with its own weights, random ones, or a file's.

    Raises MetamersError for an unknown name, for weights that do not fit, and where they cannot be downloaded.
    """
    timm = import_after_torchvision("timm", "timm")
    _require_known(timm, name)
    notes: tuple[str, ...] = ()
    spec = f"timm:{name}"
    if weights is None:
        with download(spec, "https://huggingface.co", GIVE_WEIGHTS):
            network = timm.create_model(name, pretrained=True)
    else:
        network = built_at_random(lambda: timm.create_model(name, pretrained=False))
        if weights == "random":
            notes = (RANDOM_NOTE,)
        else:
            put_weights(network, read_weights(weights), weights)
    config = network.pretrained_cfg
    return StagedModel(
        network,
        spec=spec,
        name=spec,
        input_size=config["input_size"][1:],
        channels=config["input_size"][0],
        mean=config["mean"],
        std=config["std"],
        classes=_classes(timm, network),
        notes=notes,
        device=device,
    )


def _require_known(timm: ModuleType, name: str) -> None:
    base, _, tag = name.partition(".")
    names = timm.list_models()
    if base not in names:
        raise MetamersError(f"timm has no model {name!r}{nearest(base, names)}")
    tags = [known.partition(".")[2] for known in timm.list_pretrained(f"{base}.*")]
    if tag and tag not in tags:
        raise MetamersError(f"timm's {base!r} has no weights {tag!r}{nearest(tag, tags)}")


def _classes(timm: ModuleType, network: nn.Module) -> list[str]:
    subset = timm.data.infer_imagenet_subset(network)
    return [] if subset is None else list(timm.data.ImageNetInfo(subset).label_descriptions())
