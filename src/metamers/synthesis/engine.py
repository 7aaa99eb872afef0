"""The one loop that finds metamers: a batch of stimuli, one forward and one backward pass a step."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from metamers.errors import MetamersError
from metamers.matching import Representation, is_out_of_memory, represent
from metamers.models import StagedModel
from metamers.models.allocator import keep_freed_memory
from metamers.stimuli.playing import as_played
from metamers.stimuli.written import VALUE_RANGES
from metamers.synthesis.optimizers import make_optimizer
from metamers.synthesis.penalties import PENALTY_FUNCTIONS
from metamers.synthesis.recipe import Recipe
from metamers.synthesis.relu import pass_gradient_through_relu
from metamers.synthesis.units import matched_units

CHECK_EVERY = 50
"""Steps between looks at the losses; between them nothing waits for the device."""
GAIN_DB = 0.1
"""A metamer is done when its SNR gained less than this over the last `GAIN_CHECKS` checks."""
GAIN_CHECKS = 2
PERTURBED_GAIN_DB = 0.5
"""Where the recipe perturbs, it adds noise to a stimulus whose SNR gained less than this over `GAIN_CHECKS` checks."""
GRACE = 200
"""Steps after its own perturbation in which a stimulus does not leave: it is climbing back."""
STALL_CHECKS = 8
"""A stimulus has stopped improving when its best SNR gained less than `GAIN_DB` over this many checks."""

IsMetamer = Callable[[Tensor, Tensor], Tensor]
"""Rows (int64 [n]) and their signals [n, ...], to whether each would be a metamer once written: bool [n]."""
Progress = Callable[[int, int, int], None]
"""Called at each check with the step, the limit, and the number of stimuli still sought."""


@dataclass
class Trace:
    """Relative error (`loss`) and SNR (dB, 10 log10) of one stimulus at each check, before rounding.

    They are those of the signal that would be given: where the recipe keeps the best iterate, of the best so far.
    """

    step: list[int] = field(default_factory=list)
    loss: list[float] = field(default_factory=list)
    snr_db: list[float] = field(default_factory=list)


@dataclass
class Search:
    """What the engine found for N stimuli: signals before rounding [N, ...] on the CPU, steps, traces, and problems
    (None, or why there is no result)."""

    raw: Tensor
    n_steps: list[int]
    traces: list[Trace]
    problems: list[str | None]
    relus_passed: int | None
    """Stages whose ReLU was given an identity gradient; None where the recipe does not ask for it."""


def search(
    model: StagedModel,
    representation: Representation,
    references: Tensor,
    starts: Tensor,
    recipe: Recipe,
    is_metamer: IsMetamer | None = None,
    progress: Progress = lambda step, limit, active: None,
    seeds: Sequence[int] = (),
    rate: int | None = None,
) -> Search:
    """Find signals whose representation is that of `references`, from `starts` (both float [N, ...] in the
    range of the model's kind).

    `is_metamer` judges signals as they would be written, for stopping early; without it only stalling stops a stimulus.
    `seeds` are those of the noise that the recipe adds on the way, and of the units that it draws, by default 0 for
    every stimulus. `rate` is that of sounds, which the model hears as they will be played. A batch that does not fit in
    memory is halved and begun again.
    """
    try:
        seeds = seeds or [0] * len(references)
        return _Batch(model, representation, references, starts, recipe, seeds, rate).run(is_metamer, progress)
    except RuntimeError as error:
        if len(references) == 1 or not is_out_of_memory(error):
            raise
    if model.device.type == "cuda":
        torch.cuda.empty_cache()
    half = len(references) // 2
    parts = []
    for offset, rows in ((0, slice(None, half)), (half, slice(half, None))):
        judge = None if is_metamer is None else (lambda r, x, offset=offset: is_metamer(r + offset, x))
        parts.append(
            search(model, representation, references[rows], starts[rows], recipe, judge, progress, seeds[rows], rate)
        )
    a, b = parts
    raw, relus = torch.cat([a.raw, b.raw]), b.relus_passed if a.relus_passed is None else a.relus_passed
    return Search(raw, a.n_steps + b.n_steps, a.traces + b.traces, a.problems + b.problems, relus)


class _Batch:
    def __init__(
        self,
        model: StagedModel,
        representation: Representation,
        references: Tensor,
        starts: Tensor,
        recipe: Recipe,
        seeds: Sequence[int],
        rate: int | None,
    ) -> None:
        self.model, self.representation, self.recipe, self.seeds = model, representation, recipe, seeds
        self.rate = rate
        self.bounds = VALUE_RANGES[model.kind]
        n = len(references)
        if model.device.type == "cpu":
            keep_freed_memory()
        target = represent(model, references, representation, n)
        self.problems = [_problem(row) for row in target]
        self.rows = torch.tensor([i for i in range(n) if self.problems[i] is None], dtype=torch.int64)
        self.raw = starts.clone().cpu()
        self.n_steps = [0] * n
        self.traces = [Trace() for _ in range(n)]
        self.perturbed = [-math.inf] * n  # the step of each stimulus's last perturbation
        on_device = self.rows.to(model.device)
        self.target = target[on_device]
        self.size = torch.linalg.vector_norm(self.target, dim=1)
        self.x = starts.to(model.device)[on_device]
        if recipe.channels_last and self.x.ndim == 4:
            self.x = self.x.contiguous(memory_format=torch.channels_last)
        self.best_x = self.x
        self.best_loss = self.best_error = torch.full_like(self.size, torch.inf)
        self.relus_passed: int | None = None
        self.matched = matched_units(model, representation, recipe, references[:1], seeds)
        self.units: Tensor | None = None  # of each stimulus, those matched at this step; None for all
        self.optimizer = make_optimizer(recipe.optimizer)
        self.step_size = recipe.step_size * (published_scale(self.x, model.kind) if recipe.scale_step else 1.0)

    def run(self, is_metamer: IsMetamer | None, progress: Progress) -> Search:
        for step in range(self.recipe.steps + 1):
            if not len(self.rows):
                break
            last = step == self.recipe.steps
            if self.matched is not None and step in self.matched.by_step:
                units = self.matched.by_step[step]
                self.units = None if units is None else units[self.rows].to(self.x.device)
            error, loss, gradient = self._loss(with_gradient=not last)
            if self.recipe.keep_best:
                self._remember(error, loss)
            if step % CHECK_EVERY == 0 or last:
                progress(step, self.recipe.steps, len(self.rows))
                stay = self._check(step, self.best_error if self.recipe.keep_best else error, is_metamer, last)
                if len(stay) < len(self.rows):
                    here = stay.to(self.x.device)
                    loss, gradient = loss[here], gradient[here]
                    self._keep(stay)
            if last or not len(self.rows):
                continue
            x = self.optimizer.step(self.x, loss, gradient, self.step_size * schedule(self.recipe, step))
            self.x = x.clamp_(*self.bounds)
            if self.recipe.perturb_every and step and step % self.recipe.perturb_every == 0:
                self._perturb(step)
        return Search(self.raw, self.n_steps, self.traces, self.problems, self.relus_passed)

    def _loss(self, with_gradient: bool) -> tuple[Tensor, Tensor, Tensor]:
        """Each stimulus's relative error [n], its loss [n] and the gradient of its loss [n, ...]."""
        recipe = self.recipe
        x = self.x.detach().requires_grad_(with_gradient)
        with torch.set_grad_enabled(with_gradient):
            shown = self._shown(x)
            activations = self.model.activations(shown, self.representation.stages, precision=recipe.precision)
            if with_gradient and recipe.relu_gradient == "identity":
                self.relus_passed = pass_gradient_through_relu(activations.values())
            difference = self.representation.of(activations) - self.target
            error = torch.linalg.vector_norm(difference, dim=1) / self.size
            loss = error
            if self.matched is not None and self.units is not None:
                loss = self.matched.norm(difference, self.units) / self.size
            del activations, difference  # so that the backward pass frees them as it goes
            loss = loss if recipe.loss == "norm" else loss.square()
            if recipe.penalty is not None:
                penalty = PENALTY_FUNCTIONS[recipe.penalty] if isinstance(recipe.penalty, str) else recipe.penalty
                added = penalty(shown)
                if added.shape != loss.shape:
                    shape = list(added.shape)
                    raise MetamersError(f"the penalty gave shape {shape} for {len(x)} stimuli; it must give [N]")
                loss = loss + recipe.penalty_weight * added
            if not with_gradient:
                return error, loss, torch.empty_like(x)
            (gradient,) = torch.autograd.grad(loss.sum(), x)
        return error.detach(), loss.detach(), gradient

    def _shown(self, x: Tensor) -> Tensor:
        """What the model is given, and then is written, of the iterates [n, ...]."""
        return x if self.rate is None else as_played(x, self.rate)

    def _remember(self, error: Tensor, loss: Tensor) -> None:
        better = loss < self.best_loss
        self.best_loss = torch.where(better, loss, self.best_loss)
        self.best_error = torch.where(better, error, self.best_error)
        self.best_x = torch.where(better.view(-1, *[1] * (self.x.ndim - 1)), self.x, self.best_x)

    def _check(self, step: int, error: Tensor, is_metamer: IsMetamer | None, last: bool) -> Tensor:
        """Record the losses and set aside what is done; the positions in the batch that go on."""
        chosen = self.best_x if self.recipe.keep_best else self.x
        go_on: list[int] = []
        candidates: list[int] = []
        for position, (row, value) in enumerate(zip(self.rows.tolist(), error.tolist(), strict=True)):
            trace = self.traces[row]
            trace.step.append(step)
            trace.loss.append(value)
            trace.snr_db.append(-10 * math.log10(value) if value > 0 else math.inf)
            if not math.isfinite(value):
                self.problems[row] = f"the loss is not finite at step {step}"
            elif last:
                continue
            elif not self.recipe.early_stop or step - self.perturbed[row] <= GRACE:
                go_on.append(position)
            elif not has_stalled(trace):
                (candidates if is_metamer and has_settled(trace) else go_on).append(position)
        if candidates:
            assert is_metamer is not None
            tried = torch.tensor(candidates)
            done = is_metamer(self.rows[tried], self._shown(chosen[tried.to(chosen.device)]))
            go_on += tried[~done.cpu()].tolist()
        leaving = sorted(set(range(len(self.rows))) - set(go_on))
        if leaving:
            rows = self.rows[leaving]
            self.raw[rows] = self._shown(chosen[leaving]).cpu()
            for row in rows.tolist():
                self.n_steps[row] = step
        return torch.tensor(sorted(go_on), dtype=torch.int64)

    def _perturb(self, step: int) -> None:
        """Let slow stimuli begin again from their best iterate (where the recipe keeps it), a little noise added."""
        slow = torch.zeros(len(self.rows), dtype=torch.bool)
        noise = torch.zeros_like(self.x)
        for position, row in enumerate(self.rows.tolist()):
            if gain(self.traces[row]) < PERTURBED_GAIN_DB:
                # A seed of the stimulus and the step: the same in any batch, also where one is halved and begun anew.
                generator = torch.Generator().manual_seed(self.seeds[row] + step)
                noise[position] = torch.randn(self.x.shape[1:], generator=generator)
                slow[position], self.perturbed[row] = True, step
        slow = slow.to(self.x.device)
        best = self.best_x if self.recipe.keep_best else self.x
        begun = best.add(noise, alpha=self.recipe.perturb_std).clamp_(*self.bounds)
        self.x = torch.where(slow.view(-1, *[1] * (self.x.ndim - 1)), begun, self.x)
        self.optimizer.restart(slow, self.x)

    def _keep(self, stay: Tensor) -> None:
        self.rows = self.rows[stay]
        stay = stay.to(self.x.device)
        self.optimizer.keep(stay)
        self.x, self.target, self.size = self.x[stay], self.target[stay], self.size[stay]
        self.units = None if self.units is None else self.units[stay]
        self.best_x, self.best_loss, self.best_error = self.best_x[stay], self.best_loss[stay], self.best_error[stay]


def schedule(recipe: Recipe, step: int) -> float:
    """The factor of the step size at a step (from 0)."""
    if recipe.schedule == "halving":
        return 2.0 ** -(step // recipe.halve_every)
    rise = min(1.0, (step + 1) / (recipe.warmup + 1))
    if recipe.schedule == "cosine":
        return rise * 0.5 * (1 + math.cos(math.pi * step / recipe.steps))
    return rise


def published_scale(x: Tensor, kind: str) -> float:
    """sqrt(input values / those of the published stimuli): 224 x 224 x 3 for images, 40,000 samples for sound."""
    return math.sqrt(x[:1].numel() / (150_528 if kind == "image" else 40_000))


def gain(trace: Trace) -> float:
    """What the SNR gained over the last 100 steps, in dB; infinite before."""
    snr = trace.snr_db
    if len(snr) <= GAIN_CHECKS:
        return math.inf
    return 0.0 if snr[-1] == snr[-1 - GAIN_CHECKS] else snr[-1] - snr[-1 - GAIN_CHECKS]  # both may be infinite


def has_settled(trace: Trace) -> bool:
    """Whether the SNR gained less than 0.1 dB over the last 100 steps."""
    return gain(trace) < GAIN_DB


def has_stalled(trace: Trace) -> bool:
    """Whether the best SNR gained less than 0.1 dB over the last 400 steps."""
    snr = trace.snr_db
    return len(snr) > STALL_CHECKS and not max(snr[-STALL_CHECKS:]) - max(snr[:-STALL_CHECKS]) >= GAIN_DB


def _problem(target: Tensor) -> str | None:
    """Why nothing can match this representation [D], or None."""
    if not bool(torch.isfinite(target).all()):
        return "the reference's activation is not finite"
    if target.numel() < 2 or bool((target == target[0]).all()):
        what = "all zero" if target.numel() and float(target[0]) == 0 else "constant"
        return f"the reference's activation is {what}: no match is defined"
    return None
