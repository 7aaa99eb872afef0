"""Spoken words: everyday words in many voices before noise and babble, generated or, a few, as files.

`python -m metamers.stimuli.spoken_words` writes the files anew.
"""

from functools import lru_cache
from importlib.resources import files
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError
from metamers.stimuli.espeak import require_espeak, speak
from metamers.stimuli.files import FolderFiles
from metamers.stimuli.sound_set import SoundSet
from metamers.stimuli.sounds import Sound, Waveform, cut_or_pad, decode_sound, resample

_CLIPS = Path(str(files("metamers.stimuli") / "spoken_clips"))
WORDS = (
    *("apple", "baby", "bottle", "chicken", "doctor", "finger", "garden", "hammer", "island", "jacket", "kitchen"),
    *("ladder", "letter", "monkey", "mountain", "needle", "orange", "paper", "river", "sister", "table", "tiger"),
    *("window", "yellow"),
)
SPLITS = ("train", "test")
RATE, SECONDS = 16_000, 1.0
Snr = float | tuple[float, float]
SNR_DB = (0.0, 20.0)
"""Between which the level of the word over its background is drawn, where none is given."""

_LANGUAGES = ("en", "en-us", "en-gb-scotland", "en-gb-x-rp")
_VARIANTS = (*(f"m{i}" for i in range(1, 9)), "f1", "f4", "Andrea", "Annie", "belinda", "linda")
"""Those that say a word alike each time; f2, f3 and f5 do not."""
_BABBLERS = 4


def spoken_words(split: str = "test", n: int = 480, seed: int = 0, snr: Snr | None = None) -> SoundSet:
    """A set of generated words, sound `i` saying `WORDS[i % 24]` in its middle: 1 s at 16 kHz.

    Voice, pitch, speed, loudness (RMS 0.02 to 0.1) and background (noise or babble) vary; `snr` is the level of the
    word over its background in dB (20 log10 of the ratio of their RMS), or two between which it is drawn, None for 0
    and 20. Each sound is a pure function of (split, seed, i, snr), spoken when it is read.

    Raises MetamersError without espeak-ng (extra: speech), for an unknown split, a negative seed and no sound.
    """
    require_espeak()
    if split not in SPLITS:
        raise MetamersError(f"spoken_words: no split {split!r}; choose one of {', '.join(SPLITS)}")
    if n < 1 or seed < 0:
        raise MetamersError(f"spoken_words: n={n}, seed={seed}; give at least 1 sound and a seed of at least 0")
    level = "" if snr is None else "&snr=" + "..".join(f"{end:g}" for end in (snr if isinstance(snr, tuple) else [snr]))
    return SoundSet(
        name=f"bundled:spoken_words?split={split}&n={n}&seed={seed}{level}",
        ids=[f"{split}{seed}-{i:05d}" for i in range(n)],
        labels=[WORDS[i % len(WORDS)] for i in range(n)],
        classes=WORDS,
        source=lambda i: Sound(say(split, seed, i, snr), RATE),
        sample_rate=RATE,
        n_samples=round(RATE * SECONDS),
    )


def spoken_clips(n: int | None = None) -> SoundSet:
    """Sounds of `spoken_words` (split "test", seed 4) that ship as files, so that none need be spoken: 4 of each word,
    sound `i` saying `WORDS[i % 24]`.

    Raises MetamersError for n out of range.
    """
    found = FolderFiles(_CLIPS, kind="sound")
    if n is not None and not 1 <= n <= len(found.ids):
        raise MetamersError(f"spoken_clips: n={n}; there are {len(found.ids)}, so give 1 to {len(found.ids)}")
    ids = found.ids[:n]
    return SoundSet(
        name="bundled:spoken_clips" + ("" if n is None else f"?n={n}"),
        ids=ids,
        labels=[id_.split("-")[-1].removesuffix(".flac") for id_ in ids],
        classes=WORDS,
        source=lambda i: decode_sound(found.read(ids[i]), found.where(ids[i])),
        sample_rate=RATE,
        n_samples=round(RATE * SECONDS),
    )


def say(split: str, seed: int, index: int, snr: Snr | None = None) -> Waveform:
    """One sound of `spoken_words`, float32 [16000]."""
    snr = SNR_DB if snr is None else snr
    low, high = snr if isinstance(snr, tuple) else (snr, snr)
    rng = np.random.default_rng([SPLITS.index(split), seed, index, 0x5A1])
    n = round(RATE * SECONDS)
    spoken = _spoken(WORDS[index % len(WORDS)], rng)
    slack = max(0, min(n // 10, (n - len(spoken)) // 2))  # so that no part of the word is lost
    word = np.roll(cut_or_pad(spoken, n), rng.integers(-slack, slack + 1))
    background = _babble(rng, n) if rng.random() < 0.5 else _noise(rng, n)
    ratio = 10 ** (rng.uniform(low, high) / 20)
    mixed = word / _rms(word[word != 0]) + background / _rms(background) / ratio
    mixed *= rng.uniform(0.02, 0.1) / _rms(mixed)
    mixed /= max(1.0, float(np.abs(mixed).max()))  # no sample beyond full scale
    return mixed.astype(np.float32)


def _spoken(word: str, rng: np.random.Generator) -> Waveform:
    """A word in a random voice, without the silence around it."""
    voice = f"{rng.choice(_LANGUAGES)}+{rng.choice(_VARIANTS)}"
    waveform = _trimmed(word, voice, int(rng.integers(120, 200)), int(rng.integers(20, 80)))
    return waveform


@lru_cache(maxsize=256)
def _trimmed(word: str, voice: str, speed: int, pitch: int) -> Waveform:
    spoken = speak(word, voice, speed, pitch)
    waveform = resample(spoken.waveform, spoken.rate, RATE)
    loud = np.flatnonzero(np.abs(waveform) > 0.01 * np.abs(waveform).max())
    return waveform[loud[0] : loud[-1] + 1]


def _babble(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Other people, each saying a word over and over."""
    total = np.zeros(n)
    for _ in range(_BABBLERS):
        waveform = _spoken(str(rng.choice(WORDS)), rng)
        repeated = np.resize(waveform, n + len(waveform))
        begin = int(rng.integers(len(waveform)))
        total += repeated[begin : begin + n] / _rms(waveform)
    return total


def _noise(rng: np.random.Generator, n: int) -> NDArray[np.float64]:
    """Noise whose amplitude falls as 1/f^a, a from 0 to 1."""
    frequency = np.maximum(np.fft.rfftfreq(n), 1 / n)
    amplitude = frequency ** -rng.uniform(0.0, 1.0)
    amplitude[0] = 0
    phases = rng.normal(size=(2, len(frequency)))
    noise: NDArray[np.float64] = np.fft.irfft((phases[0] + 1j * phases[1]) * amplitude, n)
    return noise


def _rms(x: NDArray[np.floating]) -> float:
    return float(np.sqrt(np.mean(np.square(x, dtype=np.float64))))


def write_clips(folder: Path = _CLIPS, n: int = 96) -> None:
    """Write the files of `spoken_clips` anew."""
    import soundfile

    sounds = spoken_words("test", n, 4)
    folder.mkdir(exist_ok=True)
    for i, label in enumerate(sounds.labels):
        soundfile.write(folder / f"{i:02d}-{label}.flac", sounds.pixels(i), RATE, subtype="PCM_16")


if __name__ == "__main__":
    write_clips()
