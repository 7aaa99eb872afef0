"""Counting the floating-point operations of a forward pass."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry


class FlopCount(TorchDispatchMode):
    """Counts, while it is entered, the operations of matrix products, convolutions and attention (PyTorch's formulas).

    Unlike PyTorch's own counter it does not import the compiler, which takes seconds.
    """

    total: int

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.total = 0

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        output = func(*args, **(kwargs or {}))
        formula = _FORMULAS.get(func.overloadpacket)
        if formula is not None:
            self.total += formula(*args, **(kwargs or {}), out_val=output)
        return output


def _attention(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor, *_: Any, **__: Any) -> int:
    batch, heads, n, width = query.shape
    return 2 * batch * heads * n * key.shape[2] * (width + value.shape[3])


_FORMULAS: dict[Any, Callable[..., int]] = {
    # PyTorch's table lacks attention on a CPU.
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    **flop_registry,
}
