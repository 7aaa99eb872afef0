"""Tiny networks and stimuli."""

import numpy as np
import pytest
import torch
from torch import nn

from metamers.models import StagedModel
from metamers.stimuli import StimulusSet


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, stride=2)
        self.relu = nn.ReLU()
        self.fc = nn.Linear(4 * 3 * 3, 5)

    def forward(self, x):
        return self.fc(self.relu(self.conv(x)).flatten(1))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return StagedModel(Net(), name="net", input_size=8)


@pytest.fixture
def make_stimuli():
    def make(n, seed=0, name="set"):
        pixels = np.random.default_rng(seed).integers(0, 256, (n, 8, 8, 3), dtype=np.uint8)
        return StimulusSet.from_arrays(pixels, name=name, ids=[f"i{seed}-{k}" for k in range(n)])

    return make
