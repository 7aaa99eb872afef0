"""Balls of perturbations around a stimulus: how large one is, how to get back into the ball, and where to climb."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Generators = torch.Generator | Sequence[torch.Generator]
"""What draws numbers, on the CPU: one for all stimuli, or one for each, so that none depends on the others."""

NORMS = ("l2", "linf", "l1")

L1_QUANTILE = 0.99
"""A step in the L1 norm changes the values whose gradient is beyond this quantile (Tramèr & Boneh, 2019)."""

_TINY = 1e-10


def norm_of(delta: Tensor, norm: str) -> Tensor:
    """The size [N] of perturbations [N, ...]."""
    order = {"l2": 2.0, "linf": torch.inf, "l1": 1.0}[norm]
    size: Tensor = torch.linalg.vector_norm(delta.flatten(1), ord=order, dim=1)
    return size


def largest(norm: str, n_values: int) -> float:
    """The greatest size of a difference of two stimuli of `n_values` values in a range of 1."""
    return {"linf": 1.0, "l2": math.sqrt(n_values), "l1": float(n_values)}[norm]


def project(delta: Tensor, norm: str, eps: float) -> Tensor:
    """The perturbations [N, ...] of size `eps` at most that are nearest, in the Euclidean sense, to those given."""
    if norm == "linf":
        return delta.clamp(-eps, eps)
    if norm == "l2":
        return delta * _rows((eps / norm_of(delta, "l2").clamp(min=_TINY)).clamp(max=1.0), delta)
    return _onto_l1_ball(delta, eps)


def steepest(gradient: Tensor, norm: str) -> Tensor:
    """Directions of size 1 along gradients [N, ...]: for "l2" the gradient, for "linf" its sign, for "l1" the sign of
    the largest one percent of its values. 0 where the gradient is 0.

    Source for "l1": Tramèr & Boneh (2019, arXiv:1904.13000), section 3.1.
    """
    if norm == "linf":
        return gradient.sign()
    if norm == "l2":
        # By the largest value first: of a model that is sure of itself, the squares of the gradient are no floats.
        smallest = torch.finfo(gradient.dtype).tiny
        scaled = gradient / _rows(norm_of(gradient, "linf").clamp(min=smallest), gradient)
        return scaled / _rows(norm_of(scaled, "l2").clamp(min=1.0), scaled)
    flat = gradient.flatten(1)
    n_values = flat.shape[1]
    kept = max(1, n_values - int(L1_QUANTILE * n_values))
    places = flat.abs().topk(kept, dim=1).indices
    signs = torch.zeros_like(flat).scatter(1, places, flat.gather(1, places).sign())
    return (signs / norm_of(signs, "l1").clamp(min=1.0)[:, None]).view_as(gradient)


def random_inside(like: Tensor, norm: str, eps: float, generator: Generators) -> Tensor:
    """Where an attack starts at random: for "linf" uniform in the cube, else a uniform draw from [-1/2, 1/2] that is
    brought back to size `eps` where it is larger (as in the `robustness` library, Engstrom et al., 2019)."""
    drawn = _uniform(like, generator)
    return drawn * 2 * eps if norm == "linf" else project(drawn, norm, eps)


def random_of_size(like: Tensor, norm: str, eps: float, generator: Generators) -> Tensor:
    """Perturbations of exactly the size `eps`: for "linf" a corner of the cube, for "l2" a uniform draw brought to the
    sphere. Source: Feather et al. (2023), Methods, random perturbations."""
    drawn = _uniform(like, generator)
    if norm == "linf":
        return torch.where(drawn < 0, -eps, eps)
    return drawn * _rows(eps / norm_of(drawn, norm).clamp(min=_TINY), drawn)


def _uniform(like: Tensor, generator: Generators) -> Tensor:
    # Drawn on the CPU: the same numbers on any device.
    if isinstance(generator, torch.Generator):
        drawn = torch.rand(like.shape, generator=generator)
    else:
        drawn = torch.stack([torch.rand(like.shape[1:], generator=own) for own in generator])
    return (drawn - 0.5).to(like.device)


def _onto_l1_ball(delta: Tensor, eps: float) -> Tensor:
    """Duchi et al. (2008, ICML), figure 1: soft thresholding by the threshold that leaves the size `eps`."""
    flat = delta.flatten(1)
    size = flat.abs()
    falling = size.sort(dim=1, descending=True).values
    excess = falling.cumsum(1) - eps
    ranks = torch.arange(1, flat.shape[1] + 1, device=flat.device)
    kept = (falling * ranks > excess).sum(1, keepdim=True).clamp(min=1)
    threshold = (excess.gather(1, kept - 1) / kept).clamp(min=0)
    return (flat.sign() * (size - threshold).clamp(min=0)).view_as(delta)


def _rows(values: Tensor, like: Tensor) -> Tensor:
    return values.view(-1, *[1] * (like.ndim - 1))
