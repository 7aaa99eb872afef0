"""Training on random perturbations, the control of adversarial training (Feather et al., 2023, Methods)."""

from functools import partial

import torch
from torch import Tensor

from metamers.training.attacks import Bounds, Logits, clipped
from metamers.training.norms import random_of_size


def randomly_perturbed(norm: str, eps: float, bounds: Bounds) -> partial[Tensor]:
    """For stimuli [N, ...], those with a perturbation of size `eps` added, cut to `bounds`."""
    return partial(_perturbed, norm, eps, bounds)


def _perturbed(
    norm: str, eps: float, bounds: Bounds, logits: Logits, x: Tensor, labels: Tensor, generator: torch.Generator
) -> Tensor:
    return clipped(x + random_of_size(x, norm, eps, generator), bounds)
