"""Measures against scipy, and their edges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from metamers.matching import pearson_r, snr_db, spearman_rho
from metamers.matching.measures import average_ranks

# Few distinct values, so that ties are common, as in activations after a ReLU.
values = st.integers(-3, 5).map(float)
pairs = st.integers(3, 40).flatmap(lambda d: arrays(np.float32, (2, 4, d), elements=values))


@given(pairs)
def test_measures_equal_scipy(pair):
    a, b = pair
    r, rho = pearson_r(torch.tensor(a), torch.tensor(b)), spearman_rho(torch.tensor(a), torch.tensor(b))
    a, b = a.astype(np.float64), b.astype(np.float64)  # scipy would compute in float32
    for i in range(len(a)):
        if np.ptp(a[i]) == 0 or np.ptp(b[i]) == 0:
            assert r[i].isnan()
            assert rho[i].isnan()
        else:
            assert r[i].item() == pytest.approx(stats.pearsonr(a[i], b[i])[0], abs=1e-9)
            assert rho[i].item() == pytest.approx(stats.spearmanr(a[i], b[i])[0], abs=1e-9)


@given(arrays(np.float32, (3, 30), elements=values))
def test_ranks_are_averaged_over_ties(x):
    assert np.array_equal(average_ranks(torch.tensor(x)).numpy(), stats.rankdata(x, axis=1))


def test_spearman_of_large_activations_equals_scipy():
    rng = np.random.default_rng(0)
    a = np.maximum(rng.normal(size=(2, 20_000)), 0).astype(np.float32)
    b = np.maximum(a + rng.normal(size=a.shape), 0).astype(np.float32)
    expected = [stats.spearmanr(x, y)[0] for x, y in zip(a, b, strict=True)]
    assert spearman_rho(torch.tensor(a), torch.tensor(b)).numpy() == pytest.approx(expected, abs=1e-6)


def test_snr_is_ten_log_ten_of_a_ratio_of_norms():
    a = torch.tensor([[3.0, 4.0]])
    assert snr_db(a, torch.tensor([[3.0, 3.5]])).item() == pytest.approx(10.0)
    assert snr_db(a, a).item() == float("inf")
    assert snr_db(torch.zeros(1, 2), a).isnan().all()


def test_what_is_not_a_number_has_no_measure():
    a = torch.tensor([[1.0, 2.0, 3.0, 4.0]] * 2)
    b = torch.tensor([[1.0, torch.nan, 2.0, 3.0], [2.0, 1.0, 3.0, 4.0]])
    for measure in (pearson_r, spearman_rho, snr_db):
        for found in (measure(a, b), measure(b, a)):
            assert found.isnan().tolist() == [True, False]


def test_a_constant_that_is_not_exact_in_binary_has_no_correlation():
    a = torch.full((1, 1001), 0.1)
    assert pearson_r(a, torch.randn(1, 1001)).isnan().all()
