"""Half-cosine filters on the scale of equivalent rectangular bandwidths (ERB)."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Q, LEAST = 9.265, 24.7
"""Of the ERB in Hz, `LEAST` + f / `Q` (Glasberg & Moore, 1990, Hear. Res. 47)."""


def erb_number(hertz: ArrayLike) -> NDArray[np.float64]:
    """The place of frequencies on the ERB scale."""
    numbers: NDArray[np.float64] = Q * np.log1p(np.asarray(hertz, dtype=np.float64) / (LEAST * Q))
    return numbers


def erb_hertz(number: ArrayLike) -> NDArray[np.float64]:
    """The frequencies in Hz at places on the ERB scale."""
    hertz: NDArray[np.float64] = LEAST * Q * np.expm1(np.asarray(number, dtype=np.float64) / Q)
    return hertz


@dataclass(frozen=True)
class FilterBank:
    """Filters by ascending center frequency.

    centers: of the band-pass filters, in Hz. gains: [filters, bins], whose squares sum to 1 at each frequency; the
    low-pass filters come first, the high-pass filters last.
    """

    centers: NDArray[np.float64]
    gains: NDArray[np.float64]


def half_cosine_filters(hertz: ArrayLike, n: int, overlap: int, low: float, high: float) -> FilterBank:
    """The gains at frequencies `hertz` [bins] of `overlap` (n + 1) - 1 band-pass filters between `low` and `high` Hz,
    evenly apart on the ERB scale, with `overlap` low-pass filters below and as many high-pass filters above them.

    A filter is the positive half of a cosine over ERB number, `2 overlap` spacings wide; the k-th low-pass filter is
    what the k-th band-pass filter leaves below its center, and the high-pass filters likewise from the top.

    Source: McDermott & Simoncelli (2011, Neuron 71); Feather et al. (2023), whose n is 50 and overlap 4.
    """
    place = erb_number(hertz)
    count = overlap * (n + 1) - 1
    lowest_place, highest_place = erb_number([low, high])
    spacing = (highest_place - lowest_place) / (count + 1)
    inner = lowest_place + spacing * np.arange(1, count + 1)
    distance = (place[None] - inner[:, None]) / (2 * overlap * spacing)
    bands = np.where(np.abs(distance) < 0.5, np.cos(np.pi * distance), 0.0)
    # The band-pass filters of the ends leave these, so that all squares sum to one.
    lowest = [np.where(place < inner[k], np.sqrt(1 - bands[k] ** 2), 0.0) for k in range(overlap)]
    highest = [np.where(place > inner[-1 - k], np.sqrt(1 - bands[-1 - k] ** 2), 0.0) for k in range(overlap)]
    gains = np.concatenate([lowest, bands, highest[::-1]]) / np.sqrt(overlap)
    return FilterBank(erb_hertz(inner), gains)
