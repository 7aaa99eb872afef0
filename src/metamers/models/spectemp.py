"""SpecTemp: a model of auditory cortex, spectrotemporal filters over a cochleagram."""

from collections import OrderedDict
from itertools import product

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metamers.models.cochcnn9 import SAMPLE_RATE, WORDS
from metamers.models.cochleagram import Cochleagram

STAGES = ("cochleagram", "filtered_signal", "spectempfilter_power", "avgpool", "output")
TEMPORAL_RATES = (0.0, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0)
"""Hz."""
SPECTRAL_SCALES = (0.0, 0.0625, 0.125, 0.25, 0.5, 1.0, 2.0)
"""Cycles per ERB."""
FRAMES_PER_SECOND, FILTERS_PER_ERB = 200, 6
N_FILTERS, N_FRAMES = 211, 390
"""Of the cochleagram."""
ROWS, COLUMNS = 2 * N_FILTERS, 3 * N_FRAMES
"""Of the cochleagram padded with zeros."""
GAIN, LEAST_POWER = 100.0, 1e-8


class SpecTemp(nn.Sequential):
    """The power of 111 spectrotemporal modulation filters over a cochleagram, averaged over time, and a linear readout.

    Waveforms [N, 40000], 2 s at 20 kHz, to logits [N, classes]; 794 words in the study. mode: of the cochleagram. The
    filters are those of Chi, Ru & Shamma (2005, J. Acoust. Soc. Am. 118): each rate and scale with both directions of
    sweep, rates and scales of 0 pass what is constant, and the greatest pass all above them.

    Source: Feather et al. (2023), Methods; rates, scales and padding from the authors' code
    (audio_models/spectemp_filts.py).
    """

    def __init__(self, classes: int = WORDS, mode: str = "fast") -> None:
        modules: dict[str, nn.Module] = {
            "cochleagram": Cochleagram(sample_rate=SAMPLE_RATE, mode=mode),
            "filtered_signal": ModulationFilters(),
            **{"spectempfilter_power": Power(), "avgpool": TimeMean(), "flatten": nn.Flatten()},
            "classifier": nn.Linear(len(modulations()) * N_FILTERS, classes),
        }
        super().__init__(OrderedDict(modules))


def modulations() -> list[tuple[float, float]]:
    """(temporal rate, spectral scale) of each filter; a negative rate is the other direction of sweep."""
    pairs = []
    for rate, scale in product(TEMPORAL_RATES, SPECTRAL_SCALES):
        pairs.append((rate, scale))
        if rate and scale:
            pairs.append((-rate, scale))
    return pairs


class _Units(nn.Module):
    """A stage whose units, dim 1, are the filters."""

    modulations = tuple(modulations())

    @property
    def unit_sizes(self) -> tuple[int, ...]:
        """How many values of the flattened activation each filter gives."""
        return (N_FILTERS * N_FRAMES,) * len(self.modulations)


class ModulationFilters(_Units):
    """Cochleagrams [N, 211, 390] to filtered ones [N, 111, 211, 390]."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("transfer", torch.from_numpy(transfer_functions()), persistent=False)

    def forward(self, cochleagrams: Tensor) -> Tensor:
        """The filtered cochleagrams, each padded with zeros behind its end; one by one, as each takes much memory."""
        return torch.stack([self._filtered(cochleagram) for cochleagram in cochleagrams])

    def _filtered(self, cochleagram: Tensor) -> Tensor:
        spectrum = torch.fft.rfft2(cochleagram * GAIN, s=(ROWS, COLUMNS))
        filtered: Tensor = torch.fft.irfft2(spectrum * self.get_buffer("transfer"), s=(ROWS, COLUMNS))
        return filtered[:, :N_FILTERS, :N_FRAMES].contiguous()


class Power(_Units):
    """The square, at least 1e-8."""

    def forward(self, filtered: Tensor) -> Tensor:
        """Any shape."""
        return filtered.square().clamp(min=LEAST_POWER)


class TimeMean(nn.Module):
    """The mean over the last dim."""

    def forward(self, x: Tensor) -> Tensor:
        """[..., T] to [...]."""
        return x.mean(-1)


def transfer_functions() -> NDArray[np.complex64]:
    """Of each filter, over spectral and (not negative) temporal frequency: [111, 422, 586]. They are those of real
    filters, so that half of them says all."""
    spectral = {scale: _spectral(scale) for scale in SPECTRAL_SCALES}
    temporal = {rate: _temporal(rate) for rate in TEMPORAL_RATES}
    upward = np.fft.fftfreq(ROWS)[:, None]
    upward[ROWS // 2] = 0  # the highest frequency has no direction
    found = np.empty((len(modulations()), ROWS, COLUMNS // 2 + 1), np.complex64)
    for i, (rate, scale) in enumerate(modulations()):
        found[i] = spectral[scale][:, None] * temporal[abs(rate)][None]
        if rate and scale:  # one direction of sweep: two opposite quadrants
            found[i, :, 1:-1] *= upward * rate >= 0
    return found


def _spectral(scale: float) -> NDArray[np.float64]:
    frequencies = np.abs(np.fft.fftfreq(ROWS, 1 / FILTERS_PER_ERB))
    if scale == 0:
        return np.where(frequencies == 0, 1.0, 0.0)
    ratio = (frequencies / scale) ** 2
    gain: NDArray[np.float64] = ratio * np.exp(-ratio)
    gain /= gain.max()
    if scale == SPECTRAL_SCALES[-1]:
        gain[frequencies > scale] = 1.0
    return gain


def _temporal(rate: float) -> NDArray[np.complex128]:
    frequencies = np.fft.rfftfreq(COLUMNS, 1 / FRAMES_PER_SECOND)
    if rate == 0:
        return np.where(frequencies == 0, 1.0 + 0.0j, 0.0)
    time = np.arange(N_FRAMES) / FRAMES_PER_SECOND * rate
    response = np.sin(2 * np.pi * time) * time**2 * np.exp(-3.5 * time)
    transfer = np.fft.rfft(response - response.mean(), COLUMNS)
    size = np.abs(transfer)
    gain = size / size.max()
    if rate == TEMPORAL_RATES[-1]:
        gain[frequencies > frequencies[gain.argmax()]] = 1.0
    filtered: NDArray[np.complex128] = gain * transfer / np.maximum(size, 1e-300)
    return filtered
