"""Mel spectrograms and MFCC against closed forms and SciPy."""

import numpy as np
import pytest
import torch
from scipy.fft import dct

from metamers.errors import MetamersError
from metamers.models import MFCC, MelSpectrogram
from metamers.models.mel import mel_filters

RATE = 16_000


def tone(hertz, n=RATE):
    return torch.sin(2 * torch.pi * hertz * torch.arange(n) / RATE)[None]


def test_a_tone_lies_in_the_band_around_it():
    bands = mel_filters(np.linspace(0, 8000, 8001), 40, 20.0, 8000.0)
    for hertz in (200, 1000, 5000):
        loudest = int(MelSpectrogram(sample_rate=RATE)(tone(hertz))[0].mean(1).argmax())
        assert bands[loudest, hertz] > 0.4


def test_between_the_outer_peaks_triangles_sum_to_one():
    bands = mel_filters(np.linspace(0, 8000, 8001), 20, 100.0, 8000.0)
    peaks = bands.argmax(1)
    assert bands.sum(0)[peaks[0] + 1 : peaks[-1]] == pytest.approx(1)
    assert (bands.max(1) > 0.98).all()


def test_energies_are_those_of_the_windowed_frames():
    x = torch.randn(2, 2000, generator=torch.Generator().manual_seed(0))
    mel = MelSpectrogram(sample_rate=RATE)
    frame = x[1, 160:560].numpy() * np.hanning(401)[:-1]
    energies = np.abs(np.fft.rfft(frame, 512)) ** 2
    expected = np.log(mel_filters(np.fft.rfftfreq(512, 1 / RATE), 40, 20.0, 8000.0) @ energies + 1e-6)
    assert mel(x)[1, :, 1].numpy() == pytest.approx(expected, rel=1e-4)


def test_mfcc_is_the_cosine_transform():
    x = torch.randn(2, 4000, generator=torch.Generator().manual_seed(0))
    expected = dct(MelSpectrogram(sample_rate=RATE)(x).numpy(), axis=1, norm="ortho")[:, :13]
    assert MFCC(sample_rate=RATE)(x).numpy() == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("make", [MelSpectrogram, MFCC])
def test_gradients_are_finite_in_silence(make):
    x = torch.zeros(1, 4000, requires_grad=True)
    (gradient,) = torch.autograd.grad(make(sample_rate=RATE)(x).sum(), x)
    assert gradient.isfinite().all()


@pytest.mark.parametrize("options", [{"low": 9000.0}, {"bands": 0}, {"hop": 0.0}, {"bands": 400}, {"floor": 0.0}])
def test_settings_that_make_no_filters(options):
    with pytest.raises(MetamersError):
        MelSpectrogram(sample_rate=RATE, **options)


def test_too_short_and_too_many():
    with pytest.raises(MetamersError, match="give longer sounds"):
        MelSpectrogram(sample_rate=RATE)(torch.zeros(1, 100))
    with pytest.raises(MetamersError, match="give 1 to 40"):
        MFCC(sample_rate=RATE, coefficients=41)
