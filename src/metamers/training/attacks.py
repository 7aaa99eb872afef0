"""Projected gradient descent: the nearest thing to a stimulus that a network names otherwise."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from metamers.errors import MetamersError, nearest
from metamers.training.norms import NORMS, project, random_inside, steepest

Logits = Callable[[Tensor], Tensor]
"""Stimuli [N, ...] to logits [N, K], differentiable; each stimulus by itself."""


@dataclass(frozen=True)
class Attack:
    """Untargeted projected gradient descent (Madry et al., 2018, arXiv:1706.06083) in a ball of radius `eps`.

    norm: `l2`, `linf` or `l1`. eps: in units of the stimulus, whose range is [0, 1] for images. step_size: the length
    of a step in that norm; None for eps / 4. random_start: begin at a random place in the ball. restarts: further
    attempts, each from a random place. The defaults are those of Feather et al. (2023).

    Raises MetamersError for an unknown norm, and for values out of range.
    """

    norm: str = "l2"
    eps: float = 1.0
    steps: int = 64
    step_size: float | None = None
    random_start: bool = False
    restarts: int = 0

    def __post_init__(self) -> None:
        if self.norm not in NORMS:
            raise MetamersError(f"no norm {self.norm!r}{nearest(self.norm, NORMS)}; choose {', '.join(NORMS)}")
        if not 0 <= self.eps < float("inf"):
            raise MetamersError(f"eps {self.eps}: give a finite number of at least 0")
        if self.step_size is not None and not 0 < self.step_size < float("inf"):
            raise MetamersError(f"step_size {self.step_size}: give a finite number above 0")
        if self.steps < 1 or self.restarts < 0:
            raise MetamersError(f"steps {self.steps}, restarts {self.restarts}: give at least 1 step and 0 restarts")

    @property
    def step_length(self) -> float:
        """The length of a step."""
        return self.eps / 4 if self.step_size is None else self.step_size


def climb(
    logits: Logits,
    x: Tensor,
    labels: Tensor,
    attack: Attack,
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    generator: torch.Generator | None = None,
    random_start: bool | None = None,
) -> Tensor:
    """The last iterate of one attempt: stimuli like `x` [N, ...], within `attack.eps` of it and within `bounds`.

    One forward and one backward pass a step; nothing waits for the device. `generator` (on the CPU) draws the start.
    """
    adversarial = _start(x, attack, bounds, generator, attack.random_start if random_start is None else random_start)
    for _ in range(attack.steps):
        _, gradient = _loss_and_gradient(logits, adversarial, labels)
        adversarial = _step(adversarial, x, gradient, attack, bounds)
    return adversarial


def strongest(
    logits: Logits,
    x: Tensor,
    labels: Tensor,
    attack: Attack,
    *,
    bounds: tuple[float, float] | None = (0.0, 1.0),
    generator: torch.Generator | None = None,
) -> Tensor:
    """The strongest of all iterates of all attempts, `x` included: one that is misnamed where there is one, and among
    those the one of the highest cross-entropy. Shapes as of `climb`."""
    best = _Best(x, labels)
    for attempt in range(attack.restarts + 1):
        adversarial = _start(x, attack, bounds, generator, attempt > 0 or attack.random_start)
        for _ in range(attack.steps):
            outputs, gradient = _loss_and_gradient(logits, adversarial, labels)
            best.offer(adversarial, outputs)
            adversarial = _step(adversarial, x, gradient, attack, bounds)
        with torch.no_grad():
            best.offer(adversarial, logits(adversarial))
    return best.x


class _Best:
    """The strongest of the iterates offered."""

    def __init__(self, x: Tensor, labels: Tensor) -> None:
        self.x, self.labels = x.detach(), labels
        self.loss = torch.full((len(x),), -torch.inf, device=x.device)
        self.wrong = torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def offer(self, x: Tensor, outputs: Tensor) -> None:
        loss = F.cross_entropy(outputs, self.labels, reduction="none")
        wrong = outputs.argmax(1) != self.labels
        better = (wrong & ~self.wrong) | ((wrong == self.wrong) & (loss > self.loss))
        self.x = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x.detach(), self.x)
        self.loss, self.wrong = torch.where(better, loss, self.loss), torch.where(better, wrong, self.wrong)


def _start(
    x: Tensor, attack: Attack, bounds: tuple[float, float] | None, generator: torch.Generator | None, at_random: bool
) -> Tensor:
    if not at_random:
        return x.detach()
    if generator is None:
        raise ValueError("a random start needs a generator")
    return _clipped(x.detach() + random_inside(x, attack.norm, attack.eps, generator), bounds)


def _step(
    adversarial: Tensor, x: Tensor, gradient: Tensor, attack: Attack, bounds: tuple[float, float] | None
) -> Tensor:
    moved = adversarial + attack.step_length * steepest(gradient, attack.norm)
    return _clipped(x + project(moved - x, attack.norm, attack.eps), bounds)


def _loss_and_gradient(logits: Logits, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, detached, and the gradient of each stimulus's own cross-entropy."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        outputs = logits(leaf)
        (gradient,) = torch.autograd.grad(F.cross_entropy(outputs, labels, reduction="sum"), leaf)
    return outputs.detach(), gradient


def _clipped(x: Tensor, bounds: tuple[float, float] | None) -> Tensor:
    return x if bounds is None else x.clamp(*bounds)
