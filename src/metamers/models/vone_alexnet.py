"""VOneAlexNet: AlexNet behind a model of the primary visual cortex, with noise."""

from collections import OrderedDict

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.models.alexnet_head import alexnet_head
from metamers.models.gabors import draw_population, gabor
from metamers.models.normalize import ImageNetNormalize

STAGES = ("v1_output", "relu1", "relu2", "relu3", "relu4", "fc0_relu", "fc1_relu", "output")

CELLS = 256
"""Simple cells, and as many complex ones."""
SIZE, STRIDE = 25, 4
PIXELS_PER_DEGREE = 224 / 8
GAIN = 25.0
NOISE_STD = 4.0


class V1Cells(nn.Module):
    """Fixed simple and complex cells without noise: normalized RGB [N, 3, H, W] to [N, 512, H / 4, W / 4].

    Simple cells are half-wave rectified Gabor filters; complex cells are the root mean square of two in quadrature.
    Each cell sees one color channel.

    Source: Dapello et al. (2020, NeurIPS), with the constants of the code of Feather et al. (2023). Their code draws
    the color channel without a seed of its own, and separately for the two filters of a complex cell; here a cell has
    one channel, drawn from seed 0.
    """

    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        filters, colors = gabor_bank()
        # One convolution for each color, as most of one for all would multiply by zero.
        for color in range(3):
            self.register_buffer(f"filters{color}", filters[colors == color][:, None])
        self.register_buffer("order", colors.argsort(stable=True).argsort())

    def forward(self, x: Tensor) -> Tensor:
        """Images to responses, simple cells first."""
        by_color = [
            F.conv2d(x[:, [color]], self.get_buffer(f"filters{color}"), stride=STRIDE, padding=SIZE // 2)
            for color in range(3)
        ]
        simple, even, odd = torch.cat(by_color, 1)[:, self.order].split(CELLS, 1)
        # The small addend keeps the gradient of the root finite.
        energy = (even.square() + odd.square() + 1e-5) / 2
        return GAIN * torch.cat([F.relu(simple), energy.sqrt()], 1)


def gabor_bank() -> tuple[Tensor, Tensor]:
    """Filters [768, 25, 25] of the simple cells, the complex cells, and these again a quarter cycle later; the color
    channel of each, [768].
    """
    population = draw_population(2 * CELLS)
    colors = np.random.RandomState(0).randint(0, 3, 2 * CELLS)
    filters = []
    for shift, cells in ((0.0, slice(None)), (np.pi / 2, slice(CELLS, None))):
        for cycles, orientation, phase, along, across in zip(*(values[cells] for values in population), strict=True):
            frequency = cycles / PIXELS_PER_DEGREE
            sigmas = along / frequency, across / frequency
            made = gabor(SIZE, frequency, np.deg2rad(orientation), np.deg2rad(phase) + shift, *sigmas)
            filters.append(made / (2 * np.pi * sigmas[0] * sigmas[1]))
    return torch.from_numpy(np.stack(filters)).float(), torch.from_numpy(np.append(colors, colors[CELLS:]))


class V1Noise(nn.Module):
    """Gaussian noise of standard deviation 4 on every unit, then rectification.

    While training, each pass draws its noise. In evaluation mode every unit has one value, drawn from seed 0: the same
    for all stimuli, in every pass.
    """

    def __init__(self) -> None:
        super().__init__()
        self._fixed: dict[tuple[torch.Size, torch.device], Tensor] = {}

    def forward(self, x: Tensor) -> Tensor:
        """Responses to noisy responses of 0 or more."""
        noise = torch.randn_like(x) * NOISE_STD if self.training else self._noise(x.shape[1:], x.device)
        # A clamp, as published recipes pass no identity gradient through this rectification.
        return (x + noise).clamp(min=0)

    def _noise(self, shape: torch.Size, device: torch.device) -> Tensor:
        if (shape, device) not in self._fixed:
            drawn = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * NOISE_STD
            self._fixed = {(shape, device): drawn.to(device)}
        return self._fixed[shape, device]


class VOneAlexNet(nn.Sequential):
    """AlexNet whose first layer is replaced by simple and complex cells with Gaussian noise, fixed in evaluation mode.

    RGB in [0, 1], [N, 3, 224, 224] for 8 degrees of visual angle, to logits [N, classes]. 74,741,800 weights for 1000
    classes, the cells aside.

    Source: Dapello et al. (2020, NeurIPS); Feather et al. (2023), with the constants of the authors' code
    (robustness/imagenet_models/vonenet).
    """

    def __init__(self, classes: int = 1000) -> None:
        modules: dict[str, nn.Module] = {
            **{"normalize": ImageNetNormalize(), "v1": V1Cells(), "v1_output": V1Noise()},
            "bottleneck": nn.Conv2d(2 * CELLS, 64, 1, bias=False),
            **{"conv1": nn.Conv2d(64, 192, 5, 2, padding=2), "relu1": nn.ReLU(), "pool1": nn.MaxPool2d(3, 2, 1)},
            **{"conv2": nn.Conv2d(192, 384, 3, padding=1), "relu2": nn.ReLU()},
            **{"conv3": nn.Conv2d(384, 256, 3, padding=1), "relu3": nn.ReLU()},
            **{"conv4": nn.Conv2d(256, 256, 3, padding=1), "relu4": nn.ReLU(), "pool2": nn.MaxPool2d(3, 2, 1)},
            "avgpool": nn.AdaptiveAvgPool2d(7),
            **alexnet_head(256 * 7 * 7, classes),
        }
        nn.init.kaiming_normal_(modules["bottleneck"].weight, mode="fan_out", nonlinearity="relu")  # type: ignore[arg-type]
        super().__init__(OrderedDict(modules))
