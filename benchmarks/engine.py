"""What a step costs beside a hand-written loop, stage by stage."""

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks.published import load_case
from metamers.matching import Representation
from metamers.synthesis import Recipe, recipe_named
from metamers.synthesis.engine import search
from metamers.synthesis.optimizers import make_optimizer

STAGES = ("net.conv1", "net.layer1", "net.layer2", "net.layer3", "output")
STEPS = 200
REPEATS = 5
SECONDS = 8.0
"""A stage is measured at least `REPEATS` times and for this long."""


def step_costs(batch_size: int = 16) -> list[dict[str, object]]:
    """For each stage of `cifar_resnet20`: milliseconds a step of the engine and of the hand-written loop (medians), and
    the median of their ratios, measured in turns."""
    model, images = load_case("cifar_resnet20", batch_size)
    references = images.read()
    starts = torch.rand(references.shape, generator=torch.Generator().manual_seed(0))
    recipe = recipe_named("fast").with_options(early_stop=False, steps=STEPS, relu_gradient="true")
    rows: list[dict[str, object]] = []
    for stage in STAGES:
        forward = truncated_forward(model.network, stage)

        def engine(stage: str = stage) -> object:
            return search(model, Representation((stage,)), references, starts, recipe)

        def by_hand(forward: Callable[[Tensor], Tensor] = forward) -> object:
            return hand_written(forward, references, starts, recipe)

        engine(), by_hand()  # warm up
        pairs: list[tuple[float, float]] = []
        while len(pairs) < REPEATS or sum(map(sum, pairs)) < SECONDS:
            pairs.append((seconds(engine), seconds(by_hand)))
        ours, theirs = (statistics.median(times) / STEPS * 1e3 for times in zip(*pairs, strict=True))
        ratio = statistics.median(a / b for a, b in pairs)
        rows.append({"stage": stage, "engine_ms": ours, "by_hand_ms": theirs, "ratio": ratio})
    return rows


def truncated_forward(network: nn.Module, stage: str) -> Callable[[Tensor], Tensor]:
    """The forward pass of `cifar_resnet20` up to a stage, written out."""
    norm, net = network.get_submodule("norm"), network.get_submodule("net")
    trunk = [net.get_submodule(name) for name in ("layer1", "layer2", "layer3")]
    depth = {"net.conv1": 0, "net.layer1": 1, "net.layer2": 2, "net.layer3": 3, "output": 3}[stage]

    def forward(x: Tensor) -> Tensor:
        x = net.get_submodule("conv1")(norm(x))
        if stage == "net.conv1":
            return x
        x = torch.relu(net.get_submodule("bn1")(x))
        for module in trunk[:depth]:
            x = module(x)
        if stage == "output":
            logits: Tensor = net.get_submodule("linear")(x.mean((2, 3)))
            return logits
        return x

    return forward


def hand_written(forward: Callable[[Tensor], Tensor], references: Tensor, starts: Tensor, recipe: Recipe) -> Tensor:
    """The bare loop: forward, loss, backward, optimizer step, clip."""
    with torch.no_grad():
        target = forward(references).flatten(1)
    size = torch.linalg.vector_norm(target, dim=1)
    optimizer = make_optimizer(recipe.optimizer)
    x = starts.clone()
    for _ in range(recipe.steps):
        x.requires_grad_()
        loss = torch.linalg.vector_norm(forward(x).flatten(1) - target, dim=1) / size
        (gradient,) = torch.autograd.grad(loss.sum(), x)
        with torch.no_grad():
            x = optimizer.step(x.detach(), loss.detach(), gradient, recipe.step_size).clamp_(0, 1)
    return x


def seconds(work: Callable[[], object]) -> float:
    """Wall-clock seconds of one call."""
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun
