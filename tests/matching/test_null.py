"""Null distributions against a loop over all pairs."""

import json
import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from metamers.errors import MetamersError
from metamers.matching import NullDistribution, Representation, null_distribution, represent
from metamers.matching import null as null_module
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet

RELU = Representation(("relu",))


class Recorded:
    """The values of which a null distribution is the summary."""

    def __init__(self, monkeypatch):
        self.values = None
        summarize = null_module._summarize

        def keep(values):
            self.values = values
            return summarize(values)

        monkeypatch.setattr(null_module, "_summarize", keep)


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


def brute_force(a):
    """Measures of all ordered pairs (reference, other), by scipy and by the definition: {name: [n, n]}."""
    a = a.double().numpy()
    n = len(a)
    r, rho, snr = np.full((3, n, n), np.nan)
    for i in range(n):
        for j in range(n):
            if i != j:
                r[i, j], rho[i, j] = stats.pearsonr(a[i], a[j])[0], stats.spearmanr(a[i], a[j])[0]
                snr[i, j] = 10 * math.log10(np.linalg.norm(a[i]) / np.linalg.norm(a[i] - a[j]))
    return r, rho, snr


def upper(x):
    return np.sort(x[np.triu_indices(len(x), 1)])


def test_all_pairs_are_those_of_a_loop(model, make_stimuli, recorded):
    stimuli = make_stimuli(30)
    null = null_distribution(model, RELU, stimuli, batch_size=7)
    r, rho, snr = brute_force(represent(model, stimuli.read(), RELU))
    assert (null.n_images, null.n_pairs, null.n_zero) == (30, 435, 0)
    assert np.sort(recorded.values[0]) == pytest.approx(upper(r), abs=1e-5)
    assert np.sort(recorded.values[1]) == pytest.approx(upper(rho), abs=1e-5)
    # Of a pair, the reference is the one that comes first in the random order.
    order = np.random.default_rng([0, 0]).permutation(30)
    assert np.sort(recorded.values[2]) == pytest.approx(upper(snr[order][:, order]), abs=1e-4)


def test_quantiles_and_histogram_are_numpys(model, make_stimuli, recorded):
    null = null_distribution(model, RELU, make_stimuli(40))
    for name, values in zip(("pearson_r", "spearman_rho", "snr_db"), recorded.values, strict=True):
        assert null.quantile(name) == values.max()
        assert null.quantile(name, "0.9") == pytest.approx(np.quantile(values, 0.9))
        histogram = null.measures[name].histogram
        assert sum(histogram["counts"]) == null.n_pairs
        assert (histogram["edges"][0], histogram["edges"][-1]) == pytest.approx((values.min(), values.max()))


@pytest.mark.parametrize("pairs", [1, 29, 100, 434, 435, 1000])
@pytest.mark.parametrize("memory", [1e9, 1.0, 3000.0])
def test_the_number_of_pairs_is_exact(model, make_stimuli, recorded, pairs, memory):
    null = null_distribution(model, RELU, make_stimuli(30), pairs=pairs, memory=memory, batch_size=8)
    assert null.n_pairs == recorded.values.shape[1] == min(pairs, 435)


def test_a_small_window_still_draws_from_all_pairs(model, make_stimuli, recorded):
    stimuli = make_stimuli(12)
    null_distribution(model, RELU, stimuli, memory=1.0, batch_size=5, pairs=66)
    narrow = recorded.values[0]
    r, *_ = brute_force(represent(model, stimuli.read(), RELU))
    nearest = np.abs(narrow[:, None] - upper(r)).argmin(1)
    assert narrow == pytest.approx(upper(r)[nearest], abs=1e-5)
    assert len(set(nearest)) > 35  # of 66 draws with replacement: 66 (1 - 1/e) = 42 on average


def test_a_stimulus_is_never_paired_with_itself_or_its_duplicate(model, make_stimuli):
    pixels = np.stack([make_stimuli(6).pixels(i % 6) for i in range(18)])
    null = null_distribution(model, RELU, StimulusSet.from_arrays(pixels))
    assert (null.n_images, null.n_pairs) == (6, 15)
    assert null.quantile("pearson_r") < 0.999


def test_stimuli_of_another_size_are_fitted_before_they_are_told_apart(make_stimuli):
    """At its own size, a network that takes any would give the null distribution of other activations."""
    model = StagedModel(nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(2)), input_size=8)
    centers = np.stack([make_stimuli(10).pixels(i) for i in range(10)])
    black, white = (np.pad(centers, ((0, 0), (0, 0), (2, 2), (0, 0)), constant_values=value) for value in (0, 255))
    stimuli = StimulusSet.from_arrays(np.concatenate([black, white]))
    null = null_distribution(model, Representation(("output",)), stimuli)
    assert null.n_images == 10
    assert null.measures == null_distribution(model, Representation(("output",)), make_stimuli(10)).measures


@pytest.mark.parametrize("batch_size", [1, 4, 64])
def test_batches_change_nothing(model, make_stimuli, recorded, batch_size):
    stimuli = make_stimuli(20)
    null_distribution(model, RELU, stimuli, pairs=100, batch_size=9)
    expected = recorded.values
    null_distribution(model, RELU, stimuli, pairs=100, batch_size=batch_size)
    assert recorded.values == pytest.approx(expected, abs=1e-4)


class Dead(nn.Module):
    """Silent for stimuli whose first value is below 0.5; `level` is what silence is."""

    def __init__(self, level):
        super().__init__()
        self.level = level

    def forward(self, x):
        return torch.where(x[:, :1, :1, :1] < 0.5, torch.full_like(x, self.level), x).flatten(1)


@pytest.mark.parametrize("level", [0.0, 0.1])
@pytest.mark.parametrize("memory", [1e9, 1.0])
@pytest.mark.parametrize("pairs", [40, 1000])
def test_constant_activations_are_counted_and_left_out(make_stimuli, recorded, level, memory, pairs):
    stimuli = make_stimuli(30)
    n_dead = int((stimuli.read()[:, 0, 0, 0] < 0.5).sum())
    assert 3 < n_dead < 20
    null = null_distribution(
        StagedModel(Dead(level), input_size=8),
        *(Representation(("output",)), stimuli),
        **{"memory": memory, "pairs": pairs, "batch_size": 8},
    )
    assert (null.n_images, null.n_zero) == (30, n_dead)
    assert null.n_pairs == min(pairs, math.comb(30 - n_dead, 2))
    assert np.isfinite(recorded.values).all()


def test_a_stage_that_is_constant_for_all_has_no_null(make_stimuli):
    model = StagedModel(Dead(0.0), input_size=8)
    pixels = make_stimuli(5).read().permute(0, 2, 3, 1).mul(100).byte().numpy()
    with pytest.raises(MetamersError, match="'output' is constant for dim"):
        null_distribution(model, Representation(("output",)), StimulusSet.from_arrays(pixels, name="dim"))


def test_nearly_equal_activations_have_their_true_measures(make_stimuli, recorded):
    """Of ||a||^2 + ||b||^2 - 2ab nothing but rounding would be left."""
    pixels = np.stack([make_stimuli(1).pixels(0)] * 2)
    pixels[1, 4, 4, 1] ^= 1
    stimuli = StimulusSet.from_arrays(pixels)
    null = null_distribution(StagedModel(nn.Flatten(), input_size=8), Representation(("output",)), stimuli)
    a = stimuli.read().flatten(1).double()
    assert null.quantile("snr_db") == pytest.approx(10 * math.log10(a[0].norm() * 255), abs=0.05)
    assert null.quantile("pearson_r") <= 1


@pytest.mark.parametrize("at_once", [1, 500, 4_000_000])
def test_activations_around_a_large_mean_have_their_true_measures(make_stimuli, recorded, monkeypatch, at_once):
    class Shifted(nn.Module):
        def forward(self, x):
            return x.flatten(1) + 300

    monkeypatch.setattr(null_module, "_AT_ONCE", at_once)
    stimuli = make_stimuli(12)
    null_distribution(StagedModel(Shifted(), input_size=8), Representation(("output",)), stimuli)
    *_, snr = brute_force(stimuli.read().flatten(1) + 300)
    order = np.random.default_rng([0, 0]).permutation(12)
    assert np.sort(recorded.values[2]) == pytest.approx(upper(snr[order][:, order]), abs=1e-3)


def test_json_keeps_everything(model, make_stimuli):
    null = null_distribution(model, RELU, make_stimuli(10))
    assert NullDistribution.from_json(json.loads(json.dumps(null.to_json()))) == null


def test_the_seed_chooses_the_pairs(model, make_stimuli):
    stimuli = make_stimuli(20)
    a, b, c = (null_distribution(model, RELU, stimuli, pairs=30, seed=seed) for seed in (0, 0, 1))
    assert a == b
    assert a.measures != c.measures


@pytest.mark.parametrize("memory", [1e9, 1.0])
def test_progress_ends_with_all_pairs(model, make_stimuli, memory):
    told = []
    null_distribution(
        model, RELU, make_stimuli(20), batch_size=5, memory=memory, progress=lambda *args: told.append(args)
    )
    assert told[-1] == (190, 190)
    assert [done for done, _ in told] == sorted(done for done, _ in told)


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.sizes = []

    def forward(self, x):
        self.sizes.append(len(x))
        if len(x) > 3:
            raise torch.OutOfMemoryError("out of memory")
        return x.flatten(1)


def test_batches_that_do_not_fit_are_halved(make_stimuli):
    null = null_distribution(StagedModel(Small(), input_size=8), Representation(("output",)), make_stimuli(10))
    assert null.n_pairs == 45
