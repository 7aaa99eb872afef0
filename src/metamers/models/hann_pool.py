"""Pooling that lets through only what the coarser grid can hold."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class HannPool2d(nn.Module):
    """A weighted average under a Hann window, every `stride` pixels: [N, C, H, W] to [N, C, H', W'].

    The window is the outer product of two of `size` points without their zero ends, so `size` - 2 pixels wide, and sums
    to 1. With `size` = 4 `stride` + 1 its spectrum is zero at the new Nyquist frequency, 1 / (2 `stride`) cycles/pixel.

    Source: Feather et al. (2023), LowPassAlexNet; the zero ends are cut off in the authors' code.
    """

    window: Tensor

    def __init__(self, size: int, stride: int, padding: int) -> None:
        super().__init__()
        self.size, self.stride, self.padding = size, stride, padding
        window = torch.hann_window(size, periodic=False, dtype=torch.float64)[1:-1]
        window = torch.outer(window, window) / window.sum().square()
        # Not among the weights: a network is the same with it and without it.
        self.register_buffer("window", window.float()[None, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Maps to smaller maps."""
        window = self.window.to(x.dtype).expand(x.shape[1], -1, -1, -1)
        return F.conv2d(x, window, stride=self.stride, padding=self.padding, groups=x.shape[1])

    def extra_repr(self) -> str:
        """The arguments."""
        return f"{self.size}, stride={self.stride}, padding={self.padding}"
