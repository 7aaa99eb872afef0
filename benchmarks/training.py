"""What an epoch of adversarial training costs beside a hand-written loop with the same attack."""

import statistics
import tempfile
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from benchmarks.engine import seconds
from metamers.models.small_resnet import SmallResNet
from metamers.models.staged import StagedModel
from metamers.stimuli.pictograms import NAMES, pictograms
from metamers.training.config import TrainingConfig
from metamers.training.labeled import labeled_stimuli
from metamers.training.processes import OneProcess
from metamers.training.trainer import Task, Watch, fit, weights_to_train

IMAGES, BATCH, REPEATS = 1024, 64, 5
EPS, STEPS, STEP_SIZE = 1.0, 3, 0.5
LEARNING_RATE, MOMENTUM, WEIGHT_DECAY = 0.05, 0.9, 5e-4


def training_costs() -> dict[str, float]:
    """Images a second of the trainer and of the hand-written loop (medians), and the median of their ratios, measured
    in turns; checkpoints included."""
    config = TrainingConfig.model_validate(
        {
            **{"model": "builtin:small-resnet", "stimuli": "given", "epochs": 1, "batch_size": BATCH},
            "objective": {"kind": "adversarial", "norm": "l2", "eps": EPS, "steps": STEPS, "step_size": STEP_SIZE},
            "optimizer": {"learning_rate": LEARNING_RATE, "momentum": MOMENTUM, "weight_decay": WEIGHT_DECAY},
        }
    )
    model = StagedModel(SmallResNet(), input_size=64)
    task = Task(model, labeled_stimuli(pictograms("train", IMAGES), model, NAMES), None, weights_to_train(model, ()))
    pixels, labels = next(task.stimuli.batches([torch.arange(IMAGES)]))

    def ours() -> object:
        with tempfile.TemporaryDirectory() as folder:
            return fit(task, config, Path(folder), OneProcess(model.device), None, Watch())

    def theirs() -> object:
        return by_hand(SmallResNet(), pixels, labels)

    ours(), theirs()  # warm up
    pairs = [(seconds(ours), seconds(theirs)) for _ in range(REPEATS)]
    own, hand = (IMAGES / statistics.median(times) for times in zip(*pairs, strict=True))
    return {"trainer": own, "by_hand": hand, "ratio": statistics.median(b / a for a, b in pairs)}


def by_hand(network: SmallResNet, pixels: Tensor, labels: Tensor) -> SmallResNet:
    """One epoch, written out."""
    optimizer = torch.optim.SGD(network.parameters(), LEARNING_RATE, MOMENTUM, weight_decay=WEIGHT_DECAY)
    for rows in torch.randperm(len(pixels)).split(BATCH):
        x, y = pixels[rows].float() / 255, labels[rows]
        network.eval().requires_grad_(False)
        noise = torch.rand_like(x) - 0.5
        adversarial = (x + _within(noise)).clamp(0, 1)
        for _ in range(STEPS):
            adversarial.requires_grad_()
            (slope,) = torch.autograd.grad(F.cross_entropy(network(adversarial), y, reduction="sum"), adversarial)
            with torch.no_grad():
                size = slope.flatten(1).norm(dim=1).clamp(min=1e-10).view(-1, 1, 1, 1)
                adversarial = (x + _within(adversarial + STEP_SIZE * slope / size - x)).clamp(0, 1)
        network.train().requires_grad_()
        loss = F.cross_entropy(network(adversarial), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return network


def _within(delta: Tensor) -> Tensor:
    size = delta.flatten(1).norm(dim=1).clamp(min=1e-10).view(-1, 1, 1, 1)
    bounded: Tensor = delta * (EPS / size).clamp(max=1.0)
    return bounded
