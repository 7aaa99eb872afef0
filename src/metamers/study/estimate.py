"""What a study will cost, before anything is spent."""

import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch

from metamers.models import StagedModel
from metamers.store import Store
from metamers.store.identity import is_part
from metamers.study.plan import ModelTask, Settings, describe_study

Part = tuple[str, str, str]
"""The cells of a model, stage and recipe."""

TRIALS = 5
RECORD_BYTES = 3_000
"""Of a cell in its batch's record, about."""


@dataclass(frozen=True)
class Estimate:
    """Of one model: its cells, and how many of them are there already; of the others, seconds at most (every search to
    its last step), without the null distributions, and bytes of files on the disk; bytes of memory for a batch's
    search."""

    model: str
    cells: int
    done: int
    seconds: float
    memory_bytes: int
    disk_bytes: int


def estimate(task: ModelTask, settings: Settings, there: Mapping[Part, int] | None = None) -> Estimate:
    """What one model's cells cost, measured on one stimulus at its deepest stage and scaled by the stages' costs; but
    for those that are `there` already."""
    model, done = task.model, there or {}
    shares = {stage.name: stage.cost_share for stage in model.describe()}
    costs = {r.name: max(shares[name] for name in r.stages) for r in task.representations}
    deepest = max(task.representations, key=lambda r: costs[r.name])
    x = task.stimuli.read([0]).to(model.device)
    seconds, kept = _step(model, x, deepest.stages)
    n = len(task.stimuli) * len(settings.seeds)
    left = {
        (r.name, recipe): n - done.get((model.name, r.name, recipe.name), 0)
        for r in task.representations
        for recipe in settings.recipes
    }
    steps = sum(cells * recipe.steps * costs[stage] for (stage, recipe), cells in left.items())
    weights = sum(p.numel() * p.element_size() for p in model.network.parameters())
    sound = task.stimuli.kind == "sound"
    return Estimate(
        model.name,
        n * len(left),
        n * len(left) - sum(left.values()),
        steps * seconds / max(*costs.values(), 1e-9),
        weights + settings.batch_size * kept,
        sum(left.values()) * (RECORD_BYTES + x.numel() * (6 if sound else 1)),
    )


def cells_there(store: Store, tasks: Sequence[ModelTask], settings: Settings) -> Counter[Part]:
    """How many cells of a study a run holds. Raises MetamersError where it is in another format."""
    found = Counter[Part]()
    if (store.folder / "study.yaml").is_file():
        store.study()
        belongs = is_part(describe_study(tasks, settings, ""))
        for batch in store.all_batches():
            if belongs(batch):
                found[batch["model"], batch["stage"], batch["recipe"]] += len(batch["cells"])
    return found


def _step(model: StagedModel, x: torch.Tensor, stages: tuple[str, ...]) -> tuple[float, int]:
    """Seconds of a step for one stimulus, the least of some as other work slows it, and bytes that its forward pass
    keeps for the backward one."""
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
    return min(times[1:]), sum(kept.values())
