"""Metamers that are known beforehand."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metamers.matching import AboveNull
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet
from metamers.synthesis import synthesize

N_WAVES = 256
WAVELENGTHS = np.linspace(400, 700, N_WAVES)
PEAKS = (420, 530, 560)


def stimuli(pixels, name="set"):
    return StimulusSet.from_arrays(pixels, name=name)


class Linear(nn.Module):
    """20 weighted sums of 192 pixel values."""

    def __init__(self):
        super().__init__()
        self.weight = torch.randn(20, 192, generator=torch.Generator().manual_seed(0)) / 192**0.5
        self.sums = nn.Linear(192, 20, bias=False)
        self.sums.weight.data = self.weight.clone()

    def forward(self, x):
        return self.sums(x.flatten(1))


@pytest.mark.parametrize("recipe", ["fast", "feather2023-scaled"])
def test_metamers_of_a_linear_model_are_the_reference_plus_its_null_space(recipe):
    rng = np.random.default_rng(0)
    references = stimuli(rng.integers(64, 192, (4, 8, 8, 3), dtype=np.uint8))
    null = stimuli(rng.integers(0, 256, (60, 8, 8, 3), dtype=np.uint8), "null")
    network = Linear()
    options: Any = {"halve_every": 60, "steps": 480} if "feather" in recipe else {"steps": 400}
    result = synthesize(StagedModel(network, input_size=8), references, "sums", recipe=recipe, null=null, **options)
    difference = (result.raw - references.read()).flatten(1)
    visible = difference @ network.weight.T
    basis = torch.linalg.svd(network.weight).Vh[20:]
    in_null_space = difference @ basis.T @ basis
    assert (difference.norm(dim=1) > 1).all()  # far away: the pixels have a norm of about 7
    assert ((difference - in_null_space).norm(dim=1) < 0.02 * difference.norm(dim=1)).all()
    assert (visible.abs().amax(1) < 0.02).all()
    same_class = network.sums(references.read().flatten(1)).argmax(1) == network.sums(result.signals.flatten(1)).argmax(
        1
    )
    assert list(result.matches.verdict) == ["passed" if same else "failed" for same in same_class]
    assert "passed" in list(result.matches.verdict)


def cone(peak):
    """The relative sensitivity of an A1 pigment (Govardovskii et al., 2000, Vis. Neurosci. 17, 509-528, eqs. 1-5)."""
    x = peak / WAVELENGTHS
    a = 0.8795 + 0.0459 * np.exp(-((peak - 300) ** 2) / 11_940)
    alpha = 1 / (np.exp(69.7 * (a - x)) + np.exp(28 * (0.922 - x)) + np.exp(-14.9 * (1.104 - x)) + 0.674)
    beta_peak, beta_width = 189 + 0.315 * peak, -40.5 + 0.195 * peak
    return alpha + 0.26 * np.exp(-(((WAVELENGTHS - beta_peak) / beta_width) ** 2))


CONES = np.stack([cone(peak) for peak in PEAKS])


class Eye(nn.Module):
    """Cone catches [N, 3] of spectra given as images [N, 1, 16, 16], from 400 to 700 nm row by row."""

    def __init__(self):
        super().__init__()
        self.cones = nn.Linear(N_WAVES, 3, bias=False)
        self.cones.weight.data = torch.tensor(CONES / CONES.sum(1, keepdims=True), dtype=torch.float32)
        self.opponents = nn.Linear(3, 1)

    def forward(self, x):
        return self.opponents(self.cones(x.flatten(1)))


def spectra(n, seed):
    """Smooth spectra: a few broad bands."""
    rng = np.random.default_rng(seed)
    centers, widths = rng.uniform(400, 700, (n, 4, 1)), rng.uniform(20, 80, (n, 4, 1))
    bands = rng.uniform(0, 1, (n, 4, 1)) * np.exp(-(((WAVELENGTHS - centers) / widths) ** 2))
    values = (0.15 + bands.sum(1)).clip(0, 1.0)
    return np.rint(255 * values).astype(np.uint8).reshape(n, 16, 16, 1)


def test_the_nomogram_peaks_where_it_should():
    assert WAVELENGTHS[CONES.argmax(1)].tolist() == pytest.approx(PEAKS, abs=1.5)
    assert CONES.max(1).tolist() == pytest.approx([1, 1, 1], abs=0.02)


def test_spectra_that_three_cone_types_cannot_tell_apart():
    references = spectra(4, seed=0)
    model = StagedModel(Eye(), name="eye", input_size=16, channels=1)
    null = stimuli(spectra(60, seed=1), "null")
    options: Any = {"criterion": AboveNull("snr_db"), "steps": 400, "start_std": 0.2}
    result = synthesize(model, stimuli(references), "cones", null=null, **options)
    before = references.reshape(4, -1) / 255
    after = result.signals.flatten(1).double().numpy()
    weights = CONES / CONES.sum(1, keepdims=True)
    assert after @ weights.T == pytest.approx(before @ weights.T, abs=5e-3)
    assert (np.sqrt(((after - before) ** 2).mean(1)) > 0.1).all()  # other wavelengths
    assert (np.abs(np.diff(after, axis=1)).mean(1) > 5 * np.abs(np.diff(before, axis=1)).mean(1)).all()
    assert result.matches.same_class.isna().all()  # one output: no decision
    assert list(result.matches.verdict) == ["passed"] * 4


def test_a_fourth_cone_tells_them_apart():
    """The metamers are metamers of these three cones, not of any eye."""
    model = StagedModel(Eye(), name="eye", input_size=16, channels=1)
    references = spectra(4, seed=0)
    result = synthesize(model, stimuli(references), "cones", steps=400, start_std=0.2)
    fourth = cone(480) / cone(480).sum()
    difference = result.signals.flatten(1).double().numpy() - references.reshape(4, -1) / 255
    weights = CONES / CONES.sum(1, keepdims=True)
    assert (np.abs(difference @ fourth) > 5 * np.abs(difference @ weights.T).max(1)).any()
