"""The cochleagram: the published one in `exact` mode, nearly that in `fast` mode."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from metamers.errors import MetamersError
from metamers.models import Cochleagram
from metamers.models.cochleagram import _Magnitude, _Sampled, compress


@pytest.mark.skipif("METAMERS_REAL_DATA" not in os.environ, reason="METAMERS_REAL_DATA names no folder with real data")
def test_exact_is_the_published_cochleagram():
    golden = np.load(Path(os.environ["METAMERS_REAL_DATA"]) / "feather2023" / "cochleagram_golden.npz")
    found = Cochleagram(sample_rate=20_000, mode="exact")(torch.from_numpy(golden["x"])[None])
    assert np.abs(found[0].numpy() - golden["coch"]).max() < 2e-5


def speech_like(n, rate, seed=0):
    """Harmonics under an envelope that falls silent, and a little noise."""
    generator = np.random.default_rng(seed)
    t = np.arange(n) / rate
    voice = sum(np.sin(2 * np.pi * 120 * k * t + generator.uniform(0, 6)) / k for k in range(1, 20))
    sound = voice * np.maximum(np.sin(2 * np.pi * 3 * t), 0) + 0.01 * generator.normal(size=n)
    return torch.from_numpy(0.1 * sound / sound.std()).float()[None]


@pytest.mark.parametrize(("rate", "n", "n_filters"), [(20_000, 40_000, 50), (16_000, 16_000, 14), (8_000, 8_000, 20)])
def test_fast_is_nearly_exact(rate, n, n_filters):
    x = speech_like(n, rate)
    exact = Cochleagram(sample_rate=rate, mode="exact", n_filters=n_filters)(x)
    fast = Cochleagram(sample_rate=rate, n_filters=n_filters)(x)
    assert fast.shape == exact.shape
    assert (fast - exact).abs().max() <= 0.01 * exact.max()


def test_gradients_of_fast_are_nearly_those_of_exact():
    gradients = []
    for mode in ("exact", "fast"):
        x = speech_like(20_000, 20_000).requires_grad_()
        (gradient,) = torch.autograd.grad(Cochleagram(sample_rate=20_000, mode=mode)(x).square().sum(), x)
        gradients.append(gradient.flatten())
    assert torch.cosine_similarity(gradients[0], gradients[1], dim=0) > 0.999


def test_gradients_written_by_hand_are_those_of_differences():
    generator = torch.Generator().manual_seed(0)
    analytic = torch.randn(2, 5, dtype=torch.complex128, generator=generator).requires_grad_()
    assert torch.autograd.gradcheck(_Magnitude.apply, analytic)
    rows = torch.rand(2, 12, 3, dtype=torch.float64, generator=generator).requires_grad_()
    kernel = torch.rand(3, 11, dtype=torch.float64, generator=generator)
    assert torch.autograd.gradcheck(lambda x: _Sampled.apply(x, kernel), rows)


def test_sampling_is_a_convolution_with_strides():
    generator = torch.Generator().manual_seed(0)
    rows, kernel = torch.rand(2, 3, 14, 5, generator=generator), torch.rand(51, generator=generator)
    expected = F.conv1d(rows.view(6, 1, 70), kernel[None, None], stride=5).view(2, 3, 4)
    in_columns = F.pad(kernel, (0, 4)).view(11, 5).T
    assert torch.allclose(_Sampled.apply(rows, in_columns), expected, rtol=1e-5)


@pytest.mark.parametrize("mode", ["exact", "fast"])
def test_gradients_are_finite_in_silence(mode):
    x = torch.zeros(2, 4_000, requires_grad=True)
    coch = Cochleagram(sample_rate=20_000, mode=mode)(x)
    (gradient,) = torch.autograd.grad(coch.sum(), x)
    assert torch.isfinite(coch).all()
    assert torch.isfinite(gradient).all()


def test_a_tone_lies_at_its_frequency():
    cochleagram = Cochleagram(sample_rate=16_000, compressed=False)
    tone = 0.1 * torch.sin(2 * torch.pi * 1000 * torch.arange(16_000) / 16_000)[None]
    loudest = int(cochleagram(tone)[0].mean(1).argmax()) - cochleagram.overlap
    assert cochleagram.centers[loudest] == pytest.approx(1000, rel=0.02)


@settings(deadline=None, max_examples=20)
@given(st.integers(1_001, 3_000), st.sampled_from(["exact", "fast"]))
def test_any_length(n, mode):
    coch = Cochleagram(sample_rate=20_000, mode=mode)(speech_like(n, 20_000))
    assert coch.shape == (1, 211, (n - 1001) // 100 + 1)
    assert torch.isfinite(coch).all()


def test_lengths_take_turns():
    cochleagram = Cochleagram(sample_rate=8_000)
    first = cochleagram(speech_like(4_000, 8_000))
    for n in range(1_000, 1_010):
        cochleagram(speech_like(n, 8_000))
    assert torch.equal(cochleagram(speech_like(4_000, 8_000)), first)
    assert len(cochleagram._banks) <= 4


def test_compression_limits_the_slope():
    x = torch.tensor([-1.0, 0.0, 1e-6, 1.0], requires_grad=True)
    (gradient,) = torch.autograd.grad(compress(x).sum(), x)
    assert gradient.tolist() == pytest.approx([5.0, 5.0, 5.0, 0.3])


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"mode": "exakt"}, "did you mean 'exact'"),
        ({"high": 9_000.0}, "limits"),
        ({"low": 0.0}, "limits"),
        ({"frame_rate": 300}, "does not divide"),
        ({"n_filters": 0}, "at least 1"),
    ],
)
def test_settings_that_make_no_cochleagram(options, words):
    with pytest.raises(MetamersError, match=words):
        Cochleagram(**{"sample_rate": 16_000, **options})


def test_a_sound_that_is_too_short():
    with pytest.raises(MetamersError, match="give longer sounds"):
        Cochleagram(sample_rate=16_000)(torch.zeros(1, 800))
