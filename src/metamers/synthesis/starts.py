"""Where the search starts."""

import hashlib

import numpy as np
import torch
from torch import Tensor

from metamers.store import Cell


def cell_seed(cell: Cell) -> int:
    """A seed from the cell alone: the same random numbers on any device, in any batch, on any worker."""
    digest = hashlib.sha256(cell.id.encode()).digest()
    return int.from_bytes(digest[:8], "little") >> 1


def cell_generator(cell: Cell) -> torch.Generator:
    """A CPU random generator with the cell's seed."""
    return torch.Generator().manual_seed(cell_seed(cell))


def noise(shape: tuple[int, ...], std: float, generator: torch.Generator, bounds: tuple[float, float]) -> Tensor:
    """Gaussian noise around the middle of `bounds`, clipped to them (Feather et al., 2023: std 0.05 for images, 1e-7
    for sounds)."""
    return (sum(bounds) / 2 + std * torch.randn(shape, generator=generator)).clamp(*bounds)


def pink_noise(shape: tuple[int, ...], std: float, generator: torch.Generator, bounds: tuple[float, float]) -> Tensor:
    """Noise whose amplitude falls as 1/f, of images [C, H, W] over the last two dims, of sounds [T] over time, around
    the middle of `bounds` with the given std, clipped."""
    sides = shape[1:] or shape
    across, dims = np.fft.rfftfreq(sides[-1]), tuple(range(-len(sides), 0))
    distance = np.hypot(np.fft.fftfreq(sides[0])[:, None], across) if len(sides) > 1 else across
    amplitude = torch.from_numpy(1 / np.maximum(distance, 1 / max(sides)))
    amplitude[(0,) * len(sides)] = 0
    spectrum = torch.fft.rfftn(torch.randn(shape, generator=generator, dtype=torch.float64), dim=dims) * amplitude
    field = torch.fft.irfftn(spectrum, s=sides, dim=dims)
    field = field / field.std(dim=dims, keepdim=True)
    signal: Tensor = (sum(bounds) / 2 + std * field).clamp(*bounds).float()
    return signal


START_NOISE = {"noise": noise, "pink": pink_noise}
