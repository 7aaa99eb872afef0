"""Standard training: the cross-entropy of the labels, nothing else."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F


@dataclass(frozen=True)
class TrainingRecipe:
    """SGD with Nesterov momentum and a one-cycle learning rate (Smith & Topin, 2019, arXiv:1708.07120).

    As the learning rate rises to `learning_rate`, the momentum falls to `momentum_at_peak`, and both go back.
    """

    epochs: int
    batch_size: int = 128
    learning_rate: float = 0.1
    momentum: float = 0.95
    momentum_at_peak: float = 0.85
    weight_decay: float = 5e-4
    label_smoothing: float = 0.0
    seed: int = 0


def train_standard(
    network: nn.Module,
    images: Tensor,
    labels: Tensor,
    recipe: TrainingRecipe,
    report: Callable[[int, float], None] = lambda epoch, loss: None,
) -> None:
    """Train `network` in place on uint8 `images` [N, C, H, W], given to it as floats in [0, 1], and int64 `labels` [N].

    `report` is called after each epoch with its number and mean loss. The same seed, and the same initial weights, give
    the same weights on one CPU process of the same number of threads. Raises ValueError when the loss is not finite.
    """
    order = torch.Generator().manual_seed(recipe.seed)
    torch.manual_seed(recipe.seed)  # dropout
    optimizer = torch.optim.SGD(
        network.parameters(), recipe.learning_rate, recipe.momentum, weight_decay=recipe.weight_decay, nesterov=True
    )
    steps = len(images) // recipe.batch_size
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer,
        recipe.learning_rate,
        epochs=recipe.epochs,
        steps_per_epoch=steps,
        base_momentum=recipe.momentum_at_peak,
        max_momentum=recipe.momentum,
    )
    network.train()
    for epoch in range(recipe.epochs):
        total = torch.zeros(())
        for batch in torch.randperm(len(images), generator=order)[: steps * recipe.batch_size].view(steps, -1):
            logits = network(images[batch].float() / 255)
            loss = F.cross_entropy(logits, labels[batch], label_smoothing=recipe.label_smoothing)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            total += loss.detach()
        mean = float(total) / steps
        if not math.isfinite(mean):
            raise ValueError(f"the loss of epoch {epoch + 1} is not finite; lower the learning rate")
        report(epoch + 1, mean)
    network.eval()


@torch.no_grad()
def accuracy(network: nn.Module, images: Tensor, labels: Tensor, batch_size: int = 256) -> float:
    """The share of uint8 `images` [N, C, H, W] whose highest logit is that of their label."""
    network.eval()
    batches = zip(images.split(batch_size), labels.split(batch_size), strict=True)
    correct = [network(x.float() / 255).argmax(1) == y for x, y in batches]
    return float(torch.cat(correct).float().mean())
