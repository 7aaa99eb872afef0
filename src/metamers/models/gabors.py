"""Gabor filters, and a population of them as was measured in the primary visual cortex of macaques."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Counts of cells between the edges. Orientation, degrees: De Valois, Yund & Hepler (1982). Spatial frequency,
# cycles/degree: De Valois, Albrecht & Thorell (1982). Envelopes: Ringach (2002), where rows are the standard deviation
# along the modulation and columns that along the bars, both in cycles.
ORIENTATION_EDGES = np.array([-22.5, 22.5, 67.5, 112.5, 157.5])
ORIENTATION_COUNTS = np.array([66, 49, 77, 54])
FREQUENCY_EDGES = np.array([0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6])
FREQUENCY_COUNTS = np.array([4, 4, 8, 25, 32, 26, 28])
ENVELOPE_EDGES = np.logspace(-1, 0.2, 6)
ENVELOPE_COUNTS = np.array([[2, 0, 1, 0, 0], [8, 9, 4, 1, 0], [1, 2, 19, 17, 3], [0, 0, 1, 7, 4], [0, 0, 0, 0, 0]])
CORRELATION = 0.75
"""Between the ranks of spatial frequency and of the envelope's width along the modulation."""


class GaborPopulation(NamedTuple):
    """Parameters of n Gabor filters, each [n].

    `frequency` in cycles/degree; `orientation` (of the modulation) and `phase` in degrees; `along` and `across`: the
    envelope's standard deviations along the modulation and along the bars, in cycles.
    """

    frequency: Floats
    orientation: Floats
    phase: Floats
    along: Floats
    across: Floats


def draw_population(n: int, seed: int = 0) -> GaborPopulation:
    """Parameters of n cells from the published distributions, spatial frequencies up to 6 cycles/degree.

    Source: Dapello et al. (2020, NeurIPS), VOneNet; distributions, and the order in which they are drawn, as in the
    authors' code (dicarlolab/vonenet, params.py), whose seed 0 gives the same cells.
    """
    from scipy.stats import norm

    random = np.random.RandomState(seed)
    phase = random.random_sample(n) * 360
    orientation = _inverse(random.random_sample(n), ORIENTATION_COUNTS, ORIENTATION_EDGES) % 180
    ranks = norm.cdf(random.multivariate_normal([0, 0], [[1, CORRELATION], [CORRELATION, 1]], n))
    along = 10 ** _inverse(ranks[:, 0], ENVELOPE_COUNTS.sum(1), np.log10(ENVELOPE_EDGES))
    rows = np.searchsorted(ENVELOPE_EDGES, along).clip(1) - 1
    across = [
        10 ** _inverse(rank, ENVELOPE_COUNTS[row], np.log10(ENVELOPE_EDGES))
        for rank, row in zip(random.random_sample(n), rows, strict=True)
    ]
    frequency = 2 ** _inverse(ranks[:, 1], FREQUENCY_COUNTS, np.log2(FREQUENCY_EDGES))
    return GaborPopulation(frequency, orientation, phase, along, np.array(across))


def gabor(size: int, frequency: float, orientation: float, phase: float, along: float, across: float) -> Floats:
    """A cosine grating under a Gaussian of peak 1, [size, size], `size` odd.

    `frequency` in cycles/pixel; `orientation` (radians) turns the modulation from the vertical toward the horizontal;
    `phase` (radians) at the center; `along` and `across`: standard deviations, in pixels, along the modulation and the
    bars.
    """
    rows, columns = np.mgrid[:size, :size] - size // 2
    u = rows * np.cos(orientation) + columns * np.sin(orientation)
    v = columns * np.cos(orientation) - rows * np.sin(orientation)
    envelope = np.exp(-((u / along) ** 2 + (v / across) ** 2) / 2)
    filtered: Floats = envelope * np.cos(2 * np.pi * frequency * u + phase)
    return filtered


def _inverse(ranks: Floats, counts: NDArray[np.int64], edges: Floats) -> Floats:
    """The values of a histogram's distribution at `ranks` in [0, 1], evenly spread between its edges."""
    return np.asarray(np.interp(ranks, np.append(0, counts.cumsum() / counts.sum()), edges))
