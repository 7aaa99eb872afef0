"""Reading activations inside a network, with a forward pass that stops at the deepest one asked for."""

import dataclasses
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metamers.errors import MetamersError

Key = int | str
"""An index of a tuple or list, a key of a dictionary, or a field of a dataclass or named tuple."""
Hook = Callable[[nn.Module, Any, Any], None]


class Site(NamedTuple):
    """Where an activation appears: the output, at `path` in its structure, of a module's `call`-th call (from 1).

    `module` is a dotted name, "" the network itself. `batch_dim` is the dimension that holds the stimuli.
    """

    module: str
    call: int = 1
    path: tuple[Key, ...] = ()
    batch_dim: int = 0


class _Stop(BaseException):
    """Ends a forward pass; not an `Exception`, so that a network which catches those does not swallow it."""


def tensors_in(output: Any) -> Iterator[tuple[tuple[Key, ...], Tensor]]:
    """The floating-point tensors of a module's output, each with its path, in order."""
    if isinstance(output, Tensor):
        if output.is_floating_point() and output.ndim:
            yield (), output
        return
    for key, part in _parts(output):
        for path, tensor in tensors_in(part):
            yield (key, *path), tensor


def capture(network: nn.Module, x: Tensor, sites: Mapping[str, Site]) -> dict[str, Tensor]:
    """Run `network(x)` as far as the deepest of `sites` and give each site's activation, stimuli first.

    An activation that is captured before the last one is cloned, since operations in place may follow; the last keeps
    its `grad_fn`. No hook remains, also after an exception. Raises MetamersError when the pass misses a site.
    """
    found: dict[str, Tensor] = {}
    wanted: dict[str, dict[int, list[str]]] = {}
    for stage, site in sites.items():
        wanted.setdefault(site.module, {}).setdefault(site.call, []).append(stage)
    whole = wanted.pop("", {})

    def keep(output: Any, stages: Sequence[str]) -> None:
        last = len(found) + len(stages) == len(sites)
        for stage in stages:
            activation = _at(output, stage, sites[stage])
            found[stage] = activation if last else activation.clone()
        if last:
            raise _Stop

    with hooks(network, {name: _counting(calls, keep) for name, calls in wanted.items()}):
        try:
            output = network(x)
            keep(output, [stage for stages in whole.values() for stage in stages])
        except _Stop:
            return {stage: found[stage] for stage in sites}
    missed = next(stage for stage in sites if stage not in found)
    raise MetamersError(f"stage {missed!r} was not reached by this pass: the network's path depends on its input")


@contextmanager
def hooks(network: nn.Module, by_name: Mapping[str, Hook]) -> Iterator[None]:
    """Forward hooks on modules given by dotted name, all removed at the end."""
    handles = []
    try:
        for name, hook in by_name.items():
            handles.append(network.get_submodule(name).register_forward_hook(hook))
        with _all_modules_called(network):
            yield
    finally:
        for handle in handles:
            handle.remove()


def _counting(calls: Mapping[int, Sequence[str]], keep: Callable[[Any, Sequence[str]], None]) -> Hook:
    n_calls = 0

    def hook(module: nn.Module, args: Any, output: Any) -> None:
        nonlocal n_calls
        n_calls += 1
        if n_calls in calls:
            keep(output, calls[n_calls])

    return hook


def _at(output: Any, stage: str, site: Site) -> Tensor:
    for key in site.path:
        output = next((part for k, part in _parts(output) if k == key), None)
    if not isinstance(output, Tensor):
        raise MetamersError(f"stage {stage!r} gave no tensor in this pass: the network's path depends on its input")
    return output.movedim(site.batch_dim, 0) if site.batch_dim else output


def _parts(output: Any) -> list[tuple[Key, Any]]:
    if isinstance(output, Mapping):
        return [(key if isinstance(key, int) else str(key), part) for key, part in output.items()]
    if dataclasses.is_dataclass(output):
        return [(f.name, getattr(output, f.name)) for f in dataclasses.fields(output)]
    if isinstance(output, tuple) and hasattr(output, "_fields"):
        return list(zip(output._fields, output, strict=True))
    if isinstance(output, tuple | list):
        return list(enumerate(output))
    return []


@contextmanager
def _all_modules_called(network: nn.Module) -> Iterator[None]:
    # PyTorch's transformer layers have a fused path that calls none of their modules, and takes it only where no
    # gradient is wanted: a stage would come and go.
    if not _has_fused_path(network):
        yield
        return
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


_FUSED: weakref.WeakKeyDictionary[nn.Module, bool] = weakref.WeakKeyDictionary()


def _has_fused_path(network: nn.Module) -> bool:
    if network not in _FUSED:
        fused = (nn.MultiheadAttention, nn.TransformerEncoder, nn.TransformerEncoderLayer)
        _FUSED[network] = any(isinstance(module, fused) for module in network.modules())
    return _FUSED[network]
