"""How sure a proportion is: for the analyses, and for experiments, which may not import them."""

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtri


def wilson_interval(
    successes: ArrayLike, n: ArrayLike, confidence: float = 0.95
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The score interval of a binomial proportion: lower and upper ends in [0, 1], NaN where n is 0.

    Source: E. B. Wilson, Journal of the American Statistical Association 22, 209-212 (1927), without continuity
    correction.

    >>> low, high = wilson_interval([0, 8], [10, 10])
    >>> low.round(4).tolist(), high.round(4).tolist()
    ([0.0, 0.4902], [0.2775, 0.9433])
    """
    total = np.asarray(n, dtype=np.float64)
    total = np.where(total > 0, total, np.nan)
    p = np.asarray(successes, dtype=np.float64) / total
    z = float(ndtri((1 + confidence) / 2))
    center = p + z**2 / (2 * total)
    half = z * np.sqrt(p * (1 - p) / total + z**2 / (4 * total**2))
    scale = 1 + z**2 / total
    return np.clip((center - half) / scale, 0, 1), np.clip((center + half) / scale, 0, 1)
