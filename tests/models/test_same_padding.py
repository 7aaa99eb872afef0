"""TensorFlow's SAME padding, by hand."""

import pytest
import torch

from metamers.models.same_padding import SameAvgPool2d, SameConv2d, SameMaxPool2d

ROW = torch.tensor([[[[-1.0, -2.0, -3.0, -4.0]]]])


def test_what_is_odd_goes_to_the_end():
    """Four values, kernel 2, stride 1: one zero, behind them."""
    convolution = SameConv2d(1, 1, (1, 2), bias=False)
    with torch.no_grad():
        convolution.weight.fill_(1.0)
    assert convolution(ROW).flatten().tolist() == [-3, -5, -7, -4]


def test_with_a_stride_there_are_as_many_outputs_as_strides_begin():
    """Four values, kernel 4, stride 3: two outputs, three zeros, one before and two behind."""
    convolution = SameConv2d(1, 1, (1, 4), (1, 3), bias=False)
    with torch.no_grad():
        convolution.weight.fill_(1.0)
    assert convolution(ROW).flatten().tolist() == [-6, -7]


def test_the_greatest_is_never_a_zero_from_outside():
    assert SameMaxPool2d((1, 3), (1, 2))(ROW).flatten().tolist() == [-1, -3]


def test_zeros_from_outside_count_in_the_mean():
    assert SameAvgPool2d((1, 3), (1, 2))(ROW).flatten().tolist() == pytest.approx([-2, -7 / 3])
