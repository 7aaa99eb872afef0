"""Pictures of sounds, drawn where torch is at hand and looked at where it is not."""

from functools import lru_cache
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metamers.models import Cochleagram

Envelopes = NDArray[np.float32]
MOST_FRAMES_PER_SECOND = 100


def cochleagrams(sounds: Tensor, rate: int) -> list[Envelopes] | None:
    """The cochleagrams [filters, frames] of sounds [N, T], to be drawn; None for sounds that are too short."""
    frames = next(n for n in range(min(MOST_FRAMES_PER_SECOND, rate), 0, -1) if rate % n == 0)
    if sounds.shape[1] <= 10 * (rate // frames):
        return None
    with torch.no_grad():
        found = torch.cat([_front_end(rate, frames)(sound[None].cpu()) for sound in sounds])
    return list(found.numpy())


def draw_cochleagram(envelopes: Envelopes, most: float) -> bytes:
    """A PNG of envelopes [filters, frames], a pixel each, low frequencies below; `most` is the brightest."""
    from matplotlib import colormaps
    from PIL import Image

    shares = np.clip(envelopes[::-1] / max(most, 1e-9), 0, 1)
    pixels = np.asarray(colormaps["magma"](shares, bytes=True))[..., :3]
    buffer = BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(buffer, format="PNG")
    return buffer.getvalue()


@lru_cache(maxsize=2)
def _front_end(rate: int, frames: int) -> Cochleagram:
    return Cochleagram(sample_rate=rate, n_filters=29, overlap=2, frame_rate=frames)
