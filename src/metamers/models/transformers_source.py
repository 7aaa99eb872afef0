"""`transformers:NAME_OR_FOLDER`, with input size and normalization from its image processor or feature extractor."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.models.downloads import download
from metamers.models.staged import StagedModel
from metamers.models.state_dicts import RANDOM_NOTE, built_at_random, put_weights, read_weights
from metamers.models.torchvision_compat import import_after_torchvision

HUB = "https://huggingface.co"
GIVE_FOLDER = (
    "give a folder that holds its config.json, transformers:FOLDER, with the weights in it, --weights FILE or "
    "--weights random (weights= in Python, weights: in a study)"
)


def load_transformers(name: str, weights: str | None, device: torch.device) -> StagedModel:
    """A model of images, or of waveforms (wav2vec 2.0, HuBERT and their like), from a folder or from the Hugging Face
    hub, with its own weights, random ones, or a file's.

    A classifier where its configuration names one, else the bare model, of which the part for images. No code from the
    hub is run. Raises MetamersError for a model that is not there, is for neither, or cannot be downloaded.
    """
    transformers = import_after_torchvision("transformers", "transformers")
    notes: tuple[str, ...] = ()
    spec = f"transformers:{name}"
    with download(spec, HUB, GIVE_FOLDER, needed=not Path(name).is_dir()):
        config = transformers.AutoConfig.from_pretrained(name, trust_remote_code=False)
        kind = _kind(transformers, config)
        if weights is None:
            network, notes = _pretrained(kind, name)
        else:
            network = built_at_random(lambda: kind.from_config(config, trust_remote_code=False))
        hears = _hears(config)
        processor = _processor(transformers.AutoFeatureExtractor if hears else transformers.AutoImageProcessor, name)
    if weights == "random":
        notes = (RANDOM_NOTE,)
    elif weights is not None:
        put_weights(network, read_weights(weights), weights)
    inputs, note = _sound_inputs(network, processor) if hears else _inputs(processor, config)
    return StagedModel(
        _for_images(network).float(),
        spec=spec,
        name=spec,
        classes=_classes(config),
        notes=(*notes, *note),
        device=device,
        **inputs,
    )


def _kind(transformers: Any, config: Any) -> Any:
    """The auto class: the classifier, unless the configuration says that there is none."""
    classifier = transformers.AutoModelForImageClassification
    named = config.architectures or ["ForImageClassification"]
    if _hears(config):
        classifier = transformers.AutoModelForAudioClassification
        named = config.architectures or []
    heads = ("ForImageClassification", "ForSequenceClassification")
    if any(head in name for name in named for head in heads) and type(config) in classifier._model_mapping:
        return classifier
    return transformers.AutoModel


def _hears(config: Any) -> bool:
    """Whether a model takes waveforms: those that begin with convolutions over samples say how these are normalized."""
    return hasattr(config, "feat_extract_norm")


def _pretrained(kind: Any, name: str) -> tuple[nn.Module, tuple[str, ...]]:
    """A model with its own weights, and what must be said where a part of it (a head, a pooler) has none."""
    network, loaded = built_at_random(
        lambda: kind.from_pretrained(name, trust_remote_code=False, output_loading_info=True)
    )
    lacking = sorted(loaded["missing_keys"])
    return network, (f"has no weights of its own, but random ones (seed 0), at {', '.join(lacking)}",) * bool(lacking)


def _for_images(network: nn.Module) -> nn.Module:
    part = getattr(network, "vision_model", None)
    return part if isinstance(part, nn.Module) else network


def _processor(auto: Any, name: str) -> Any | None:
    try:
        return auto.from_pretrained(name, trust_remote_code=False)
    except (OSError, ValueError):
        return None


def _inputs(processor: Any | None, config: Any) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Size, channels and normalization, read off what the processor makes of a black and a white image."""
    if processor is None:
        size = getattr(config, "image_size", None)
        given = {"input_size": size, "channels": getattr(config, "num_channels", 3)}
        return given, ("has no image processor: values in [0, 1] go in as they are",)
    shades = [np.full((512, 512, 3), value, dtype=np.uint8) for value in (0, 255)]
    pixels = processor(images=shades, return_tensors="pt")["pixel_values"]
    if pixels.ndim != 4:
        raise MetamersError(f"{type(processor).__name__} makes {list(pixels.shape)} of 2 images, not [2, C, H, W]")
    black, white = pixels[:, :, pixels.shape[2] // 2, pixels.shape[3] // 2].double()
    std = 1 / (white - black)
    given = {"input_size": tuple(pixels.shape[2:]), "channels": pixels.shape[1]}
    return {**given, "mean": (-black * std).tolist(), "std": std.tolist()}, ()


def _sound_inputs(network: nn.Module, extractor: Any | None) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The rate, and the normalization of each waveform by itself where the feature extractor asks for it."""
    if extractor is None:
        return {"kind": "sound", "sample_rate": 16_000}, ("has no feature extractor: taken to be of 16,000 Hz, as is",)
    if getattr(extractor, "do_normalize", False):
        network.register_forward_pre_hook(_normalized)
    return {"kind": "sound", "sample_rate": int(extractor.sampling_rate)}, ()


def _normalized(network: nn.Module, given: tuple[torch.Tensor, ...]) -> tuple[torch.Tensor, ...]:
    """Waveforms with mean 0 and variance 1, as `Wav2Vec2FeatureExtractor` makes them."""
    x = given[0]
    return (x - x.mean(1, keepdim=True)) / (x.var(1, keepdim=True, correction=0) + 1e-7).sqrt(), *given[1:]


def _classes(config: Any) -> list[str]:
    names = [config.id2label[i] for i in sorted(config.id2label or {})]
    return [] if any(name == f"LABEL_{i}" for i, name in enumerate(names)) else names
