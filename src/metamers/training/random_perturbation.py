"""Training on random perturbations, the control of adversarial training (Feather et al., 2023, Methods)."""

from functools import partial

import torch
from torch import Tensor

from metamers.training.attacks import Logits
from metamers.training.norms import random_of_size


def randomly_perturbed(norm: str, eps: float) -> partial[Tensor]:
    """For stimuli [N, ...] in [0, 1], those with a perturbation of size `eps` added, cut to [0, 1]."""
    return partial(_perturbed, norm, eps)


def _perturbed(norm: str, eps: float, logits: Logits, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    return (x + random_of_size(x, norm, eps, generator)).clamp(0, 1)
