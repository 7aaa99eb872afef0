"""Half-cosine filters: centers as published, squares that sum to one."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamers.models.erb_filters import erb_hertz, erb_number, half_cosine_filters

FREQUENCIES = np.fft.rfftfreq(40_000, 1 / 20_000)


def test_the_published_bank():
    bank = half_cosine_filters(FREQUENCIES, 50, 4, 50.0, 10_000.0)
    assert bank.gains.shape == (211, 20_001)
    assert len(bank.centers) == 203
    assert bank.centers[[0, -1]] == pytest.approx([54.97, 9820.96], abs=0.01)
    assert np.diff(erb_number(bank.centers)) == pytest.approx(0.163605, abs=1e-6)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 60), st.integers(1, 5), st.floats(20, 400), st.floats(500, 10_000))
def test_squares_sum_to_one(n, overlap, low, high):
    bank = half_cosine_filters(FREQUENCIES, n, overlap, low, high)
    assert len(bank.gains) == overlap * (n + 1) - 1 + 2 * overlap
    assert np.sum(bank.gains**2, axis=0) == pytest.approx(1.0, abs=1e-9)


def test_a_filter_is_greatest_at_its_center():
    bank = half_cosine_filters(FREQUENCIES, 50, 4, 50.0, 10_000.0)
    found = FREQUENCIES[bank.gains[4:-4].argmax(axis=1)]
    assert np.abs(found - bank.centers).max() <= 0.5  # the distance of two bins


@given(st.floats(0, 20_000))
def test_the_scale_is_inverted(hertz):
    assert erb_hertz(erb_number(hertz)) == pytest.approx(hertz, abs=1e-6)
