"""How alike two activations are: Pearson r, Spearman rho and SNR, for a batch of pairs at once.

All take floats [N, D] or [N, ...] (flattened) and give float64 [N] on the same device; NaN where a measure is not
defined (a constant vector has no correlation, an all-zero reference no SNR).
"""

import torch
from torch import Tensor

MEASURES = ("pearson_r", "spearman_rho", "snr_db")


def pearson_r(reference: Tensor, other: Tensor) -> Tensor:
    """Pearson's correlation of each row of `reference` with the same row of `other`.

    >>> pearson_r(torch.tensor([[1.0, 2.0, 3.0]]), torch.tensor([[2.0, 4.0, 6.0]])).round(decimals=6)
    tensor([1.], dtype=torch.float64)
    """
    return (standardize(wide(reference)) * standardize(wide(other))).sum(1)


def spearman_rho(reference: Tensor, other: Tensor) -> Tensor:
    """Spearman's rank correlation, ties given their average rank as `scipy.stats.spearmanr` does."""
    return pearson_r(average_ranks(reference), average_ranks(other))


def snr_db(reference: Tensor, other: Tensor) -> Tensor:
    """10 log10(||a|| / ||a - b||) in dB, the convention of Feather et al. (2023): half of the usual 20 log10.

    Equal activations give infinity.
    """
    a, b = wide(reference), wide(other)
    signal = torch.linalg.vector_norm(a, dim=1)
    error = torch.linalg.vector_norm(a - b, dim=1)
    return 10 * torch.log10(torch.where(signal > 0, signal, torch.nan) / error)


def average_ranks(x: Tensor) -> Tensor:
    """Ranks 1..D along each row of [N, D], ties given their average; NaN for a row that holds one."""
    flat = x.flatten(1).contiguous()
    ordered = flat.sort(dim=1).values
    below = torch.searchsorted(ordered, flat)
    up_to = torch.searchsorted(ordered, flat, right=True)
    ranks = (below + up_to + 1) / 2
    return torch.where(ordered[:, -1:].isnan(), torch.nan, ranks)  # a NaN is sorted last


def standardize(x: Tensor) -> Tensor:
    """Rows of [N, D] without their mean and with unit norm; NaN where a row is constant."""
    centered = x - x.mean(1, keepdim=True)
    norm = torch.linalg.vector_norm(centered, dim=1, keepdim=True)
    # Rounding leaves a trace of a constant row; it is no variance.
    smallest = torch.finfo(x.dtype).eps * torch.linalg.vector_norm(x, dim=1, keepdim=True)
    return centered / torch.where(norm > smallest, norm, torch.nan)


def wide(x: Tensor) -> Tensor:
    """[N, ...] as [N, D] in float64, or float32 on devices without it (mps)."""
    return x.flatten(1).to(torch.float32 if x.device.type == "mps" else torch.float64)
