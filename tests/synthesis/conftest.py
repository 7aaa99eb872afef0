"""Tiny networks and stimuli."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metamers.models import StagedModel
from metamers.stimuli import StimulusSet


class Net(nn.Module):
    """conv-`end`-conv-pool-linear; `end` says how its first stage, `block`, ends."""

    def __init__(self, end="module", channels=3):
        super().__init__()
        self.block = Block(end, channels)
        self.conv2 = nn.Conv2d(6, 8, 3, stride=2)
        self.fc = nn.Linear(8, 5)

    def forward(self, x):
        return self.fc(F.relu(self.conv2(self.block(x))).mean((2, 3)))


class Block(nn.Module):
    def __init__(self, end, channels):
        super().__init__()
        self.conv = nn.Conv2d(channels, 6, 3)
        self.end = end
        if end == "module":
            self.relu = nn.ReLU()

    def forward(self, x):
        x = self.conv(x)
        if self.end == "module":
            return self.relu(x)
        if self.end == "functional":
            return F.relu(x)
        if self.end == "in place":
            return F.relu_(x)
        return x


class WithHole(nn.Module):
    """Turns activations of stimuli whose first value is above a limit into `hole`."""

    def __init__(self, hole, limit=0.99):
        super().__init__()
        self.net = Net()
        self.hole, self.limit = hole, limit

    def forward(self, x):
        bad = (x[:, :1, :1, :1] > self.limit).to(x.dtype)
        y = self.net.block(x)
        return torch.where(bad > 0, y * 0 + self.hole, y)


@pytest.fixture
def make_model():
    def make(network=None, seed=0, size=12, **options):
        torch.manual_seed(seed)
        network = Net(**options) if network is None else network() if isinstance(network, type) else network
        return StagedModel(network, name="net", input_size=size, channels=options.get("channels", 3))

    return make


@pytest.fixture
def make_stimuli():
    def make(n, size=12, seed=0, channels=3, name="set"):
        rng = np.random.default_rng(seed)
        coarse = rng.integers(0, 256, (n, 4, 4, channels), dtype=np.uint8)
        pixels = coarse.repeat(-(-size // 4), 1).repeat(-(-size // 4), 2)[:, :size, :size]
        return StimulusSet.from_arrays(pixels, name=name, ids=[f"i{seed}-{k}" for k in range(n)])

    return make


@pytest.fixture
def with_hole():
    return WithHole
