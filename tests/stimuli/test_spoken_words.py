"""Spoken words: pure functions of split, seed and index, and those that ship as files."""

import importlib.util

import numpy as np
import pytest

from metamers.errors import MetamersError
from metamers.stimuli import espeak, load_stimuli
from metamers.stimuli.spoken_words import WORDS, say, spoken_clips, spoken_words

spoken = pytest.mark.skipif(
    importlib.util.find_spec("espeakng_loader") is None, reason="espeak-ng is not installed (extra: speech)"
)


def test_clips_ship_with_the_package():
    clips = spoken_clips()
    assert (len(clips), clips.sample_rate, clips.size) == (96, 16_000, (1, 16_000))
    assert clips.labels == WORDS * 4
    assert load_stimuli("bundled:spoken_clips?n=3").ids == clips.ids[:3]
    levels = clips.read().square().mean(1).sqrt()
    assert 0.01 < levels.min() < levels.max() < 0.11
    with pytest.raises(MetamersError, match="give 1 to 96"):
        spoken_clips(97)


@spoken
def test_clips_are_what_the_generator_says():
    clips, words = spoken_clips(), spoken_words("test", 96, 4)
    assert clips.labels == words.labels
    for i in (0, 41, 95):
        assert np.abs(clips.pixels(i).astype(int) - words.pixels(i)).max() <= 1


@spoken
def test_a_sound_depends_on_split_seed_and_index_alone():
    long, short = spoken_words(n=30, seed=3), spoken_words(n=26, seed=3)
    assert np.array_equal(long.pixels(25), short.pixels(25))
    sounds = [say(split, seed, i) for split in ("train", "test") for seed in (0, 1) for i in (0, 24)]
    assert len({sound.tobytes() for sound in sounds}) == len(sounds)
    assert all(np.abs(sound).max() <= 1 for sound in sounds)


@spoken
def test_the_level_over_the_background_is_set():
    """The same word and background, apart by what they are mixed at."""
    quiet, loud, alone = (say("test", 0, 5, snr).astype(float) for snr in (-20, 40, 100))
    similarity = [np.corrcoef(sound, alone)[0, 1] for sound in (quiet, loud)]
    assert similarity[0] < 0.3
    assert similarity[1] > 0.999


@spoken
def test_the_specification_is_read():
    words = load_stimuli("bundled:spoken_words?split=train&n=3&seed=5&snr=10")
    assert words.labels == WORDS[:3]
    assert np.array_equal(words.pixels(2), spoken_words("train", 3, 5, 10.0).pixels(2))
    wide = load_stimuli("bundled:spoken_words?split=train&n=3&seed=5&snr=-5..15")
    assert wide.name.endswith("&snr=-5..15")
    assert np.array_equal(wide.pixels(2), spoken_words("train", 3, 5, (-5.0, 15.0)).pixels(2))
    assert not np.array_equal(wide.pixels(2), words.pixels(2))
    for bad in ("split=validation", "n=0", "snr=loud", "snr=1e9", "size=3", "snr=15..-5", "snr=1..", "snr=0..900"):
        with pytest.raises(MetamersError) as error:
            load_stimuli(f"bundled:spoken_words?{bad}")
        assert "\n" not in str(error.value)


@spoken
def test_a_voice_that_there_is_not_is_refused_and_the_next_word_is_spoken():
    with pytest.raises(MetamersError, match="no voice"):
        espeak.speak("window", "xx-nowhere", 150, 50)
    assert len(espeak.speak("window", "en+m1", 150, 50).waveform) > 5000


def test_without_espeak_the_extra_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MetamersError, match=r"metamers\[speech\]"):
        spoken_words()
