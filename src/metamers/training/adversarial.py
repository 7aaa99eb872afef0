"""Adversarial training (Madry et al., 2018, arXiv:1706.06083): the stimuli that the network knows least, nearby."""

from functools import partial

import torch
from torch import Tensor

from metamers.training.attacks import Attack, Bounds, Logits, climb


def adversarial(attack: Attack, bounds: Bounds) -> partial[Tensor]:
    """For stimuli [N, ...] within `bounds`, what one attempt of `attack` ends at."""
    return partial(_attacked, attack, bounds)


def _attacked(
    attack: Attack, bounds: Bounds, logits: Logits, x: Tensor, labels: Tensor, generator: torch.Generator
) -> Tensor:
    return climb(logits, x, labels, attack, bounds=bounds, generator=generator)
