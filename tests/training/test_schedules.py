"""Learning rate and momentum at each step, against PyTorch's own schedules."""

import pytest
import torch

from metamers.training.config import Constant, Cosine, OneCycle, Optimizer, Step
from metamers.training.schedules import rates

OPTIMIZER = Optimizer(learning_rate=0.2, momentum=0.9)
STEPS, EPOCHS = 7, 5


def ours(schedule):
    return [rates(schedule, OPTIMIZER, step, STEPS, EPOCHS) for step in range(STEPS * EPOCHS)]


def theirs(make, every=1):
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.2, momentum=0.9)
    schedule = make(optimizer)
    found = []
    for step in range(STEPS * EPOCHS):
        found.append((optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["momentum"]))
        optimizer.step()
        if (step + 1) % every == 0:
            schedule.step()
    return found


def test_one_cycle():
    expected = theirs(
        lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(
            optimizer, 0.2, epochs=EPOCHS, steps_per_epoch=STEPS, base_momentum=0.8, max_momentum=0.9
        )
    )
    assert ours(OneCycle(kind="one_cycle", momentum_at_peak=0.8)) == expected


def test_one_cycle_may_keep_its_momentum():
    assert {now.momentum for now in ours(OneCycle(kind="one_cycle"))} == {0.9}


def test_steps_of_epochs():
    expected = theirs(lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 2, 0.1), every=STEPS)
    for found, wanted in zip(ours(Step(kind="step", every=2)), expected, strict=True):
        assert found == pytest.approx(wanted)


def test_cosine():
    expected = theirs(lambda optimizer: torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, STEPS * EPOCHS))
    for found, wanted in zip(ours(Cosine(kind="cosine")), expected, strict=True):
        assert found == pytest.approx(wanted)


def test_constant():
    assert set(ours(Constant(kind="constant"))) == {(0.2, 0.9)}
