"""Penalties by hand."""

import pytest
import torch

from metamers.synthesis.penalties import total_variation


def test_total_variation_of_a_few_pixels():
    x = torch.tensor([[0.0, 1.0, 1.0], [0.0, 0.5, 0.0]]).view(1, 1, 2, 3)
    across, down = (1 + 0 + 0.5 + 0.5) / 4, (0 + 0.5 + 1) / 3
    assert total_variation(x).tolist() == pytest.approx([across + down])


def test_each_stimulus_has_its_own():
    x = torch.rand(3, 3, 5, 5)
    x[1] = 0.3
    values = total_variation(x)
    assert values[1] == 0
    assert torch.allclose(values[[0]], total_variation(x[:1]))
    assert torch.allclose(values[2], total_variation(x[2:] + 0.1)[0])


@pytest.mark.parametrize("shape", [(2, 1, 1, 6), (2, 1, 6, 1), (2, 3, 1, 1)])
def test_a_line_of_pixels_has_a_finite_one(shape):
    x = torch.rand(shape).requires_grad_()
    total_variation(x).sum().backward()
    assert x.grad is not None
    assert x.grad.isfinite().all()
