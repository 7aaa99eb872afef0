"""Mel spectrograms and mel-frequency cepstral coefficients, differentiable."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from metamers.errors import MetamersError


class MelSpectrogram(nn.Module):
    """Waveforms [N, T] to log energies in mel bands [N, bands, frames], low frequencies first.

    sample_rate: in Hz. bands: triangular filters of height 1, evenly apart on the mel scale between `low` and `high` Hz
    (by default half the sample rate). window, hop: of the Hann-windowed frames, in seconds; only whole frames count.
    floor: added to the energies before the logarithm, so that silence has a gradient.

    Source: Davis & Mermelstein (1980, IEEE Trans. Acoust. 28); mel as 2595 log10(1 + f / 700) (O'Shaughnessy, 1987).
    Raises MetamersError for settings that make no filter, and in use for waveforms shorter than a window.

    >>> MelSpectrogram(sample_rate=16_000)(torch.zeros(1, 16_000)).shape
    torch.Size([1, 40, 98])
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        bands: int = 40,
        low: float = 20.0,
        high: float | None = None,
        window: float = 0.025,
        hop: float = 0.01,
        floor: float = 1e-6,
    ) -> None:
        super().__init__()
        high = sample_rate / 2 if high is None else high
        self.n_window, self.n_hop, self.floor = round(window * sample_rate), round(hop * sample_rate), floor
        if not 0 <= low < high <= sample_rate / 2 or bands < 1 or min(self.n_window, self.n_hop) < 1 or floor <= 0:
            raise MetamersError(
                f"mel spectrogram: {bands} bands from {low:g} to {high:g} Hz at {sample_rate} Hz, window {window:g} s, "
                f"hop {hop:g} s, floor {floor:g}; limits lie within 0 and half the rate, all else above 0"
            )
        self.n_fft = 1 << (self.n_window - 1).bit_length()
        weights = mel_filters(np.fft.rfftfreq(self.n_fft, 1 / sample_rate), bands, low, high)
        if not (weights.sum(1) > 0).all():
            raise MetamersError(
                f"mel spectrogram: {bands} bands are too narrow for a window of {window:g} s; take fewer"
            )
        self.register_buffer("weights", torch.from_numpy(weights).float(), persistent=False)
        self.register_buffer("hann", torch.hann_window(self.n_window), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Raises MetamersError for waveforms shorter than a window."""
        if waveforms.shape[-1] < self.n_window:
            raise MetamersError(
                f"the mel spectrogram needs {self.n_window} samples, not {waveforms.shape[-1]}; give longer sounds"
            )
        frames = waveforms.unfold(-1, self.n_window, self.n_hop) * self.get_buffer("hann")
        energies = torch.view_as_real(torch.fft.rfft(frames, self.n_fft)).square().sum(-1)
        mel: Tensor = energies @ self.get_buffer("weights").T
        return (mel + self.floor).log().transpose(1, 2)


class MFCC(nn.Module):
    """Waveforms [N, T] to mel-frequency cepstral coefficients [N, coefficients, frames]: the orthonormal DCT-II of
    `MelSpectrogram` over its bands, whose settings `options` are.

    >>> MFCC(sample_rate=16_000)(torch.zeros(1, 16_000)).shape
    torch.Size([1, 13, 98])
    """

    def __init__(self, *, sample_rate: int, coefficients: int = 13, bands: int = 40, **options: float) -> None:
        super().__init__()
        if not 1 <= coefficients <= bands:
            raise MetamersError(f"MFCC: {coefficients} coefficients of {bands} bands; give 1 to {bands}")
        self.mel = MelSpectrogram(sample_rate=sample_rate, bands=bands, **options)
        k, n = np.arange(coefficients)[:, None], np.arange(bands)[None]
        basis = np.sqrt(2 / bands) * np.cos(np.pi / bands * k * (n + 0.5))
        basis[0] /= np.sqrt(2)
        self.register_buffer("basis", torch.from_numpy(basis).float(), persistent=False)

    def forward(self, waveforms: Tensor) -> Tensor:
        """Raises MetamersError as `MelSpectrogram` does."""
        coefficients: Tensor = self.get_buffer("basis") @ self.mel(waveforms)
        return coefficients


def mel_filters(hertz: NDArray[np.floating], bands: int, low: float, high: float) -> NDArray[np.float64]:
    """The weights [bands, bins] of triangles between neighbors' peaks, at frequencies `hertz` [bins]."""
    edges = np.linspace(_mel(low), _mel(high), bands + 2)
    place = _mel(hertz)[None]
    rising = (place - edges[:-2, None]) / np.diff(edges)[:-1, None]
    falling = (edges[2:, None] - place) / np.diff(edges)[1:, None]
    weights: NDArray[np.float64] = np.clip(np.minimum(rising, falling), 0, None)
    return weights


def _mel(hertz: float | NDArray[np.floating]) -> NDArray[np.float64]:
    return np.asarray(2595 * np.log10(1 + np.asarray(hertz) / 700))
