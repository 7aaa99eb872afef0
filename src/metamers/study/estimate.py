"""What a study will cost, before anything is spent."""

import time
from dataclasses import dataclass
from statistics import median

import torch

from metamers.models import StagedModel
from metamers.study.plan import ModelTask, Settings

TRIALS = 3
RECORD_BYTES = 3_000
"""Of a cell in its batch's record, about."""


@dataclass(frozen=True)
class Estimate:
    """Of one model: its cells; seconds at most (every search to its last step), without the null distributions;
    bytes of memory for a batch's search, of files on the disk."""

    model: str
    cells: int
    seconds: float
    memory_bytes: int
    disk_bytes: int


def estimate(task: ModelTask, settings: Settings) -> Estimate:
    """What one model's cells cost, measured on one stimulus at its deepest stage and scaled by the stages' costs."""
    model = task.model
    shares = {stage.name: stage.cost_share for stage in model.describe()}
    costs = [max(shares[name] for name in representation.stages) for representation in task.representations]
    deepest = max(task.representations, key=lambda r: max(shares[name] for name in r.stages))
    x = task.stimuli.read([0]).to(model.device)
    seconds, kept = _step(model, x, deepest.stages)
    steps = sum(recipe.steps for recipe in settings.recipes)
    n = len(task.stimuli) * len(settings.seeds)
    weights = sum(p.numel() * p.element_size() for p in model.network.parameters())
    sound = task.stimuli.kind == "sound"
    return Estimate(
        model.name,
        n * len(task.representations) * len(settings.recipes),
        n * steps * seconds * sum(costs) / max(max(costs), 1e-9),
        weights + settings.batch_size * kept,
        n * len(task.representations) * len(settings.recipes) * (RECORD_BYTES + x.numel() * (6 if sound else 1)),
    )


def _step(model: StagedModel, x: torch.Tensor, stages: tuple[str, ...]) -> tuple[float, int]:
    """Seconds of a step for one stimulus, and bytes that its forward pass keeps for the backward one."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.network.parameters()}
    kept: dict[int, int] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        storage = tensor.untyped_storage()  # which several operations may keep
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    times = []
    for _ in range(1 + TRIALS):
        kept.clear()
        begun = time.perf_counter()
        given = x.clone().requires_grad_()
        with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
            activations = model.activations(given, stages)
        loss = torch.stack([value.square().sum() for value in activations.values()]).sum()
        torch.autograd.grad(loss, given)
        if x.is_cuda:
            torch.cuda.synchronize(x.device)
        times.append(time.perf_counter() - begun)
    return median(times[1:]), sum(kept.values())
