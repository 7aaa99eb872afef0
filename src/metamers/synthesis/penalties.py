"""Penalties on the stimulus itself, added to the loss."""

from torch import Tensor


def total_variation(signals: Tensor) -> Tensor:
    """Mean absolute difference of neighboring values: signals [N, C, H, W] to [N] (anisotropic; Rudin et al., 1992)."""
    down = (signals[..., 1:, :] - signals[..., :-1, :]).abs().flatten(1).mean(1)
    across = (signals[..., 1:] - signals[..., :-1]).abs().flatten(1).mean(1)
    return down + across


PENALTY_FUNCTIONS = {"total_variation": total_variation}
