"""Parts of a network that run compiled wherever no activation is read inside them."""

import copy
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn


class Region:
    """A module's forward, compiled, or as it is while the region is open."""

    def __init__(self, name: str, forward: Callable[..., Any]) -> None:
        self.name, self.forward, self.fast = name, forward, torch.compile(forward)
        self.is_open = False

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run the module's forward."""
        return (self.forward if self.is_open else self.fast)(*args, **kwargs)


def compile_regions(network: nn.Module, names: Iterable[str]) -> tuple[nn.Module, list[Region]]:
    """A copy of a network in which the modules of these dotted names, where they hold others, run compiled."""
    network = copy.deepcopy(network)
    regions = []
    for name in names:
        module = network.get_submodule(name)
        if next(module.children(), None) is not None:
            region = Region(name, module.forward)
            regions.append(region)
            module.forward = region
    return network, regions


@contextmanager
def opened(regions: Sequence[Region], modules: Iterable[str]) -> Iterator[None]:
    """Inside, the regions that are or hold one of `modules` (dotted names) run as they are, so that hooks see them."""
    for region in regions:
        region.is_open = any(f"{module}.".startswith(f"{region.name}.") for module in modules)
    try:
        yield
    finally:
        for region in regions:
            region.is_open = False
