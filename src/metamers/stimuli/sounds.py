"""Sound files: checked from their headers, decoded to one channel of floats, and 16-bit WAV files without loss."""

from io import BytesIO
from math import gcd
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from metamers.errors import MetamersError

if TYPE_CHECKING:
    import torch

Samples = NDArray[np.int16]
Waveform = NDArray[np.float32]

SOUND_SUFFIXES = (".wav", ".flac", ".ogg", ".mp3")
MAX_SECONDS = 3600
FULL_SCALE = 32768
"""The number of a sample that would be 1; the greatest is one less."""
_FORMATS = ("WAV", "WAVEX", "FLAC", "OGG", "MP3", "MPEG")


class Sound(NamedTuple):
    """A sound as a file holds it, mixed to one channel: floats [T] and samples per second."""

    waveform: Waveform
    rate: int


def read_header(file: IO[bytes], where: str) -> tuple[int, int]:
    """(samples, samples per second) of a sound file, from its header alone.

    Raises MetamersError where the file is no WAV, FLAC, OGG or MP3 sound, holds no sample, or over an hour.
    """
    import soundfile

    if not file.read(1):
        raise MetamersError(f"{where} is empty; replace or remove it")
    file.seek(0)
    try:
        with soundfile.SoundFile(file) as sound:
            found, frames, rate = sound.format, sound.frames, sound.samplerate
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise MetamersError(f"{where} is truncated or no sound that is known; replace or remove it") from error
    if found not in _FORMATS:
        raise MetamersError(f"{where} is a {found} file; convert it to WAV, FLAC, OGG or MP3")
    if frames < 1:
        raise MetamersError(f"{where} holds no sample; replace or remove it")
    if frames > MAX_SECONDS * rate:
        raise MetamersError(f"{where} lasts {frames / rate:.0f} s, over {MAX_SECONDS}; cut it first")
    return frames, rate


def decode_sound(data: bytes, where: str) -> Sound:
    """The sound of a file, the mean of its channels, on a scale where full scale is 1.

    Raises MetamersError where `read_header` does, where the file is truncated, and for samples that are not finite or
    beyond full scale (which files of floats can hold).
    """
    import soundfile

    frames, rate = read_header(BytesIO(data), where)
    try:
        channels, _ = soundfile.read(BytesIO(data), dtype="float32", always_2d=True)
    except (soundfile.LibsndfileError, RuntimeError) as error:
        raise MetamersError(f"{where} is truncated or broken ({error}); replace or remove it") from error
    if _lacks_data(data):
        raise MetamersError(f"{where} is truncated: it says that it holds more samples; replace or remove it")
    if len(channels) < frames:
        raise MetamersError(f"{where} is truncated: {len(channels)} of {frames} samples; replace or remove it")
    if not np.isfinite(channels).all():
        raise MetamersError(f"{where} holds NaN or infinite samples; repair or remove it")
    peak = float(np.abs(channels).max())
    if peak > 1 and Path(where.strip("'")).suffix.lower() in (".wav", ".flac"):
        raise MetamersError(f"{where} goes beyond full scale (to {peak:.3g}); scale it down first")
    # What a lossy codec adds above full scale is no more than a player would clip.
    return Sound(np.clip(channels, -1, 1).mean(axis=1, dtype=np.float32), rate)


def _lacks_data(data: bytes) -> bool:
    """Whether a WAV file ends before its samples do, which libsndfile passes over."""
    if data[:4] != b"RIFF":
        return False
    place = 12
    while place + 8 <= len(data):
        name, size = data[place : place + 4], int.from_bytes(data[place + 4 : place + 8], "little")
        if name == b"data":
            return size not in (0, 2**32 - 1) and place + 8 + size > len(data)  # those two: of streams
        place += 8 + size + size % 2
    return False


def resample(waveform: Waveform, rate: int, to_rate: int) -> Waveform:
    """The waveform [T] at another rate, by polyphase filtering (scipy.signal.resample_poly)."""
    if rate == to_rate:
        return waveform
    from scipy.signal import resample_poly

    common = gcd(rate, to_rate)
    return np.asarray(resample_poly(waveform.astype(np.float64), to_rate // common, rate // common), dtype=np.float32)


def cut_or_pad(waveform: Waveform, n: int) -> Waveform:
    """The middle `n` samples; a shorter waveform is padded with silence on both sides.

    >>> cut_or_pad(np.arange(5, dtype=np.float32), 3), cut_or_pad(np.ones(1, np.float32), 4)
    (array([1., 2., 3.], dtype=float32), array([0., 1., 0., 0.], dtype=float32))
    """
    surplus = len(waveform) - n
    if surplus >= 0:
        return waveform[surplus // 2 : surplus // 2 + n]
    before = -surplus // 2
    padded: Waveform = np.pad(waveform, (before, -surplus - before))
    return padded


def set_rms(waveform: Waveform, rms: float, where: str) -> Waveform:
    """The waveform without its mean, scaled to a root mean square.

    Raises MetamersError for silence, and where the peak would go beyond full scale.
    """
    centered = waveform.astype(np.float64) - waveform.mean(dtype=np.float64)
    level = float(np.sqrt(np.mean(centered**2)))
    if level < 1e-6:
        raise MetamersError(f"{where} is silent, so its level cannot be set; remove it")
    scaled = centered * (rms / level)
    peak = float(np.abs(scaled).max())
    if peak > 1:
        most = rms / peak
        raise MetamersError(
            f"{where} would clip at an RMS of {rms:g} (its peak {peak:.3g}); set at most {most:.3g}, or remove it"
        )
    result: Waveform = scaled.astype(np.float32)
    return result


def quantize_sound(signal: "torch.Tensor | NDArray[Any]") -> Samples:
    """A waveform, floats [T] in [-1, 1], as 16-bit samples: times 32,768, rounded, halves to even, at most 32,767.

    Raises MetamersError for another shape or type and for values that are not finite or outside [-1, 1].

    >>> quantize_sound(np.array([-1.0, 0.25, 1.0])).tolist()
    [-32768, 8192, 32767]
    """
    values = np.asarray(signal if isinstance(signal, np.ndarray) else signal.detach().cpu().numpy())
    if not np.issubdtype(values.dtype, np.floating) or values.ndim != 1 or not len(values):
        raise MetamersError(f"a sound is {values.dtype} {list(values.shape)}; give floats in [-1, 1], [samples]")
    if not np.isfinite(values).all():
        raise MetamersError("a sound holds NaN or infinite values; only finite ones can be samples")
    peak = float(np.abs(values).max())
    if peak > 1:
        raise MetamersError(f"a sound goes to {peak:.6g}; clamp it to [-1, 1] first")
    return np.rint(values.astype(np.float64) * FULL_SCALE).clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


def encode_wav(sound: "torch.Tensor | NDArray[Any]", rate: int) -> bytes:
    """The 16-bit WAV file of a waveform, floats [T] in [-1, 1] (rounded by `quantize_sound`), or of samples, int16 [T].

    Raises MetamersError as `quantize_sound` does.
    """
    import soundfile

    samples = sound if isinstance(sound, np.ndarray) and sound.dtype == np.int16 else quantize_sound(sound)
    buffer = BytesIO()
    soundfile.write(buffer, samples, rate, subtype="PCM_16", format="WAV")
    return buffer.getvalue()


def encode_float_wav(sound: "torch.Tensor", rate: int) -> bytes:
    """The WAV file of 32-bit floats, so without rounding, of a waveform, float32 [T]."""
    from scipy.io import wavfile  # as libsndfile writes the time of day into files of floats

    buffer = BytesIO()
    wavfile.write(buffer, rate, sound.detach().cpu().numpy())
    return buffer.getvalue()


def read_wav(path: str | Path) -> tuple[Samples, int]:
    """The samples, int16 [T], and rate of a WAV file that this package wrote, exactly as written.

    Raises MetamersError where the file is missing, broken, or no 16-bit WAV file of one channel.
    """
    import soundfile

    where = f"'{path}'"
    try:
        data = Path(path).read_bytes()
    except OSError as error:
        raise MetamersError(f"{where} cannot be read: {error.strerror or error}; restore or make it again") from error
    try:
        with soundfile.SoundFile(BytesIO(data)) as sound:
            found = (sound.format, sound.subtype, sound.channels)
            samples, rate = sound.read(dtype="int16"), sound.samplerate
    except (soundfile.LibsndfileError, RuntimeError, TypeError) as error:
        raise MetamersError(f"{where} is truncated or broken; restore or make it again") from error
    if found != ("WAV", "PCM_16", 1):
        raise MetamersError(f"{where} is {found[0]} {found[1]} with {found[2]} channels; expected 16-bit WAV of one")
    return samples, rate
