import numpy as np
import pytest
import torch

from metamers.stimuli import SoundSet
from metamers.stimuli.playing import LOUDEST_RMS, as_played, ramped, turned_down
from metamers.stimuli.sounds import Sound

RATE = 8000


def rms(waveform):
    return np.sqrt(np.mean(np.square(waveform)))


def test_ramps_are_half_cosines_of_10_ms_and_leave_the_rest():
    heard = ramped(np.full(800, 0.2, np.float32), RATE)
    assert np.allclose(heard[:80], 0.2 * (0.5 - 0.5 * np.cos(np.pi * np.arange(80) / 80)), atol=1e-7)
    assert np.array_equal(heard[:80], heard[:-81:-1])
    assert np.array_equal(heard[80:-80], np.full(640, 0.2, np.float32))


@pytest.mark.parametrize(("n", "gains"), [(1, [1]), (3, [0, 1, 0]), (5, [0, 0.5, 1, 0.5, 0])])
def test_short_sounds_are_ramped_over_their_halves(n, gains):
    assert np.allclose(ramped(np.ones(n, np.float32), RATE), gains)


@pytest.mark.parametrize(("level", "expected"), [(0.1, 0.1), (0.8, LOUDEST_RMS)])
def test_only_what_is_too_loud_is_turned_down(level, expected):
    noise = np.random.default_rng(0).choice([-level, level], 80_000).astype(np.float32)
    assert rms(turned_down(noise)) == pytest.approx(expected, rel=1e-5)


def test_tensors_are_heard_as_arrays_are_and_silence_has_a_gradient():
    levels = np.array([[0.1], [0.5], [1]], np.float32)
    sounds = levels * np.random.default_rng(1).uniform(-1, 1, (3, 400)).astype(np.float32)
    expected = np.stack([turned_down(ramped(sound, RATE)) for sound in sounds])
    assert np.allclose(as_played(torch.from_numpy(sounds), RATE).numpy(), expected, atol=1e-6)
    silence = torch.zeros(1, 400, requires_grad=True)
    as_played(silence, RATE).sum().backward()
    assert silence.grad is not None
    assert torch.isfinite(silence.grad).all()
    assert silence.grad[0, 200] == 1


def test_a_set_as_played_keeps_the_set_that_it_is_of():
    sounds = SoundSet.from_waveforms(np.full((1, 800), 0.5, np.float32), RATE)
    played = sounds.as_played().fit((1, 800))
    assert sounds.read()[0, 0] == 0.5
    assert played.read()[0, 0] == 0
    assert rms(played.read().numpy()) == pytest.approx(LOUDEST_RMS, rel=1e-3)
    assert sounds.hash(0) != played.hash(0)
    assert played.as_played() is played


def test_a_sound_is_ramped_before_the_silence_that_fills_it_up():
    tone = Sound(np.full(400, 0.2, np.float32), RATE)
    played = SoundSet(name="tone", ids=["a"], source=lambda i: tone, sample_rate=RATE, n_samples=800).as_played()
    heard = played.read()[0].numpy()
    assert not heard[:200].any() and not heard[600:].any()
    assert np.allclose(heard[200:600], ramped(tone.waveform, RATE), atol=1 / 32768)
