"""Optimizers whose state is kept for each stimulus alone, so that a stimulus may leave the batch."""

import math
from typing import Protocol

import torch
from torch import Tensor


class Optimizer(Protocol):
    """One step for a batch of signals; nothing in it passes from one stimulus to another."""

    def step(self, x: Tensor, loss: Tensor, gradient: Tensor, step_size: float) -> Tensor:
        """The next iterate [N, ...] from signals, their losses [N] and gradients [N, ...]; not yet clipped."""

    def keep(self, rows: Tensor) -> None:
        """Forget all stimuli but those of the given rows."""

    def restart(self, rows: Tensor, x: Tensor) -> None:
        """Begin anew where `rows` (bool [N]) says so, from signals `x` [N, ...], which the next step will be given."""


class NormalizedGradient:
    """Steps of a given Euclidean length against the gradient: x - step g / (||g|| + 1e-10)."""

    def step(self, x: Tensor, loss: Tensor, gradient: Tensor, step_size: float) -> Tensor:
        """See `Optimizer`."""
        length = _per_row(torch.linalg.vector_norm(gradient.flatten(1), dim=1), x)
        return x - step_size * gradient / (length + 1e-10)

    def keep(self, rows: Tensor) -> None:
        """There is no state."""

    def restart(self, rows: Tensor, x: Tensor) -> None:
        """There is no state."""


class Adam:
    """Adam (Kingma & Ba, 2015, arXiv:1412.6980); all its operations are elementwise."""

    def __init__(self, beta1: float = 0.9, beta2: float = 0.999, epsilon: float = 1e-8) -> None:
        self.beta1, self.beta2, self.epsilon = beta1, beta2, epsilon
        self.started = False

    def step(self, x: Tensor, loss: Tensor, gradient: Tensor, step_size: float) -> Tensor:
        """See `Optimizer`."""
        if not self.started:
            self.mean, self.square = torch.zeros_like(x), torch.zeros_like(x)
            self.count = _per_row(torch.zeros(len(x), device=x.device), x)
            self.started = True
        self.count += 1
        self.mean.lerp_(gradient, 1 - self.beta1)
        self.square.mul_(self.beta2).addcmul_(gradient, gradient, value=1 - self.beta2)
        # 1 - beta ** count, without the rounding of the difference.
        of_mean, of_square = (-torch.expm1(self.count * math.log(beta)) for beta in (self.beta1, self.beta2))
        denominator = self.square.sqrt().div_(of_square.sqrt()).add_(self.epsilon)
        return x - self.mean / denominator * (step_size / of_mean)

    def keep(self, rows: Tensor) -> None:
        """See `Optimizer`."""
        if self.started:
            self.mean, self.square, self.count = self.mean[rows], self.square[rows], self.count[rows]

    def restart(self, rows: Tensor, x: Tensor) -> None:
        """See `Optimizer`."""
        if self.started:
            for state in (self.mean, self.square, self.count):
                state[rows] = 0


class LBFGS:
    """Limited-memory BFGS with a trial step for each stimulus.

    Each call judges the last trial: where the loss fell it is taken, and the step grows again; elsewhere the search
    goes back and halves its step. After ten halvings it forgets its history; having none, it takes the next trial
    whatever its loss. The inverse Hessian is applied in its compact form (Byrd, Nocedal & Schnabel, 1994, Math.
    Program. 63, theorem 2.2), so that each step reads the history twice. Before there is a history, the step has root
    mean square `step_size`.
    """

    smallest_scale = 2.0**-10

    def __init__(self, memory: int = 20) -> None:
        self.memory = memory
        self.started = False

    def step(self, x: Tensor, loss: Tensor, gradient: Tensor, step_size: float) -> Tensor:
        """See `Optimizer`."""
        flat, slope = x.flatten(1), gradient.flatten(1)
        if self.started:
            self._judge(flat, loss, slope)
        else:
            self._start(flat, loss, slope)
        return (self.x - self.scale[:, None] * self._direction(step_size)).view_as(x)

    def keep(self, rows: Tensor) -> None:
        """See `Optimizer`."""
        if self.started:
            for name in ("x", "gradient", "loss", "scale", "pairs", "products", "slopes", "usable", "newest"):
                setattr(self, name, getattr(self, name)[rows])

    def _start(self, x: Tensor, loss: Tensor, gradient: Tensor) -> None:
        n, size, m = *x.shape, self.memory
        self.x, self.gradient, self.loss = x.clone(), gradient.clone(), loss.clone()
        self.scale = torch.ones_like(loss)
        self.pairs = x.new_zeros(n, 2 * m, size)  # changes of x, then changes of the gradient
        self.products = x.new_zeros(n, 2 * m, 2 * m)  # of the pairs with each other
        self.slopes = x.new_zeros(n, 2 * m)  # of the pairs with the gradient
        self.usable = torch.zeros(n, m, dtype=torch.bool, device=x.device)
        self.newest = torch.full((n,), m - 1, device=x.device)
        self.started = True

    def _judge(self, x: Tensor, loss: Tensor, gradient: Tensor) -> None:
        """Take the trial or go back, and remember what a taken one tells of the curvature."""
        # A loss that stays as it is, too: silent units show nothing of an ascent that an identity gradient asks for.
        taken = (loss <= self.loss) & loss.isfinite()
        column = taken[:, None]
        s, y = x - self.x, gradient - self.gradient
        self.x = torch.where(column, x, self.x)
        self.gradient = torch.where(column, gradient, self.gradient)
        self.loss = torch.where(taken, loss, self.loss)
        self.scale = torch.where(taken, (2 * self.scale).clamp(max=1.0), self.scale / 2)

        rows, m = torch.arange(len(x), device=x.device), self.memory
        slot = (self.newest + 1) % m
        curved = (s * y).sum(1) > 1e-10 * (s * s).sum(1)
        learned = (taken & curved)[:, None]
        places = (slot, m + slot)
        for place, vector in zip(places, (s, y), strict=True):
            self.pairs[rows, place] = torch.where(learned, vector, self.pairs[rows, place])
        products = torch.stack([s, y, self.gradient], 1) @ self.pairs.mT
        self.slopes = products[:, 2]
        for place, row in zip(places, products.unbind(1), strict=False):
            self.products[rows, place] = torch.where(learned, row, self.products[rows, place])
            self.products[rows, :, place] = self.products[rows, place]
        self.usable[rows, slot] |= learned[:, 0]
        self.newest = torch.where(learned[:, 0], slot, self.newest)

        stuck = self.scale < self.smallest_scale
        # The identity gradient of a ReLU is no gradient of the loss: where it leads nowhere but up, up it must go.
        self.loss = torch.where(stuck & ~self.usable.any(1), torch.inf, self.loss)
        self.usable &= ~stuck[:, None]
        self.scale = torch.where(stuck, 1.0, self.scale)

    def restart(self, rows: Tensor, x: Tensor) -> None:
        """See `Optimizer`."""
        if self.started:
            self.x = torch.where(rows[:, None], x.flatten(1), self.x)  # a step of length 0, which teaches nothing,
            self.loss = torch.where(rows, torch.inf, self.loss)  # and is taken
            self.usable &= ~rows[:, None]
            self.scale = torch.where(rows, 1.0, self.scale)

    def _direction(self, step_size: float) -> Tensor:
        """The inverse Hessian times the gradient, [N, D]."""
        m, g = self.memory, self.gradient
        # Slots from the oldest pair to the newest.
        order = (self.newest[:, None] + 1 + torch.arange(m, device=g.device)) % m
        used = self.usable.gather(1, order).to(g.dtype)
        both = torch.cat([order, m + order], 1)
        mask = torch.cat([used, used], 1)
        products = self.products.gather(1, both[:, :, None].expand(-1, -1, 2 * m))
        products = products.gather(2, both[:, None].expand(-1, 2 * m, -1)) * mask[:, :, None] * mask[:, None]
        slopes = self.slopes.gather(1, both) * mask
        exact = products if g.device.type == "mps" else products.double()
        sg, yg = slopes.to(exact.dtype).split(m, 1)
        sy, yy = exact[:, :m, m:], exact[:, m:, m:]

        curvature = sy.diagonal(dim1=1, dim2=2)
        gamma = (curvature[:, -1] / yy[:, -1, -1]).nan_to_num(0.0)[:, None]
        upper = sy.triu() + torch.diag_embed(1 - used.to(exact.dtype))
        p = torch.linalg.solve_triangular(upper, sg[:, :, None], upper=True).squeeze(2)
        inner = curvature * p + gamma * ((yy @ p[:, :, None]).squeeze(2) - yg)
        along_s = torch.linalg.solve_triangular(upper.mT, inner[:, :, None], upper=False).squeeze(2)
        coefficients = torch.zeros_like(slopes).scatter(1, both, torch.cat([along_s, -gamma * p], 1).to(g.dtype))
        learned = gamma.to(g.dtype) * g + (coefficients[:, None] @ self.pairs).squeeze(1)

        length = torch.linalg.vector_norm(g, dim=1, keepdim=True)
        first = g * (step_size * g.shape[1] ** 0.5 / (length + 1e-10))
        return torch.where(used[:, -1:] > 0, learned, first)


def make_optimizer(name: str) -> Optimizer:
    """A fresh optimizer by its name in a recipe."""
    return {"normalized_gradient": NormalizedGradient, "adam": Adam, "lbfgs": LBFGS}[name]()  # type: ignore[no-any-return]


def _per_row(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
