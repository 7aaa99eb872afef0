"""Learning rate and momentum at a step, as plain functions: a resumed training needs no other state."""

import math
from typing import NamedTuple

from metamers.training.config import OneCycle, Optimizer, Schedule, Step


class Rates(NamedTuple):
    """What a step is taken with."""

    learning_rate: float
    momentum: float


def rates(schedule: Schedule, optimizer: Optimizer, step: int, steps_per_epoch: int, epochs: int) -> Rates:
    """At step `step` (from 0) of `steps_per_epoch` x `epochs`. "one_cycle" is that of PyTorch's `OneCycleLR`."""
    rate, momentum, total = optimizer.learning_rate, optimizer.momentum, steps_per_epoch * epochs
    if isinstance(schedule, OneCycle):
        return _one_cycle(schedule, rate, momentum, step, total)
    if isinstance(schedule, Step):
        return Rates(rate * schedule.factor ** (step // steps_per_epoch // schedule.every), momentum)
    if schedule.kind == "cosine":
        return Rates(rate * 0.5 * (1 + math.cos(math.pi * step / total)), momentum)
    return Rates(rate, momentum)


def _one_cycle(schedule: OneCycle, rate: float, momentum: float, step: int, total: int) -> Rates:
    least = momentum if schedule.momentum_at_peak is None else schedule.momentum_at_peak
    low, high, end = rate / 25, rate, rate / 25 / 1e4
    peak, last = schedule.rise * total - 1, total - 1
    if step <= peak:
        share = step / peak
        return Rates(_between(low, high, share), _between(momentum, least, share))
    share = (step - peak) / (last - peak) if last > peak else 1.0
    return Rates(_between(high, end, share), _between(least, momentum, share))


def _between(start: float, end: float, share: float) -> float:
    return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
