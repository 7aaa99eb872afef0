"""Sound files: what is read, refused and written."""

from io import BytesIO

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from metamers.errors import MetamersError
from metamers.stimuli.sounds import (
    cut_or_pad,
    decode_sound,
    encode_wav,
    quantize_sound,
    read_header,
    read_wav,
    resample,
    set_rms,
)

RATE = 8000
TONE = 0.5 * np.sin(2 * np.pi * 440 * np.arange(800) / RATE)


def encoded(samples, rate=RATE, form="WAV", subtype=None):
    buffer = BytesIO()
    soundfile.write(buffer, samples, rate, format=form, subtype=subtype)
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("form", "subtype", "error"),
    [
        ("WAV", "PCM_U8", 1 / 100),
        ("WAV", "PCM_16", 1e-4),
        ("WAV", "PCM_24", 1e-6),
        ("WAV", "FLOAT", 1e-7),
        ("FLAC", "PCM_16", 1e-4),
        ("OGG", "VORBIS", 0.2),
        ("MP3", "MPEG_LAYER_III", 0.6),
    ],
)
def test_every_format_is_read(form, subtype, error):
    data = encoded(TONE, form=form, subtype=subtype)
    assert read_header(BytesIO(data), "'a'")[1] == RATE
    sound = decode_sound(data, "'a.wav'")
    assert sound.rate == RATE
    assert sound.waveform.dtype == np.float32
    assert np.abs(sound.waveform[: len(TONE)] - TONE).max() < error


def test_channels_are_averaged():
    assert decode_sound(encoded(np.stack([TONE, 0 * TONE], 1), subtype="FLOAT"), "'a'").waveform == pytest.approx(
        TONE / 2, abs=1e-7
    )


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "is empty"),
        (b"RIFF", "truncated or no sound"),
        (b"no sound at all, but some text", "truncated or no sound"),
        (encoded(np.zeros(0)), "holds no sample"),
        (encoded(TONE, form="AIFF"), "convert it to WAV"),
        (encoded(np.array([0.0, np.nan]), subtype="FLOAT"), "NaN"),
        (encoded(4 * TONE, subtype="FLOAT"), "beyond full scale"),
        (encoded(TONE, form="FLAC")[:200], "truncated"),
        (encoded(TONE)[:400], "truncated"),
    ],
    ids=range(9),  # floats are encoded with the time, which would be in the name of the test
)
def test_what_cannot_be_shown_is_refused(data, words):
    with pytest.raises(MetamersError, match=words) as error:
        decode_sound(data, "'a.wav'")
    assert "'a.wav'" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_sound_of_over_an_hour_is_refused():
    with pytest.raises(MetamersError, match="over 3600"):
        decode_sound(encoded(np.zeros(3602 * 10), rate=10), "'a'")


def test_resampling_keeps_a_tone():
    twice = resample(TONE.astype(np.float32), RATE, 2 * RATE)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(1600) / (2 * RATE))
    assert len(twice) == 1600
    assert np.abs(twice - expected)[100:-100].max() < 5e-3
    assert resample(twice, RATE, RATE) is twice


@given(st.integers(1, 50), st.integers(1, 50))
def test_the_middle_is_kept(given_length, wanted):
    x = np.arange(1, given_length + 1, dtype=np.float32)
    found = cut_or_pad(x, wanted)
    assert len(found) == wanted
    kept = found[found > 0]
    assert len(kept) == min(given_length, wanted)
    before, after = (kept[0] - 1, given_length - kept[-1]) if wanted < given_length else (0, 0)
    assert abs(before - after) <= 1


def test_the_level_is_set():
    louder = set_rms((TONE + 0.1).astype(np.float32), 0.1, "'a'")
    assert np.sqrt(np.mean(louder**2)) == pytest.approx(0.1, rel=1e-5)
    assert louder.mean() == pytest.approx(0, abs=1e-6)
    with pytest.raises(MetamersError, match="silent"):
        set_rms(np.zeros(9, np.float32), 0.1, "'a'")
    with pytest.raises(MetamersError, match="would clip"):
        set_rms(np.eye(1, 100, dtype=np.float32)[0], 0.5, "'a'")


@given(st.lists(st.floats(-1, 1, width=32), min_size=1, max_size=30))
def test_a_written_sound_is_read_as_it_was_rounded(tmp_path_factory, values):
    path = tmp_path_factory.mktemp("sounds") / "a.wav"
    signal = np.array(values, dtype=np.float32)
    path.write_bytes(encode_wav(signal, RATE))
    samples, rate = read_wav(path)
    assert rate == RATE
    assert np.array_equal(samples, quantize_sound(signal))
    assert np.abs(samples / 32768 - signal).max() <= 1 / 32768


@pytest.mark.parametrize("bad", [np.array([1.5]), np.array([np.nan]), np.zeros((2, 2)), np.zeros(0), np.array([1])])
def test_what_is_no_waveform_is_not_written(bad):
    with pytest.raises(MetamersError):
        quantize_sound(bad)


def test_a_file_that_this_package_did_not_write_is_refused(tmp_path):
    path = tmp_path / "a.wav"
    with pytest.raises(MetamersError, match="cannot be read"):
        read_wav(path)
    path.write_bytes(encoded(TONE, subtype="FLOAT"))
    with pytest.raises(MetamersError, match="expected 16-bit WAV"):
        read_wav(path)
    path.write_bytes(b"RIFF")
    with pytest.raises(MetamersError, match="truncated or broken"):
        read_wav(path)
