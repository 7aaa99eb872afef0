"""Changes of stimuli that leave their labels as they are, drawn for each by itself."""

import torch
from torch import Tensor
from torch.nn import functional as F

from metamers.training.config import Augmentation

LUMINANCE = (0.299, 0.587, 0.114)
"""Of R, G and B (ITU-R BT.601)."""


def augmented(x: Tensor, augmentation: Augmentation, generator: torch.Generator) -> Tensor:
    """Images [N, C, H, W] in [0, 1] or sounds [N, T], changed at random; `generator` is on the CPU."""
    if x.ndim == 2:
        return shifted(x, augmentation.crop, generator) if augmentation.crop else x
    if augmentation.crop:
        x = moved(x, augmentation.crop, generator)
    if augmentation.flip:
        flip = (torch.rand(len(x), generator=generator) < 0.5).to(x.device)
        x = torch.where(flip.view(-1, 1, 1, 1), x.flip(3), x)
    return jittered(x, augmentation.color_jitter, generator) if augmentation.color_jitter else x


def moved(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Each image moved by up to `most` pixels down or up and across, its border repeated."""
    n, channels, height, width = x.shape
    padded = F.pad(x, (most,) * 4, mode="replicate")
    top, left = torch.randint(2 * most + 1, (2, n), generator=generator).to(x.device)
    rows = (top[:, None] + torch.arange(height, device=x.device))[:, None, :, None]
    columns = (left[:, None] + torch.arange(width, device=x.device))[:, None, None, :]
    images = torch.arange(n, device=x.device).view(-1, 1, 1, 1)
    return padded[images, torch.arange(channels, device=x.device).view(1, -1, 1, 1), rows, columns]


def shifted(x: Tensor, most: int, generator: torch.Generator) -> Tensor:
    """Each sound [N, T] earlier or later by up to `most` samples, silence added."""
    n, samples = x.shape
    begin = torch.randint(2 * most + 1, (n,), generator=generator).to(x.device)
    return F.pad(x, (most, most)).gather(1, begin[:, None] + torch.arange(samples, device=x.device))


def jittered(x: Tensor, most: float, generator: torch.Generator) -> Tensor:
    """Brightness, contrast and (of RGB) saturation of each image times a factor from [1 - most, 1 + most]."""
    factors = (1 + most * (2 * torch.rand(3, len(x), generator=generator) - 1)).to(x.device).view(3, -1, 1, 1, 1)
    x = (x * factors[0]).clamp(0, 1)
    gray = _gray(x)
    mean = gray.mean((1, 2, 3), keepdim=True)
    x = (mean + (x - mean) * factors[1]).clamp(0, 1)
    if x.shape[1] == 3:
        gray = _gray(x)
        x = (gray + (x - gray) * factors[2]).clamp(0, 1)
    return x


def _gray(x: Tensor) -> Tensor:
    if x.shape[1] != 3:
        return x.mean(1, keepdim=True)
    return (x * torch.tensor(LUMINANCE, device=x.device).view(1, 3, 1, 1)).sum(1, keepdim=True)
