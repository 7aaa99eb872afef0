"""Stimuli as files that lose nothing: 8-bit PNG for images, 16-bit WAV for sounds."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metamers.errors import MetamersError
from metamers.stimuli.images import read_image
from metamers.stimuli.pixels import encode_png
from metamers.stimuli.sound_set import SoundSet
from metamers.stimuli.sounds import FULL_SCALE, Sound, encode_wav, read_wav
from metamers.stimuli.stimulus_set import StimulusSet

if TYPE_CHECKING:
    import torch

SUFFIXES = {"image": ".png", "sound": ".wav"}
VALUE_RANGES: dict[str, tuple[float, float]] = {set_.kind: set_.value_range for set_ in (StimulusSet, SoundSet)}


def encode(signal: "torch.Tensor", kind: str, sample_rate: int | None = None) -> bytes:
    """The file of a signal: of an image, floats [C, H, W] in [0, 1], or a sound, floats [T] in [-1, 1]."""
    if kind == "image":
        return encode_png(signal)
    assert sample_rate is not None
    return encode_wav(signal, sample_rate)


def as_written(signals: "torch.Tensor", kind: str) -> "torch.Tensor":
    """What the files of signals decode to: images float in [0, 1], rounded (not truncated) to 255ths; sounds float in
    [-1, 1), to 32,768ths."""
    if kind == "image":
        return (signals.clamp(0, 1) * 255).round() / 255
    return (signals * FULL_SCALE).round().clamp(-FULL_SCALE, FULL_SCALE - 1) / FULL_SCALE


def read_signals(paths: Sequence[Path]) -> "torch.Tensor":
    """The signals of written files of one kind and shape: images float [N, C, H, W], sounds float [N, T].

    Raises MetamersError where a file is missing or broken, or unlike the first.
    """
    import torch

    sounds = paths[0].suffix == SUFFIXES["sound"]
    arrays: list[Any] = [read_wav(path)[0] if sounds else read_image(path) for path in paths]
    for path, array in zip(paths, arrays, strict=True):
        if array.shape != arrays[0].shape:
            raise MetamersError(f"{path}: shape {array.shape}, unlike others of its batch; make the run anew")
    stacked = torch.from_numpy(np.stack(arrays))
    return stacked.float() / FULL_SCALE if sounds else stacked.permute(0, 3, 1, 2).float() / 255


def written_set(
    name: str, ids: Sequence[str], paths: Sequence[Path], labels: Sequence[str | None] | None = None
) -> StimulusSet:
    """The stimuli of written files of one kind; they are as they are played.

    Raises MetamersError where the first is missing or broken.
    """
    if paths[0].suffix == SUFFIXES["image"]:
        channels = read_image(paths[0]).shape[2]
        return StimulusSet(name=name, ids=ids, labels=labels, source=lambda i: read_image(paths[i]), channels=channels)

    def source(i: int) -> Sound:
        samples, rate = read_wav(paths[i])
        return Sound(samples.astype(np.float32) / np.float32(FULL_SCALE), rate)

    return SoundSet(name=name, ids=ids, labels=labels, source=source, sample_rate=read_wav(paths[0])[1], played=True)
