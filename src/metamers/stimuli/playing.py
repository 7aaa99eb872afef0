"""Sounds as they are played: faded in and out, and not too loud."""

from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from metamers.stimuli.sounds import Waveform

if TYPE_CHECKING:
    import torch

RAMP_SECONDS = 0.01
LOUDEST_RMS = 0.25
"""Root mean square above which a sound is turned down; that of speech at a usual level is 0.02 to 0.1."""


def as_played(signals: "torch.Tensor", rate: int) -> "torch.Tensor":
    """Waveforms [..., T] at `rate` Hz with half-cosine ramps of 10 ms, turned down where their RMS is above 0.25."""
    ramped = signals * _ramps_on(signals.shape[-1], rate, signals.device)
    level = ramped.square().mean(-1, keepdim=True).clamp(min=LOUDEST_RMS**2).sqrt()
    return ramped * (LOUDEST_RMS / level)


def turned_down(waveform: Waveform) -> Waveform:
    """A waveform [T], turned down where its RMS is above 0.25."""
    level = max(LOUDEST_RMS, float(np.sqrt(np.mean(np.square(waveform, dtype=np.float64)))))
    quiet: Waveform = waveform * np.float32(LOUDEST_RMS / level)
    return quiet


def ramped(waveform: Waveform, rate: int) -> Waveform:
    """A waveform [T] that rises from 0 over 10 ms (over half of a shorter one), and falls likewise."""
    return waveform * _ramps(len(waveform), rate)


@lru_cache(maxsize=8)
def _ramps_on(n: int, rate: int, device: "torch.device") -> "torch.Tensor":
    import torch

    return torch.from_numpy(_ramps(n, rate)).to(device)  # once, as each copy would wait for the device


@lru_cache(maxsize=8)
def _ramps(n: int, rate: int) -> Waveform:
    m = min(round(RAMP_SECONDS * rate), n // 2)
    rise = 0.5 - 0.5 * np.cos(np.pi * np.arange(m) / max(m, 1))
    return np.concatenate([rise, np.ones(n - 2 * m), rise[::-1]]).astype(np.float32)
