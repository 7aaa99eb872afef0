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


def noise(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """Gaussian noise around 0.5, clipped to [0, 1]: float [C, H, W] (Feather et al., 2023: std 0.05)."""
    return (0.5 + std * torch.randn(shape, generator=generator)).clamp(0, 1)


def pink_noise(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    """Noise whose amplitude falls as 1/f over the last two dims, around 0.5 with the given std: float [C, H, W]."""
    height, width = shape[-2:]
    fy, fx = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    amplitude = torch.from_numpy(1 / np.maximum(np.hypot(fy, fx), 1 / max(height, width)))
    amplitude[0, 0] = 0
    spectrum = torch.fft.rfft2(torch.randn(shape, generator=generator, dtype=torch.float64)) * amplitude
    field = torch.fft.irfft2(spectrum, s=(height, width))
    field = field / field.flatten(1).std(1).view(-1, 1, 1)
    signal: Tensor = (0.5 + std * field).clamp(0, 1).float()
    return signal


START_NOISE = {"noise": noise, "pink": pink_noise}
