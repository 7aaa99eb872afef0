import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.models.hann_pool import HannPool2d


@pytest.mark.parametrize("size", [3, 9, 17])
def test_the_window_is_numpys_without_its_zero_ends_and_sums_to_one(size: int) -> None:
    window = np.hanning(size)[1:-1]
    expected = np.outer(window, window)
    pool = HannPool2d(size, 1, 0)
    np.testing.assert_allclose(pool.window[0, 0], expected / expected.sum(), rtol=1e-6)
    assert float(pool.window.sum()) == pytest.approx(1)


def test_each_channel_is_averaged_by_itself_every_stride_pixels_with_zeros_around() -> None:
    x = torch.rand(2, 3, 10, 14, generator=torch.Generator().manual_seed(0))
    pool = HannPool2d(5, 3, 1)
    pooled = pool(x)
    assert pooled.shape == (2, 3, 4, 5)
    window = pool.window[0, 0]
    padded = F.pad(x, [1] * 4)
    for row in range(4):
        for column in range(5):
            part = padded[:, :, 3 * row : 3 * row + 3, 3 * column : 3 * column + 3]
            torch.testing.assert_close(pooled[:, :, row, column], (part * window).sum((2, 3)))


def grating(frequency: float) -> Tensor:
    """Of amplitude 1 around 2, along the rows: [1, 1, 96, 96]."""
    wave = torch.cos(2 * math.pi * frequency * torch.arange(96.0) + 0.3)
    return (2 + wave).expand(1, 1, 96, 96)


def contrast(pooled: Tensor) -> float:
    """Against the unpooled amplitude, away from the borders."""
    return float(pooled[..., 8:-8, 8:-8].std() * math.sqrt(2))


@pytest.mark.parametrize(("size", "stride"), [(9, 2), (17, 4)])
def test_what_the_new_grid_cannot_hold_is_held_back_other_than_by_max_pooling(size: int, stride: int) -> None:
    pool, nyquist = HannPool2d(size, stride, 2), 1 / (2 * stride)
    for frequency in (1.3 * nyquist, 1.7 * nyquist):
        assert contrast(pool(grating(frequency))) < 0.05
        assert contrast(nn.MaxPool2d(3, stride)(grating(frequency))) > 0.15
    assert contrast(pool(grating(nyquist))) < 1e-5
    assert contrast(pool(grating(0.2 * nyquist))) > 0.9


def test_it_has_no_weights_and_takes_other_types() -> None:
    pool = HannPool2d(9, 2, 3)
    assert not pool.state_dict()
    assert not list(pool.parameters())
    assert pool(torch.rand(1, 2, 8, 8, dtype=torch.bfloat16)).dtype == torch.bfloat16
