"""The accuracy of models under attack: its interval, and its place in tables."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from metamers.intervals import wilson_interval


def attack_name(norm: str, eps: float) -> str:
    """An attack in a table, its eps in 255ths where it is a whole number of them in the maximum norm.

    >>> attack_name("linf", 4 / 255), attack_name("l2", 0.5)
    ('linf 4/255', 'l2 0.5')
    """
    return f"{norm} {eps_text(norm, eps)}"


def eps_text(norm: str, eps: float) -> str:
    """The eps of `attack_name`."""
    levels = round(eps * 255)
    return f"{levels}/255" if norm == "linf" and levels and abs(eps * 255 - levels) < 1e-6 else f"{eps:.12g}"


def robustness_table(
    model: str, norm: str, eps: Sequence[float], accuracy: ArrayLike, n_images: int, n: int, confidence: float = 0.95
) -> pd.DataFrame:
    """One row for each eps: `model, attack, norm, eps, robustness, ci_low, ci_high, n`.

    `accuracy` [draws, eps] is that on each draw of `n_images` stimuli, `n` how many different stimuli were drawn.
    `robustness` is the mean over draws. The interval is Student's t over draws, clipped to [0, 1]: of the accuracy on
    the set that is drawn from. For a single draw it is Wilson's over its stimuli: of the accuracy on more of their
    kind.
    """
    from scipy.stats import t

    values = np.atleast_2d(np.asarray(accuracy, dtype=np.float64))
    mean, draws = values.mean(axis=0), len(values)
    if draws == 1:
        low, high = wilson_interval(np.rint(mean * n_images), np.full(len(mean), n_images), confidence)
    else:
        half = t.ppf((1 + confidence) / 2, draws - 1) * values.std(axis=0, ddof=1) / np.sqrt(draws)
        low, high = np.clip(mean - half, 0, 1), np.clip(mean + half, 0, 1)
    columns = {"model": model, "attack": [attack_name(norm, e) for e in eps], "norm": norm, "eps": list(eps)}
    return pd.DataFrame({**columns, "robustness": mean, "ci_low": low, "ci_high": high, "n": n})
