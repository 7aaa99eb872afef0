"""Sounds that tell headphones from loudspeakers: three tones, of which the quietest is to be named. One of the others
is in antiphase in the two ears, so that it nearly cancels in the air and seems the quietest there.

Source: K. J. P. Woods, M. H. Siegel, J. Traer & J. H. McDermott, Attention, Perception & Psychophysics 79, 2064-2072
(2017).
"""

import io

import numpy as np
import soundfile
from numpy.typing import NDArray

RATE = 44_100
HZ, SECONDS, GAP_SECONDS, RAMP_SECONDS, QUIETER_DB, LEVEL = 200.0, 1.0, 0.5, 0.1, -6.0, 0.25
CHOICES = ("1", "2", "3")
"""Which tone is the quietest."""


def headphone_sound(rng: np.random.Generator) -> tuple[bytes, str]:
    """A WAV file, stereo, 16 bits, and which of its tones is the quietest, one of `CHOICES`."""
    quiet, antiphase, _ = rng.permutation(3)
    gap = np.zeros((round(GAP_SECONDS * RATE), 2))
    parts = [gap]
    for i in range(3):
        tone = _tone() * (10 ** (QUIETER_DB / 20) if i == quiet else 1)
        parts += [np.stack([tone, -tone if i == antiphase else tone], axis=1), gap]
    file = io.BytesIO()
    soundfile.write(file, np.concatenate(parts), RATE, format="WAV", subtype="PCM_16")
    return file.getvalue(), CHOICES[quiet]


def _tone() -> NDArray[np.float64]:
    t = np.arange(round(SECONDS * RATE)) / RATE
    ramp = np.minimum(1, np.minimum(t, SECONDS - t) / RAMP_SECONDS)
    return np.asarray(LEVEL * np.sin(np.pi / 2 * ramp) ** 2 * np.sin(2 * np.pi * HZ * t))
