"""Projected gradient descent: the nearest thing to a stimulus that a network names otherwise."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from metamers.errors import MetamersError, nearest
from metamers.training.norms import NORMS, Generators, project, random_inside, steepest

Logits = Callable[[Tensor], Tensor]
"""Stimuli [N, ...] to logits [N, K], differentiable; each stimulus by itself."""

Bounds = tuple[float, float] | None
"""Between which stimuli lie; None where nothing bounds them."""

CHECK_EVERY = 8
"""Steps after which `strongest` lets go of the stimuli that are misnamed; each time, it waits for the device."""


@dataclass(frozen=True)
class Attack:
    """Untargeted projected gradient descent (Madry et al., 2018, arXiv:1706.06083) in a ball of radius `eps`.

    norm: `l2`, `linf` or `l1`. eps: in units of the stimulus, whose range is [0, 1] for images. step_size: the length
    of a step in that norm; None for eps / 4. random_start: begin at a random place in the ball. restarts: further
    attempts, each from a random place. The defaults are those of Feather et al. (2023); on networks that were not
    trained to resist they can leave some 10 points more than AutoAttack does, as their steps are of one length.

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

    @property
    def draws(self) -> bool:
        """Whether any attempt begins at a random place."""
        return self.random_start or self.restarts > 0


def climb(
    logits: Logits,
    x: Tensor,
    labels: Tensor,
    attack: Attack,
    *,
    bounds: Bounds = (0.0, 1.0),
    generator: Generators | None = None,
) -> Tensor:
    """The last iterate of one attempt: stimuli like `x` [N, ...], within `attack.eps` of it and within `bounds`.

    One forward and one backward pass a step; nothing waits for the device. `generator` (on the CPU) draws the start.
    """
    adversarial = _start(x, attack, bounds, generator, attack.random_start)
    for _ in range(attack.steps):
        _, gradient = _loss_and_gradient(logits, adversarial, labels)
        adversarial = _step(adversarial, x, gradient, attack, bounds)
    return adversarial


class Adversarial(NamedTuple):
    """What an attack made of N stimuli: the stimuli [N, ...], and whether each is misnamed, bool [N]."""

    x: Tensor
    misnamed: Tensor


def strongest(
    logits: Logits,
    x: Tensor,
    labels: Tensor,
    attack: Attack,
    *,
    bounds: Bounds = (0.0, 1.0),
    generator: Generators | None = None,
    progress: Callable[[float], None] = lambda share: None,
) -> Adversarial:
    """The strongest of all iterates of all attempts, starts included: the first that is misnamed; where none is, the
    one of the highest cross-entropy.

    Shapes as of `climb`. What is misnamed leaves the batch, so that the others go faster. `progress` is called with the
    share of the steps that is done.
    """
    best = _Best(x, labels)
    for attempt in range(attack.restarts + 1):
        adversarial = _start(x, attack, bounds, generator, attempt > 0 or attack.random_start)
        rows = (~best.misnamed).nonzero()[:, 0]
        adversarial = adversarial[rows]
        for step in range(attack.steps):
            if not len(rows):
                return Adversarial(best.x, best.misnamed)
            outputs, gradient = _loss_and_gradient(logits, adversarial, labels[rows])
            best.offer(rows, adversarial, outputs)
            adversarial = _step(adversarial, x[rows], gradient, attack, bounds)
            if (step + 1) % CHECK_EVERY == 0:
                left = ~best.misnamed[rows]
                rows, adversarial = rows[left], adversarial[left]
                progress((attempt + (step + 1) / attack.steps) / (attack.restarts + 1))
        if len(rows):
            with torch.no_grad():
                best.offer(rows, adversarial, logits(adversarial))
    return Adversarial(best.x, best.misnamed)


class _Best:
    """The strongest of the iterates offered."""

    def __init__(self, x: Tensor, labels: Tensor) -> None:
        self.x, self.labels = x.detach().clone(), labels
        self.loss = torch.full((len(x),), -torch.inf, device=x.device)
        self.misnamed = torch.zeros(len(x), dtype=torch.bool, device=x.device)

    def offer(self, rows: Tensor, x: Tensor, outputs: Tensor) -> None:
        """Iterates `x` [n, ...] of the stimuli `rows` [n], with their logits [n, K]."""
        loss = F.cross_entropy(outputs, self.labels[rows], reduction="none")
        misnamed = outputs.argmax(1) != self.labels[rows]
        better = (misnamed | (loss > self.loss[rows])) & ~self.misnamed[rows]
        self.x[rows] = torch.where(better.view(-1, *[1] * (x.ndim - 1)), x, self.x[rows])
        self.loss[rows] = torch.where(better, loss, self.loss[rows])
        self.misnamed[rows] |= misnamed


def _start(x: Tensor, attack: Attack, bounds: Bounds, generator: Generators | None, at_random: bool) -> Tensor:
    if not at_random:
        return x.detach()
    if generator is None:
        raise ValueError("a random start needs a generator")
    return clipped(x.detach() + random_inside(x, attack.norm, attack.eps, generator), bounds)


def _step(adversarial: Tensor, x: Tensor, gradient: Tensor, attack: Attack, bounds: Bounds) -> Tensor:
    if attack.norm == "l1" and bounds is not None:
        # Else the few values that a step changes are spent on those that cannot move. As in the code of Tramèr & Boneh.
        outward = ((adversarial <= bounds[0]) & (gradient < 0)) | ((adversarial >= bounds[1]) & (gradient > 0))
        gradient = gradient.masked_fill(outward, 0)
    moved = adversarial + attack.step_length * steepest(gradient, attack.norm)
    return clipped(x + project(moved - x, attack.norm, attack.eps), bounds)


def _loss_and_gradient(logits: Logits, x: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
    """The logits, detached, and the gradient of each stimulus's own cross-entropy."""
    leaf = x.detach().requires_grad_()
    with torch.enable_grad():
        outputs = logits(leaf)
        (gradient,) = torch.autograd.grad(F.cross_entropy(outputs, labels, reduction="sum"), leaf)
    return outputs.detach(), gradient


def clipped(x: Tensor, bounds: Bounds) -> Tensor:
    """Stimuli cut to what bounds them."""
    return x if bounds is None else x.clamp(*bounds)
