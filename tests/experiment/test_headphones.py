"""The sounds of the headphone check."""

import io

import numpy as np
import pytest
import soundfile

from metamers.experiment.headphones import CHOICES, GAP_SECONDS, HZ, SECONDS, headphone_sound


@pytest.mark.parametrize("seed", range(4))
def test_one_tone_is_quieter_and_another_in_antiphase(seed):
    content, label = headphone_sound(np.random.default_rng(seed))
    samples, rate = soundfile.read(io.BytesIO(content))
    assert samples.shape[1] == 2 and np.abs(samples).max() < 0.3
    tones = []
    for i in range(3):
        begin = round((GAP_SECONDS + i * (SECONDS + GAP_SECONDS)) * rate)
        tones.append(samples[begin : begin + round(SECONDS * rate)])
    rms = np.array([tone[:, 0].std() for tone in tones])
    quiet = int(rms.argmin())
    assert label == CHOICES[quiet]
    others = [i for i in range(3) if i != quiet]
    np.testing.assert_allclose(20 * np.log10(rms[quiet] / rms[others]), -6, atol=0.05)
    phases = [round(float(np.corrcoef(tone.T)[0, 1])) for tone in tones]
    assert phases[quiet] == 1 and sorted(phases) == [-1, 1, 1]
    for tone in tones:
        spectrum = np.abs(np.fft.rfft(tone[:, 0]))
        assert spectrum.argmax() * rate / len(tone) == pytest.approx(HZ, abs=1)
        assert np.abs(tone[:20]).max() < 0.01  # begins softly


def test_every_place_comes():
    rng = np.random.default_rng(0)
    assert {headphone_sound(rng)[1] for _ in range(30)} == set(CHOICES)
