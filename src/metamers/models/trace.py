"""One look at a network at work: what its modules give, in which order, at what cost, and what is unsound about it."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from metamers.errors import MetamersError
from metamers.models.capture import Key, Site, hooks, tensors_in
from metamers.models.flops import FlopCount
from metamers.models.randomness import seeded

SAMPLE = 1024
"""Values of each activation that are compared between passes."""


class Place(NamedTuple):
    """A module's call (from 1; module "" is the network) and a path in its output."""

    module: str
    call: int
    path: tuple[Key, ...]


class Record(NamedTuple):
    """One tensor of a trace: shape with batch, sampled values [N, <= SAMPLE], forward cost so far, all finite."""

    shape: tuple[int, ...]
    sample: Tensor
    cost: float
    finite: bool


@dataclass(frozen=True)
class Trace:
    """What a pass over two stimuli showed.

    `records` has one entry for each tensor that can be matched, in the order in which the calls finished, the network's
    own output last; `sites` where to read them; `refused` why other tensors cannot be matched. With `alone`, stimuli
    must be run one at a time, `seeded` for a network that draws random numbers. `alters_input`: it works in place on
    what it is given. `cost` of a record is a share of the whole.
    """

    records: dict[Place, Record]
    sites: dict[Place, Site]
    calls: dict[str, int]
    refused: dict[Place, str]
    alone: bool
    seeded: bool
    alters_input: bool
    notes: tuple[str, ...] = ()


def trace(network: nn.Module, stimuli: Tensor, name: str) -> Trace:
    """Run a network on two stimuli [2, ...], together and one by one.

    Raises MetamersError for weights or an output that are not finite, an output without a batch dimension, a pass that
    fails, and random numbers that no seed fixes. `name` is what the messages call the network.
    """
    _require_finite_weights(network, name)
    first = _record(network, stimuli[:1], name, seed=0)
    pair = _record(network, stimuli, name, seed=1, alone=first.records)
    second = _record(network, stimuli[1:], name, seed=2)
    places = [place for place in pair.records if place in first.records and place in second.records]
    batch_dims = {p: _batch_dim(first.records[p].shape, pair.records[p].shape) for p in places}
    _require_output(pair.records, batch_dims, name)
    usable = [place for place in places if batch_dims[place] is not None]
    is_steady = all(_same_rows(pair.records[p], [first.records[p], second.records[p]], stimuli) for p in usable)
    is_random = not is_steady and _is_random(network, stimuli[:1], name, first)
    total = pair.records[output_of(pair.records)].cost
    n_places = len(usable)
    shares = {p: pair.records[p].cost / total if total else (i + 1) / n_places for i, p in enumerate(usable)}
    return Trace(
        records={p: pair.records[p]._replace(cost=shares[p]) for p in usable},
        sites={p: Site(*p, batch_dim=batch_dims[p] or 0) for p in usable},
        calls=pair.calls,
        refused={
            p: f"its shape {list(r.shape)} for {len(stimuli)} stimuli has no batch dimension"
            for p, r in pair.records.items()
            if p not in shares
        },
        alone=not is_steady,
        seeded=is_random,
        alters_input=pair.alters_input,
        notes=_notes(is_steady, is_random),
    )


def _notes(is_steady: bool, is_random: bool) -> tuple[str, ...]:
    if is_random:
        return ("draws random numbers: each stimulus runs alone under one fixed seed, with equal noise in every pass",)
    if not is_steady:
        return ("mixes the stimuli of a batch: each stimulus runs alone",)
    return ()


@dataclass
class _Pass:
    records: dict[Place, Record] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    alters_input: bool = False


@torch.no_grad()
def _record(network: nn.Module, x: Tensor, name: str, seed: int, alone: Mapping[Place, Record] | None = None) -> _Pass:
    """One pass under a seed. `alone`: the records of a pass over one stimulus, which show where the batch is."""
    result = _Pass()
    x = x.clone()
    flops = FlopCount()

    def keep(module: str, output: Any) -> None:
        call = result.calls[module] = result.calls.get(module, 0) + 1
        for path, tensor in tensors_in(output):
            place = Place(module, call, path)
            finite = bool(torch.isfinite(tensor).all())
            if alone is None:
                sample = _sample(tensor[None])
            else:
                batch_dim = _batch_dim(alone[place].shape, tuple(tensor.shape)) if place in alone else None
                sample = _sample(tensor.movedim(batch_dim or 0, 0))
            result.records[place] = Record(tuple(tensor.shape), sample, flops.total, finite)

    by_name = {
        module: (lambda _module, _args, output, module=module: keep(module, output))
        for module, _ in network.named_modules()
        if module
    }
    with _explained(name, x), seeded(seed, x.device), hooks(network, by_name):
        version = x._version
        with flops:
            output = network(x)
        result.alters_input = x._version != version
        keep("", output)
    return result


@contextmanager
def _explained(name: str, x: Tensor) -> Iterator[None]:
    try:
        yield
    except (torch.OutOfMemoryError, MetamersError):
        raise
    except Exception as error:
        text = str(error).strip().splitlines()
        reason = f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
        raise MetamersError(
            f"model {name!r} fails on an input of shape {list(x.shape)} ({reason}); does it take this size? "
            "It is set with --input-size (input_size=)"
        ) from error


def _sample(tensor: Tensor) -> Tensor:
    """Evenly spaced values of each row [N, <= SAMPLE]."""
    rows = tensor.flatten(1) if tensor.ndim > 1 else tensor[:, None]
    step = max(1, rows.shape[1] // SAMPLE)
    return rows[:, ::step][:, :SAMPLE].float().cpu().clone()


def _batch_dim(alone: tuple[int, ...], pair: tuple[int, ...]) -> int | None:
    """The dimension that is 1 for one stimulus and 2 for two, where it is the only one that differs."""
    if len(alone) != len(pair):
        return None
    differing = [i for i, (a, b) in enumerate(zip(alone, pair, strict=True)) if a != b]
    return differing[0] if len(differing) == 1 and (alone[differing[0]], pair[differing[0]]) == (1, 2) else None


def _same_rows(pair: Record, alone: list[Record], stimuli: Tensor) -> bool:
    exact = stimuli.device.type == "cpu" and stimuli.dtype == torch.float32
    return all(
        _close(pair.sample[i], record.sample.flatten(), 1e-3 if exact else 2e-2) for i, record in enumerate(alone)
    )


def _close(a: Tensor, b: Tensor, tolerance: float) -> bool:
    if a.shape != b.shape:
        return False
    finite = torch.isfinite(a) & torch.isfinite(b)
    difference, size = (a - b)[finite].abs(), b[finite].abs()
    return not difference.numel() or bool(difference.max() <= tolerance * size.max())


def _is_random(network: nn.Module, x: Tensor, name: str, first: _Pass) -> bool:
    def differs(seed: int) -> bool:
        again = _record(network, x, name, seed).records
        return any(p not in again or not _close(again[p].sample, r.sample, 1e-3) for p, r in first.records.items())

    if differs(seed=0):
        raise MetamersError(
            f"model {name!r} gives other activations in each pass, also under one seed: its metamers are not defined; "
            "take the state or the private generator out of its forward"
        )
    return differs(seed=1)


def _require_finite_weights(network: nn.Module, name: str) -> None:
    for kind, tensors in (("weight", network.named_parameters()), ("buffer", network.named_buffers())):
        for key, tensor in tensors:
            # A buffer may hold an attention mask of -inf.
            bad = torch.isnan(tensor) if kind == "buffer" else ~torch.isfinite(tensor)
            if bool(bad.any()):
                raise MetamersError(f"model {name!r}: {kind} {key!r} holds NaN or infinite values; load sound weights")


def output_of(records: Mapping[Place, Record]) -> Place:
    """The tensor that counts as the output: `logits` where there is one of that name, else the first."""
    own = [place for place in records if place.module == ""]
    return next((place for place in own if place.path == ("logits",)), own[0])


def _require_output(records: Mapping[Place, Record], batch_dims: Mapping[Place, int | None], name: str) -> None:
    if not any(place.module == "" for place in records):
        raise MetamersError(f"model {name!r} returns no floating-point tensor; let its forward return one, [N, ...]")
    output = output_of(records)
    shape = list(records[output].shape)
    if batch_dims.get(output) != 0:
        raise MetamersError(
            f"model {name!r} has an output of shape {shape} for 2 stimuli, without a batch dimension; "
            "let its forward return [N, ...]"
        )
    if not records[output].finite:
        first = next(place for place, record in records.items() if not record.finite)
        raise MetamersError(
            f"model {name!r} gives NaN or infinite activations, first at stage {first.module or 'output'!r}, "
            "for a gray image and noise; check its weights and its input range"
        )
