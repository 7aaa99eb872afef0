"""Layers that pad as TensorFlow's `SAME` does: to ceil(size / stride) outputs, what is odd at the end."""

from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F


class SameConv2d(nn.Conv2d):
    """A convolution whose zeros around the input are TensorFlow's `SAME`."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps to maps."""
        return super().forward(_padded(x, self.kernel_size, self.stride, 0.0))


class SameMaxPool2d(nn.MaxPool2d):
    """Max pooling of no value from outside the input."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps to maps."""
        pooled: Tensor = super().forward(_padded(x, self.kernel_size, self.stride, float("-inf")))
        return pooled


class SameAvgPool2d(nn.AvgPool2d):
    """Average pooling in which the zeros outside the input count."""

    def forward(self, x: Tensor) -> Tensor:
        """Maps to maps."""
        return super().forward(_padded(x, self.kernel_size, self.stride, 0.0))


def _padded(x: Tensor, kernel: Any, stride: Any, value: float) -> Tensor:
    pads: list[int] = []
    for size, width, step in zip(x.shape[:-3:-1], kernel[::-1], stride[::-1], strict=True):
        total = max((-(-size // step) - 1) * step + width - size, 0)
        pads += [total // 2, total - total // 2]
    return F.pad(x, pads, value=value)
