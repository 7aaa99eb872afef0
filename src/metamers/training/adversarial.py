"""Adversarial training (Madry et al., 2018, arXiv:1706.06083): the stimuli that the network knows least, nearby."""

from functools import partial

import torch
from torch import Tensor

from metamers.training.attacks import Attack, Logits, climb


def adversarial(attack: Attack) -> partial[Tensor]:
    """For stimuli [N, ...] in [0, 1], what one attempt of `attack` ends at."""
    return partial(_attacked, attack)


def _attacked(attack: Attack, logits: Logits, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    return climb(logits, x, labels, attack, generator=generator)
