"""HMAX: a model of the ventral stream with hand-made layers and a trained readout."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.models.gabors import Floats, gabor

STAGES = ("s1", "c1", "s2", "c2", "output")

SCALES = tuple(zip(range(7, 38, 2), np.linspace(4.0, 3.25, 16).round(2).tolist(), strict=True))
"""Of the S1 filters: the side in pixels, and how many half wavelengths a side holds."""
ORIENTATIONS = (90, -45, 0, 45)
"""Of the bars, in degrees from the vertical."""
POOLS = tuple(range(8, 23, 2))
"""The side, in pixels, of the neighborhood of a C1 unit, for each pair of S1 scales."""
LUMINANCE = (0.299, 0.587, 0.114)


def luminance(x: Tensor) -> Tensor:
    """Gray or RGB images [N, C, H, W] as gray ones, [N, 1, H, W]."""
    if x.shape[1] == 1:
        return x
    red, green, blue = x.split(1, 1)
    gray: Tensor = LUMINANCE[0] * red + LUMINANCE[1] * green + LUMINANCE[2] * blue
    return gray


def s1_filters(scales: Sequence[tuple[int, float]]) -> Tensor:
    """The Gabor filters of some scales, four of each, [4 scales, 1, p, p]: round, of mean 0 and norm 1.

    p is the largest side; the smaller filters are 0 around.
    """
    largest = max(size for size, _ in scales)
    filters = [
        F.pad(torch.from_numpy(_s1_filter(size, halves, degrees)), [(largest - size) // 2] * 4)
        for size, halves in scales
        for degrees in ORIENTATIONS
    ]
    return torch.stack(filters).float()[:, None]


def _s1_filter(size: int, halves: float, degrees: float) -> Floats:
    wavelength = 2 * size / halves
    sigma, aspect = 0.8 * wavelength, 0.3
    made = gabor(size, 1 / wavelength, np.deg2rad(degrees + 90), 0.0, sigma, sigma / aspect)
    made *= np.hypot(*(np.mgrid[:size, :size] - size // 2)) <= size / 2
    made -= made.mean()
    made /= np.linalg.norm(made)
    return made


def s1_responses(x: Tensor, filters: Tensor, sizes: Sequence[int]) -> Tensor:
    """Gabor energy over local energy: gray images [N, 1, H, W] and filters of `sizes` to [N, 4 sizes, H, W], 0 where a
    filter leaves the image.
    """
    responses = F.conv2d(x, filters, padding=filters.shape[-1] // 2).abs().split(len(ORIENTATIONS), 1)
    return torch.cat([_normalized(r, x, size) for r, size in zip(responses, sizes, strict=True)], 1)


def _normalized(responses: Tensor, x: Tensor, size: int) -> Tensor:
    border = size // 2
    energy = _sum(x.square(), size)
    inner = responses[..., border:-border, border:-border]
    return F.pad(inner / (energy + 1e-10).sqrt(), [border] * 4)


def _sum(x: Tensor, size: int, padding: int = 0) -> Tensor:
    """Over neighborhoods of `size` pixels, rows and columns by themselves."""
    rows = F.avg_pool2d(x, (size, 1), 1, (padding, 0))
    return F.avg_pool2d(rows, (1, size), 1, (0, padding)) * size**2


def c1_scale(pair: Sequence[Tensor], pool: int) -> Tensor:
    """The maximum over two S1 scales [N, 4, H, W] and neighborhoods of `pool` pixels that overlap by half."""
    return F.max_pool2d(torch.maximum(pair[0], pair[1]), pool, pool // 2, pool // 2)


def s2_scale(c1: Tensor, patches: Tensor) -> Tensor:
    """exp(-d^2 / 2), d the distance of patches [n, 4, p, p] from C1 [N, 4, H, W] with 0 around it: [N, n, H', W']."""
    size = patches.shape[-1]
    energy = _sum(c1.square().sum(1, keepdim=True), size, size // 2)
    products = F.conv2d(c1, patches, -patches.square().sum((1, 2, 3)) / 2, padding=size // 2)
    return (products - energy / 2).exp()


class S1(nn.Module):
    """Gabor filters of 16 scales and 4 orientations: gray images [N, 1, H, W] to [N, 64, H, W], scale by scale."""

    def __init__(self) -> None:
        super().__init__()
        # Four scales at once, though smaller filters are padded: few large convolutions are faster.
        self.groups = [SCALES[i : i + 4] for i in range(0, len(SCALES), 4)]
        for i, scales in enumerate(self.groups):
            self.register_buffer(f"filters{i}", s1_filters(scales), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Images to responses in [0, 1]."""
        sizes = [[size for size, _ in scales] for scales in self.groups]
        return torch.cat([s1_responses(x, self.get_buffer(f"filters{i}"), s) for i, s in enumerate(sizes)], 1)


class C1Maps(nn.Module):
    """Maxima over neighborhoods and pairs of scales: [N, 64, H, W] to 8 maps, from [N, 4, H / 4, W / 4] to a 11th."""

    def forward(self, s1: Tensor) -> list[Tensor]:
        """S1 responses to maps, one for each pair of scales."""
        scales = s1.split(len(ORIENTATIONS), 1)
        return [c1_scale(scales[2 * i : 2 * i + 2], pool) for i, pool in enumerate(POOLS)]


class Joined(nn.Module):
    """Tensors [N, ...] as one, [N, D]; `unit_sizes` are the columns of each in the last pass."""

    unit_sizes: tuple[int, ...] = ()

    def forward(self, parts: list[Tensor]) -> Tensor:
        """Flattened and joined in order."""
        self.unit_sizes = tuple(part[0].numel() for part in parts)
        return torch.cat([part.flatten(1) for part in parts], 1)


class S2(nn.Module):
    """Units tuned to patches of C1, at every position of every scale: 8 maps to [N, sizes, patches, positions]."""

    def __init__(self, patches: Mapping[int, Tensor]) -> None:
        super().__init__()
        self.sizes = tuple(patches)
        for size, of_size in patches.items():
            self.register_buffer(f"patches{size}", of_size.clone())

    def forward(self, maps: list[Tensor]) -> Tensor:
        """C1 maps to responses in [0, 1]."""
        return torch.stack([self._of_size(maps, self.get_buffer(f"patches{size}")) for size in self.sizes], 1)

    def _of_size(self, maps: list[Tensor], patches: Tensor) -> Tensor:
        return torch.cat([s2_scale(c1, patches).flatten(2) for c1 in maps], 2)


class C2(nn.Module):
    """The maximum over positions and scales: [N, sizes, patches, positions] to [N, sizes, patches]."""

    def forward(self, s2: Tensor) -> Tensor:
        """S2 responses to responses in [0, 1]."""
        return s2.max(3).values


class HMAX(nn.Module):
    """HMAX with S1, C1, S2 and C2 layers, fixed, and a linear readout.

    Images in [0, 1], gray [N, 1, 250, 250] (or RGB, taken as their luminance), to logits [N, classes]; within, pixels
    are in 0 to 255. `patches` are what the S2 units are tuned to: for each side p (even), [n, 4, p, p], as many for
    each. Other image sizes of 37 pixels or more do as well.

    Source: Riesenhuber & Poggio (1999); Serre, Oliva & Poggio (2007); constants as in the code of Feather et al. (2023;
    robustness/imagenet_models/hmax.py), after wmvanvliet/pytorch_hmax.
    """

    def __init__(self, patches: Mapping[int, Tensor], classes: int = 1000) -> None:
        super().__init__()
        self.s1, self.c1_maps, self.c1 = S1(), C1Maps(), Joined()
        self.s2, self.c2 = S2(patches), C2()
        self.fc = nn.Linear(sum(len(of_size) for of_size in patches.values()), classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        maps = self.c1_maps(self.s1(luminance(x) * 255))
        self.c1(maps)  # a stage: the maps as one vector
        logits: Tensor = self.fc(self.c2(self.s2(maps)).flatten(1))
        return logits
