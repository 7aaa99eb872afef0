"""Penalties on the stimulus itself, added to the loss."""

from torch import Tensor


def total_variation(signals: Tensor) -> Tensor:
    """Mean absolute difference of neighboring values (anisotropic; Rudin et al., 1992): images [N, C, H, W] or sounds
    [N, T] to [N]."""
    across = (signals[..., 1:] - signals[..., :-1]).abs().flatten(1)
    total = across.sum(1) / max(1, across.shape[1])
    if signals.ndim > 2:
        down = (signals[..., 1:, :] - signals[..., :-1, :]).abs().flatten(1)
        total = total + down.sum(1) / max(1, down.shape[1])
    return total


PENALTY_FUNCTIONS = {"total_variation": total_variation}
