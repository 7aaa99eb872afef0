"""Penalties on the stimulus itself, added to the loss."""

from torch import Tensor


def total_variation(signals: Tensor) -> Tensor:
    """Mean absolute difference of neighboring values: signals [N, C, H, W] to [N] (anisotropic; Rudin et al., 1992)."""
    down = (signals[..., 1:, :] - signals[..., :-1, :]).abs().flatten(1)
    across = (signals[..., 1:] - signals[..., :-1]).abs().flatten(1)
    return down.sum(1) / max(1, down.shape[1]) + across.sum(1) / max(1, across.shape[1])


PENALTY_FUNCTIONS = {"total_variation": total_variation}
