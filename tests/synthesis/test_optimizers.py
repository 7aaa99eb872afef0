"""Optimizers against PyTorch's, against the plain L-BFGS recursion, and row by row."""

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from metamers.synthesis.optimizers import LBFGS, Adam, NormalizedGradient, make_optimizer

NAMES = ["normalized_gradient", "adam", "lbfgs"]


def quadratics(n=4, size=6, seed=0) -> Any:
    """f_i(x) = (x - c_i)' A_i (x - c_i) / 2 for each row: the function, its gradient and its minima."""
    generator = torch.Generator().manual_seed(seed)
    root = torch.randn(n, size, size, generator=generator, dtype=torch.float64)
    a = root @ root.mT + 0.1 * torch.eye(size)
    c = torch.randn(n, size, generator=generator, dtype=torch.float64)

    def loss_and_gradient(x, rows=slice(None)):
        pulled = (a[rows] @ (x - c[rows])[:, :, None]).squeeze(2)
        return ((x - c[rows]) * pulled).sum(1) / 2, pulled

    return loss_and_gradient, c


def run(optimizer, f, x, steps, step_size=0.05, rows=slice(None)):
    path = [x]
    for _ in range(steps):
        loss, gradient = f(x, rows)
        x = optimizer.step(x, loss, gradient, step_size)
        path.append(x)
    return torch.stack(path)


def test_adam_is_torch_adam():
    f, _ = quadratics()
    x = torch.zeros(4, 6, dtype=torch.float64)
    expected = x.clone().requires_grad_()
    reference = torch.optim.Adam([expected], lr=0.05)
    optimizer = Adam()
    for _ in range(50):
        loss, gradient = f(x)
        x = optimizer.step(x, loss, gradient, 0.05)
        expected.grad = f(expected.detach())[1]
        reference.step()
        assert torch.allclose(x, expected, atol=1e-12)


@given(st.integers(0, 1000), st.floats(1e-3, 10))
def test_normalized_gradient_steps_have_their_length(seed, step):
    generator = torch.Generator().manual_seed(seed)
    x = torch.rand(3, 2, 4, 4, generator=generator)
    gradient = torch.randn(3, 2, 4, 4, generator=generator) * torch.tensor([1e-6, 1.0, 1e6]).view(3, 1, 1, 1)
    gradient[1] = 0
    moved = NormalizedGradient().step(x.clone(), torch.ones(3), gradient, step) - x
    lengths = moved.flatten(1).norm(dim=1)
    assert lengths[[0, 2]].tolist() == pytest.approx([step, step], rel=1e-3)
    assert lengths[1] == 0
    assert torch.nn.functional.cosine_similarity(moved[2].flatten(), gradient[2].flatten(), dim=0) < -0.999


@pytest.mark.parametrize("name", NAMES)
def test_rows_do_not_know_of_each_other(name):
    f, _ = quadratics()
    x = torch.zeros(4, 6, dtype=torch.float64)
    together = run(make_optimizer(name), f, x, 40)
    for i in range(4):
        alone = run(make_optimizer(name), f, x[[i]], 40, rows=[i])
        assert torch.allclose(together[:, i], alone[:, 0], rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_rows_that_stay_do_not_notice_that_others_leave(name):
    f, _ = quadratics()
    x = torch.zeros(4, 6, dtype=torch.float64)
    together = run(make_optimizer(name), f, x, 40)
    optimizer, rows = make_optimizer(name), torch.tensor([3, 1])
    half = run(optimizer, f, x, 15)
    optimizer.keep(rows)
    rest = run(optimizer, f, half[-1, rows], 25, rows=rows)
    assert torch.allclose(together[15:, rows], rest, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("name", NAMES)
def test_keep_before_the_first_step_is_harmless(name):
    f, _ = quadratics()
    optimizer = make_optimizer(name)
    optimizer.keep(torch.tensor([0, 2]))
    x = torch.zeros(2, 6, dtype=torch.float64)
    loss, gradient = f(x, [0, 2])
    assert optimizer.step(x, loss, gradient, 0.1).shape == (2, 6)


def two_loop(gradient, pairs):
    """Nocedal & Wright (2006), algorithm 7.4: the inverse Hessian times the gradient; pairs from old to new."""
    q, kept = gradient.clone(), []
    for s, y in reversed(pairs):
        alpha = (s @ q) / (y @ s)
        q -= alpha * y
        kept.append(alpha)
    s, y = pairs[-1]
    r = q * (s @ y) / (y @ y)
    for (s, y), alpha in zip(pairs, reversed(kept), strict=True):
        r += s * (alpha - (y @ r) / (y @ s))
    return r


class PlainLBFGS:
    """One row at a time, with lists: what `LBFGS` does for a batch."""

    def __init__(self, memory):
        self.memory, self.pairs, self.x, self.scale = memory, [], None, 1.0

    def step(self, x, loss, gradient, step_size):
        if self.x is None:
            self.x, self.loss, self.gradient = x, loss, gradient
        elif loss <= self.loss:
            s, y = x - self.x, gradient - self.gradient
            if s @ y > 1e-10 * (s @ s):
                self.pairs = [*self.pairs, (s, y)][-self.memory :]
            self.x, self.loss, self.gradient = x, loss, gradient
            self.scale = min(1.0, 2 * self.scale)
        else:
            self.scale /= 2
            if self.scale < LBFGS.smallest_scale:
                self.loss = self.loss if self.pairs else torch.inf
                self.scale, self.pairs = 1.0, []
        if self.pairs:
            direction = two_loop(self.gradient, self.pairs)
        else:
            direction = self.gradient * step_size * len(x) ** 0.5 / (self.gradient.norm() + 1e-10)
        return self.x - self.scale * direction


def rough(n=5) -> Any:
    """Functions that are not convex, of other steepness in each row, so that the rows' histories differ."""
    steepness = torch.linspace(0.5, 8, n, dtype=torch.float64)[:, None]

    def loss_and_gradient(x, rows=slice(None)):
        k, b = steepness[rows], x[:, 1:] - x[:, :-1] ** 2
        loss = (k * b.square()).sum(1) + (1 - torch.cos(3 * x)).sum(1)
        gradient = 3 * torch.sin(3 * x)
        gradient[:, 1:] += 2 * k * b
        gradient[:, :-1] -= 4 * k * b * x[:, :-1]
        return loss, gradient

    return loss_and_gradient


@pytest.mark.parametrize("memory", [1, 3, 20])
def test_lbfgs_is_the_two_loop_recursion(memory):
    f = rough()
    x = torch.linspace(-1.5, 1.5, 20, dtype=torch.float64).view(5, 4)
    batch, plain = LBFGS(memory), [PlainLBFGS(memory) for _ in range(5)]
    seen = set()
    for _ in range(40):
        loss, gradient = f(x)
        moved = batch.step(x, loss, gradient, 0.2)
        for i, one in enumerate(plain):
            expected = one.step(x[i], loss[i], gradient[i], 0.2)
            assert torch.allclose(moved[i], expected, rtol=1e-5, atol=1e-7)
        seen.add(tuple(len(one.pairs) for one in plain))
        x = moved
    assert memory == 1 or any(len(set(lengths)) > 1 for lengths in seen)  # the rows' histories did differ


def test_lbfgs_reaches_the_minimum_of_a_quadratic():
    f, minima = quadratics()
    path = run(LBFGS(), f, torch.zeros(4, 6, dtype=torch.float64), 80)
    assert torch.allclose(path[-1], minima, atol=1e-5)


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000))
def test_lbfgs_never_takes_a_rise_unless_it_is_stuck(seed):
    f = rough()
    generator = torch.Generator().manual_seed(seed)
    x = 3 * torch.randn(5, 4, generator=generator, dtype=torch.float64)
    optimizer, lowest = LBFGS(5), f(x)[0]
    for _ in range(30):
        loss, gradient = f(x)
        x = optimizer.step(x, loss, gradient, 0.3)
        stuck = optimizer.loss.isinf()
        assert (optimizer.loss <= lowest)[~stuck].all()
        assert torch.equal(optimizer.loss[~stuck], f(optimizer.x)[0][~stuck])
        lowest = optimizer.loss.clone()


def test_lbfgs_follows_a_gradient_that_leads_nowhere_but_up_once_it_is_stuck():
    """As the identity gradient of a silent ReLU may."""
    x = torch.ones(1, 3, dtype=torch.float64)
    optimizer, rises = LBFGS(), []
    for _ in range(14):
        loss = x.square().sum(1)
        x = optimizer.step(x, loss, -2 * x, 0.1)
        rises.append(float(optimizer.x[0, 0]))
    assert rises[:11] == [1.0] * 11
    assert rises[-1] == pytest.approx(1.1)


def test_lbfgs_goes_back_from_a_trial_that_is_not_finite():
    f, _ = quadratics()
    x = torch.zeros(4, 6, dtype=torch.float64)
    optimizer = LBFGS()
    loss, gradient = f(x)
    trial = optimizer.step(x, loss, gradient, 0.05)
    loss, gradient = f(trial)
    loss[2], gradient[2] = torch.nan, torch.nan
    after = optimizer.step(trial, loss, gradient, 0.05)
    assert torch.equal(optimizer.x[2], x[2])
    assert after.isfinite().all()
