"""SpecTemp: the published filters, each of which passes its own modulation."""

import numpy as np
import pytest
import torch

from metamers.models.spectemp import (
    FILTERS_PER_ERB,
    FRAMES_PER_SECOND,
    N_FILTERS,
    N_FRAMES,
    SPECTRAL_SCALES,
    STAGES,
    TEMPORAL_RATES,
    ModulationFilters,
    SpecTemp,
    modulations,
    transfer_functions,
)


@pytest.fixture(scope="module")
def transfer():
    return transfer_functions()


def test_there_are_111_filters_of_the_published_rates(transfer):
    assert len(modulations()) == len(set(modulations())) == len(transfer) == 111
    assert {abs(rate) for rate, _ in modulations()} == set(TEMPORAL_RATES) == {0, 0.5, 1, 2, 4, 8, 16, 32, 64}
    assert {scale for _, scale in modulations()} == set(SPECTRAL_SCALES) == {0, 0.0625, 0.125, 0.25, 0.5, 1, 2}


def test_stages_have_the_published_shapes(shapes_of):
    shapes = shapes_of(SpecTemp(), (40_000,))
    assert [shapes[stage] for stage in STAGES] == [
        *[(211, 390), (111, 211, 390), (111, 211, 390), (111, 211), (794,)],
    ]
    assert shapes["flatten"] == (23_421,)


def test_gains_are_one_at_most(transfer):
    peaks = np.abs(transfer).max((1, 2))
    assert peaks == pytest.approx(1, abs=1e-6)


def test_a_ripple_is_passed_by_the_filter_of_its_rate_scale_and_direction():
    filters = ModulationFilters()
    erb, time = np.arange(N_FILTERS)[:, None] / FILTERS_PER_ERB, np.arange(N_FRAMES)[None] / FRAMES_PER_SECOND
    for rate, scale in ((4.0, 0.5), (-8.0, 0.25)):
        ripple = np.cos(2 * np.pi * (scale * erb + rate * time))
        power = filters(torch.from_numpy(ripple).float()[None])[0].square().mean((1, 2))
        assert modulations()[int(power.argmax())] == (rate, scale)


def test_rate_and_scale_zero_pass_the_mean_alone(transfer):
    constant = transfer[modulations().index((0.0, 0.0))]
    assert constant[0, 0] == 1
    assert np.abs(constant).sum() == 1
