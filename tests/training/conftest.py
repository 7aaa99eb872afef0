"""Tiny trainings."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metamers.models import StagedModel
from metamers.stimuli import StimulusSet
from metamers.training import TrainingConfig


def two_halves(n: int, seed: int = 0) -> StimulusSet:
    """Images [8, 8, 3] whose label is the brighter half."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    pixels = random.integers(0, 120, (n, 8, 8, 3), dtype=np.uint8)
    pixels[labels == 1, :4] += 100
    pixels[labels == 0, 4:] += 100
    names = [("lower", "upper")[i] for i in labels]
    return StimulusSet.from_arrays(pixels, names, classes=("lower", "upper"), name="halves")


class Small(nn.Sequential):
    """With batch normalization and dropout, which a resumed training must go on with."""

    def __init__(self, outputs: int = 2) -> None:
        torch.manual_seed(0)
        super().__init__(
            *(nn.Conv2d(3, 4, 3, 2), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten()),
            *(nn.Dropout(0.2), nn.Linear(36, outputs)),
        )


@pytest.fixture
def halves() -> StimulusSet:
    return two_halves(96)


@pytest.fixture
def small() -> StagedModel:
    return StagedModel(Small(), name="small", input_size=8)


def config(**changes: Any) -> TrainingConfig:
    """Of a training that is given its model and stimuli."""
    given: dict[str, Any] = {"model": "small", "stimuli": "halves", "epochs": 3, "batch_size": 16}
    given["optimizer"] = {"learning_rate": 0.1}
    return TrainingConfig.model_validate({**given, **changes})
