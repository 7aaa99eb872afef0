"""Standard training: the stimuli as they are."""

import torch
from torch import Tensor

from metamers.training.attacks import Logits


def unchanged(logits: Logits, x: Tensor, labels: Tensor, generator: torch.Generator) -> Tensor:
    """The stimuli [N, ...] themselves."""
    return x
