"""Balls of perturbations: projections, directions and draws, against their definitions."""

from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from metamers.training.norms import NORMS, norm_of, project, random_inside, random_of_size, steepest

norms = pytest.mark.parametrize("norm", NORMS)
values = st.lists(st.floats(-3, 3, width=32), min_size=6, max_size=6)
sizes = st.floats(0, 5, width=32)


def rows(*lists):
    return torch.tensor(lists, dtype=torch.float64).view(len(lists), 2, 3)


@norms
@given(values=values, eps=sizes)
@settings(max_examples=60, deadline=None)
def test_a_projection_is_inside_and_changes_nothing_that_is(norm, values, eps):
    delta = rows(values)
    inside = project(delta, norm, eps)
    assert norm_of(inside, norm).item() <= eps + 1e-9
    assert torch.allclose(project(inside, norm, eps), inside, atol=1e-9)
    if norm_of(delta, norm).item() <= eps:
        assert torch.equal(inside, delta)


@norms
@given(values=values, others=values, eps=sizes)
@settings(max_examples=60, deadline=None)
def test_no_point_of_the_ball_is_nearer(norm, values, others, eps):
    delta = rows(values)
    inside, other = project(delta, norm, eps), project(rows(others), norm, eps)
    # Of a convex set: the way to any point of it makes no acute angle with the way out.
    assert float(((delta - inside) * (other - inside)).sum()) <= 1e-9


@norms
@pytest.mark.parametrize("eps", [0.3, 1.0, 2.5])
def test_a_projection_is_what_minimization_finds(norm, eps):
    point = np.random.default_rng(0).normal(size=6) * 1.5
    # x = a - b with a, b >= 0 makes every one of the balls smooth.
    balls: dict[str, Any] = {
        "l1": lambda ab: eps - ab.sum(),
        "linf": lambda ab: eps - (ab[:6] + ab[6:]),
        "l2": lambda ab: eps**2 - ((ab[:6] - ab[6:]) ** 2).sum(),
    }
    options: Any = {"method": "SLSQP", "bounds": [(0, None)] * 12, "options": {"maxiter": 500, "ftol": 1e-14}}
    ball: Any = {"type": "ineq", "fun": balls[norm]}

    def distance(ab: Any) -> Any:
        return ((ab[:6] - ab[6:] - point) ** 2).sum()

    found = minimize(distance, np.full(12, 0.01), constraints=ball, **options)
    ours = project(torch.from_numpy(point).view(1, 2, 3), norm, eps).flatten().numpy()
    assert ours == pytest.approx(found.x[:6] - found.x[6:], abs=1e-4)


@pytest.mark.parametrize("eps", [0.5, 7.0, 400.0])
def test_the_projection_onto_the_l1_ball_is_soft_thresholding(eps):
    delta = torch.randn(5, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    for own, ours in zip(delta, project(delta, "l1", eps), strict=True):
        size = own.abs().double()
        low, high = 0.0, float(size.max())
        for _ in range(60):  # the threshold by bisection
            middle = (low + high) / 2
            low, high = (middle, high) if (size - middle).clamp(min=0).sum() > eps else (low, middle)
        threshold = high if size.sum() > eps else 0.0
        assert torch.allclose(ours.double(), own.sign() * (size - threshold).clamp(min=0), atol=1e-5)


@norms
def test_each_stimulus_is_projected_by_itself(norm):
    delta = torch.randn(4, 3, 5, generator=torch.Generator().manual_seed(0))
    alone = torch.cat([project(one[None], norm, 0.7) for one in delta])
    assert torch.allclose(project(delta, norm, 0.7), alone)


@norms
@pytest.mark.parametrize("scale", [1.0, 1e-12, 1e-30, 1e12])
def test_a_direction_has_unit_size_however_small_the_gradient(norm, scale):
    gradient = torch.randn(3, 2, 40, generator=torch.Generator().manual_seed(0)) * scale
    assert torch.allclose(norm_of(steepest(gradient, norm), norm), torch.ones(3))


@norms
def test_without_a_gradient_there_is_no_direction(norm):
    assert torch.equal(steepest(torch.zeros(2, 3, 4), norm), torch.zeros(2, 3, 4))


@pytest.mark.parametrize("norm", ["l2", "linf"])
@given(values=values, others=values)
@settings(max_examples=60, deadline=None)
def test_no_direction_of_unit_size_climbs_more(norm, values, others):
    gradient, other = rows(values), rows(others)
    other = other / norm_of(other, norm).clamp(min=1e-9).item()
    assert float((gradient * other).sum()) <= float((gradient * steepest(gradient, norm)).sum()) + 1e-9


def test_an_l1_step_changes_the_largest_percent():
    gradient = torch.arange(1.0, 301.0).view(1, 3, 100) * torch.tensor([1.0, -1.0]).repeat(150).view(1, 3, 100)
    step = steepest(gradient, "l1").flatten()
    assert step.nonzero().flatten().tolist() == [297, 298, 299]
    assert step[297:].tolist() == pytest.approx([-1 / 3, 1 / 3, -1 / 3])


@norms
def test_draws_are_of_their_size(norm):
    like, eps = torch.zeros(6, 3, 8, 8), 0.4
    generator = torch.Generator().manual_seed(0)
    inside, on = random_inside(like, norm, eps, generator), random_of_size(like, norm, eps, generator)
    assert bool((norm_of(inside, norm) <= eps * (1 + 1e-5)).all())
    assert torch.allclose(norm_of(on, norm), torch.full((6,), eps))
    assert len({float(row.sum()) for row in inside}) == 6


def test_a_generator_for_each_stimulus_draws_the_same_in_any_batch():
    def generators(*seeds):
        return [torch.Generator().manual_seed(seed) for seed in seeds]

    like = torch.zeros(3, 2, 4)
    together = random_inside(like, "l2", 0.3, generators(5, 6, 7))
    assert torch.equal(random_inside(like[:2], "l2", 0.3, generators(7, 5)), together[[2, 0]])
