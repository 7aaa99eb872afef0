"""What a model computes, in a few numbers."""

from collections.abc import Sequence

import torch

from metamers.errors import MetamersError
from metamers.models.staged import StagedModel


@torch.no_grad()
def fingerprint(model: StagedModel, shape: Sequence[int]) -> list[float] | None:
    """Mean, standard deviation, least and most of the output for noise of `shape`, stimuli first, by which a model is
    known that computes otherwise with the same weights; None of one that is never the same twice, or that fails for
    noise."""
    noise = torch.rand(tuple(shape), generator=torch.Generator().manual_seed(0)).to(model.device)
    try:
        first, second = (model.activations(noise, ["output"])["output"].double() for _ in range(2))
    except (MetamersError, RuntimeError):
        return None
    if not torch.allclose(first, second, rtol=0, atol=1e-3 * float(first.abs().max())):
        return None
    return [float(f"{value:.6g}") for value in (first.mean(), first.std(), first.min(), first.max())]
