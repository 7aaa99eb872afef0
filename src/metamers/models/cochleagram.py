"""A cochleagram: the envelopes that the ear's filters leave of a sound, differentiable."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.errors import MetamersError, nearest
from metamers.models.erb_filters import FilterBank, half_cosine_filters

MODES = ("exact", "fast")
KERNEL_BETA, KERNEL_FRAMES = 5.0, 10
"""Of the low-pass filter before sampling: a sinc under a Kaiser window of so many frames."""
LEAST_POWER = 1e-16
"""Below which the squared envelope does not fall: the slope of a square root has no limit at 0."""
OFFSET, EXPONENT, MOST_SLOPE = 1e-8, 0.3, 5.0
OVERSAMPLING = 6.0
"""In `fast` mode a band is sampled so many times as often as its width asks for, as its envelope is wider than it."""
KEPT_LENGTHS = 4


class Cochleagram(nn.Module):
    """Waveforms [N, T] to compressed envelopes [N, filters, frames], low frequencies first.

    sample_rate: of the waveforms, in Hz. n_filters, overlap: see `half_cosine_filters`; there are
    `overlap` (n_filters + 1) - 1 + 2 `overlap` filters in all. low, high: limits in Hz; high is by default half the
    sample rate, at most 10,000. frame_rate: of the envelopes, in Hz; it divides the sample rate. mode: `exact` computes
    every band at the rate of the waveform, as published; `fast` each at a rate that its width asks for. compressed:
    whether to raise the envelopes to the power 0.3.

    Source: Feather et al. (2023), Methods; McDermott & Simoncelli (2011, Neuron 71). Raises MetamersError for settings
    that make no cochleagram, and in use for waveforms that are too short.

    >>> Cochleagram(sample_rate=20_000)(torch.zeros(1, 40_000)).shape
    torch.Size([1, 211, 390])
    """

    def __init__(
        self,
        *,
        sample_rate: int,
        mode: str = "fast",
        n_filters: int = 50,
        overlap: int = 4,
        low: float = 50.0,
        high: float | None = None,
        frame_rate: int = 200,
        compressed: bool = True,
    ) -> None:
        super().__init__()
        self.low, self.high = low, min(10_000.0, sample_rate / 2) if high is None else high
        self.sample_rate, self.frame_rate, self.mode, self.compressed = sample_rate, frame_rate, mode, compressed
        self.n_bands, self.overlap = n_filters, overlap
        self._require_sense()
        self.hop = sample_rate // frame_rate
        self.centers = self._filters(2).centers
        self.n_filters = len(self.centers) + 2 * overlap
        self._banks: dict[tuple[int, torch.device], _Bank] = {}  # by length, as that decides the frequencies

    def forward(self, waveforms: Tensor) -> Tensor:
        """Raises MetamersError for waveforms that give no frame."""
        n_samples = waveforms.shape[-1]
        if n_samples < KERNEL_FRAMES * self.hop + 1:
            raise MetamersError(
                f"the cochleagram needs more than {KERNEL_FRAMES / self.frame_rate:g} s at {self.sample_rate} Hz "
                f"({KERNEL_FRAMES * self.hop + 1} samples), not {n_samples}; give longer sounds"
            )
        envelopes = self._bank(n_samples, waveforms.device).envelopes(torch.fft.rfft(waveforms))
        return compress(envelopes) if self.compressed else envelopes

    def extra_repr(self) -> str:
        """The settings that shape the output."""
        return f"{self.n_filters} filters, {self.sample_rate} Hz to {self.frame_rate} Hz, mode={self.mode!r}"

    def _filters(self, n_samples: int) -> FilterBank:
        frequencies = np.fft.rfftfreq(n_samples, 1 / self.sample_rate)
        return half_cosine_filters(frequencies, self.n_bands, self.overlap, self.low, self.high)

    def _bank(self, n_samples: int, device: torch.device) -> "_Bank":
        key = (n_samples, device)
        if key not in self._banks:
            while len(self._banks) >= KEPT_LENGTHS:
                del self._banks[next(iter(self._banks))]
            gains = self._filters(n_samples).gains
            self._banks[key] = _Bank(gains, self.hop, n_samples, self.mode == "fast", device)
        return self._banks[key]

    def _require_sense(self) -> None:
        if self.mode not in MODES:
            raise MetamersError(f"no cochleagram mode {self.mode!r}{nearest(self.mode, MODES)}; choose exact or fast")
        if not 0 < self.low < self.high <= self.sample_rate / 2:
            raise MetamersError(
                f"cochleagram from {self.low:g} to {self.high:g} Hz at {self.sample_rate} Hz: limits lie above 0 and "
                "up to half that rate"
            )
        if self.frame_rate < 1 or self.sample_rate % self.frame_rate:
            raise MetamersError(
                f"cochleagram: frame rate {self.frame_rate} does not divide the sample rate {self.sample_rate}; choose "
                f"{_divisor(self.sample_rate, self.frame_rate)}"
            )
        if self.n_bands < 1 or self.overlap < 1:
            raise MetamersError(
                f"cochleagram: n_filters {self.n_bands}, overlap {self.overlap}; give at least 1 of each"
            )


class _Bank:
    """The filters for waveforms of one length, in groups of one rate."""

    def __init__(self, gains: NDArray[np.float64], hop: int, n: int, thinned: bool, device: torch.device) -> None:
        factors = _factors(gains, hop, n) if thinned else [1] * len(gains)
        groups = [np.flatnonzero(np.equal(factors, factor)) for factor in sorted(set(factors))]
        self.bands = [_Bands(gains[group], factors[group[0]], hop, n, device) for group in groups]
        self.places = torch.from_numpy(np.argsort(np.concatenate(groups))).to(device)

    def envelopes(self, spectra: Tensor) -> Tensor:
        """Spectra [N, bins] to envelopes [N, filters, frames]."""
        return torch.cat([bands.envelopes(spectra) for bands in self.bands], 1)[:, self.places]


class _Bands:
    """Filters whose envelopes are computed at one rate, a whole fraction of the waveform's."""

    def __init__(self, gains: NDArray[np.float64], factor: int, hop: int, n: int, device: torch.device) -> None:
        self.hop, self.n = hop // factor, n // factor
        ends = [_ends(row) for row in gains]
        width = min(max(last - first + 1 for first, last in ends), self.n)
        # The bins that each filter lets through, moved to the lowest frequencies: the envelope stays the same.
        starts = [min(first, gains.shape[1] - width) for first, _ in ends]
        bins = np.add.outer(starts, np.arange(width))
        self.bins = torch.from_numpy(bins).to(device)
        self.gains = torch.from_numpy(np.take_along_axis(gains, bins, 1) / factor).float().to(device)
        kernel = torch.from_numpy(_kernel(hop, factor)).float()
        # One column for the samples of each frame that it reaches; the last reaches one sample.
        self.kernel = F.pad(kernel, (0, self.hop - 1)).view(KERNEL_FRAMES + 1, self.hop).T.contiguous().to(device)

    def envelopes(self, spectra: Tensor) -> Tensor:
        passed = _scaled(spectra[:, self.bins], self.gains.to(spectra.real.dtype))
        envelopes: Tensor = _Magnitude.apply(torch.fft.ifft(passed, n=self.n))  # type: ignore[no-untyped-call]
        rows = (self.n - 1) // self.hop + 1
        if missing := rows * self.hop - self.n:
            envelopes = F.pad(envelopes, (0, missing))
        framed = envelopes.unflatten(-1, (rows, self.hop))
        frames: Tensor = _Sampled.apply(framed, self.kernel.to(envelopes.dtype))  # type: ignore[no-untyped-call]
        return frames


def _kernel(hop: int, factor: int) -> NDArray[np.float64]:
    """The low-pass filter of one frame's samples, every `factor`-th of those at the waveform's rate.

    As published, the sinc is centered half a sample before the window.
    """
    n = KERNEL_FRAMES * hop + 1
    place = np.arange(0, n, factor)
    window = np.i0(KERNEL_BETA * np.sqrt(np.clip(1 - (2 * place / (n - 1) - 1) ** 2, 0, None))) / np.i0(KERNEL_BETA)
    kernel: NDArray[np.float64] = np.sinc((place - n / 2) / hop) / hop * window * factor
    return kernel


def _divisor(number: int, near: int) -> int:
    """The divisor of a number that is nearest to another."""
    return min((i for i in range(1, number + 1) if number % i == 0), key=lambda divisor: abs(divisor - near))


def _factors(gains: NDArray[np.float64], hop: int, n_samples: int) -> Sequence[int]:
    """By how much each band can be thinned out: a divisor of the frame's and of the sound's number of samples."""
    allowed = [factor for factor in range(1, max(1, hop // 2) + 1) if hop % factor == 0 and n_samples % factor == 0]
    factors = []
    for row in gains:
        first, last = _ends(row)
        needed = OVERSAMPLING * (last - first + 1)
        factors.append(max(factor for factor in allowed if n_samples / factor >= needed or factor == 1))
    return factors


def _ends(gains: NDArray[np.float64]) -> tuple[int, int]:
    """The first and the last bin that a filter lets through; of a filter between two bins, the first of all."""
    through = np.flatnonzero(gains)
    return (int(through[0]), int(through[-1])) if len(through) else (0, 0)


class _Magnitude(torch.autograd.Function):
    """The magnitude of complex numbers, at least the root of `LEAST_POWER`, where there is no slope."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        magnitude = (x.real * x.real).addcmul_(x.imag, x.imag).clamp_(min=LEAST_POWER).sqrt_()
        ctx.save_for_backward(x, magnitude)
        return magnitude

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        x, magnitude = ctx.saved_tensors
        return _scaled(x, (gradients[0] / magnitude).masked_fill_(magnitude <= LEAST_POWER**0.5, 0.0))


class _Sampled(torch.autograd.Function):
    """Envelopes in rows of a frame's samples, [..., rows, hop], low-passed, to frames [..., rows - `KERNEL_FRAMES`].

    A convolution with strides; as one product of matrices it is several times as fast for so long a kernel.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, kernel: Tensor) -> Tensor:
        ctx.save_for_backward(kernel)
        reached, n_frames = rows @ kernel, rows.shape[-2] - KERNEL_FRAMES
        frames = reached[..., :n_frames, 0].clone()
        for i in range(1, KERNEL_FRAMES + 1):
            frames += reached[..., i : i + n_frames, i]
        return frames

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        (kernel,), n_frames = ctx.saved_tensors, gradients[0].shape[-1]
        reached = kernel.new_zeros(*gradients[0].shape[:-1], n_frames + KERNEL_FRAMES, KERNEL_FRAMES + 1)
        for i in range(KERNEL_FRAMES + 1):
            reached[..., i : i + n_frames, i] = gradients[0]
        return reached @ kernel.T, None


def _scaled(x: Tensor, factors: Tensor) -> Tensor:
    """Complex numbers times real ones, at half the work of times complex ones."""
    return torch.view_as_complex(torch.view_as_real(x) * factors[..., None])


class _Power(torch.autograd.Function):
    """x to the power 0.3, with a slope of at most 5."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.pow(EXPONENT)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        slope: Tensor = (EXPONENT * x.pow(EXPONENT - 1)).clamp(max=MOST_SLOPE)
        return gradients[0] * slope


class _Rectified(torch.autograd.Function):
    """What is below 0 is 0; the gradient passes."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        return x.clamp(min=0)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Tensor:
        return gradients[0]


def compress(envelopes: Tensor) -> Tensor:
    """Envelopes to the power 0.3, the gradient's slope at most 5 and passed where filtering went below 0 (Feather et
    al., 2023, Methods)."""
    rectified: Tensor = _Rectified.apply(envelopes)  # type: ignore[no-untyped-call]
    compressed: Tensor = _Power.apply(rectified + OFFSET)  # type: ignore[no-untyped-call]
    return compressed
