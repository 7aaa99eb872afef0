"""Networks without values: their shapes alone, at no cost."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import nn

Shapes = dict[str, tuple[int, ...]]


@pytest.fixture
def meta() -> Iterator[None]:
    """What is made in the test has shapes but no values."""
    with torch.device("meta"):
        yield


@pytest.fixture
def shapes_of() -> Callable[[nn.Module, tuple[int, ...]], Shapes]:
    """The shapes, without the batch, of what each module (and the network, as "output") gives for an input."""

    def shapes_of(network: nn.Module, shape: tuple[int, ...]) -> Shapes:
        shapes: Shapes = {}

        def keep(name: str, output: torch.Tensor | list[torch.Tensor]) -> None:
            for i, part in enumerate(output if isinstance(output, list) else [output]):
                shapes[f"{name}[{i}]" if isinstance(output, list) else name] = tuple(part.shape[1:])

        for name, module in network.to("meta").eval().named_modules():
            module.register_forward_hook(lambda _module, _args, output, name=name: keep(name or "output", output))
        with torch.no_grad():
            network(torch.empty(2, *shape, device="meta"))
        return shapes

    return shapes_of
