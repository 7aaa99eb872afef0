"""The default stages of a network: the outermost modules that its trunk runs through in order."""

import torch
from torch import nn

from metamers.models.trace import Record, Trace, output_of

FEWEST, MOST = 4, 12
SIDE_STEPS = ("Drop", "Flatten", "Identity", "Permute")
WHOLE = 0.8
"""A module with more than this share of all modules is the trunk itself, and opened."""


def trunk(network: nn.Module, trace: Trace) -> list[str]:
    """Dotted names of 4 to 12 modules in order of execution, fewer where the network has no more.

    Begins with the modules that the network itself calls and opens the largest until there are four and none is most of
    the network. Left out are
    normalization, dropout, flattening, whatever precedes the first weights, and modules that give the output itself. Of
    more than twelve, each layer with weights keeps its activation only, and of those twelve are taken evenly.
    """
    tree = _Tree(network, trace)
    chosen = tree.children[""]
    while closed := [m for m in chosen if tree.can_open(m)]:
        largest = max(closed, key=lambda m: len(tree.inside[m]))
        if len(tree.kept(chosen)) >= FEWEST and len(tree.inside[largest]) <= WHOLE * len(tree.called):
            break
        chosen = tree.opened(chosen, largest)
    while heads := [m for m in chosen if tree.is_deep_head(m)]:
        chosen = tree.opened(chosen, heads[0])
    kept = tree.kept(chosen)
    if len(kept) > MOST:
        kept = tree.without_pieces(kept)
    if len(kept) > MOST:
        kept = [kept[round(i * (len(kept) - 1) / (MOST - 1))] for i in range(MOST)]
    return kept


class _Tree:
    """The modules that a pass called, by dotted name."""

    def __init__(self, network: nn.Module, trace: Trace) -> None:
        self.modules = dict(network.named_modules())
        self.records: dict[str, Record] = {}
        for place, record in trace.records.items():
            if place.module and place.call == trace.calls[place.module]:
                self.records.setdefault(place.module, record)
        self.output = trace.records[output_of(trace.records)]
        last_calls = dict.fromkeys(place.module for place in reversed(trace.records) if place.module in self.records)
        self.called = list(last_calls)[::-1]
        self.inside: dict[str, list[str]] = {name: [] for name in ["", *self.called]}
        self.children: dict[str, list[str]] = {name: [] for name in ["", *self.called]}
        for name in self.called:
            outer = [o for o in _outer(name) if o in self.inside]
            self.children[outer[0]].append(name)
            for other in outer:
                self.inside[other].append(name)
        self.open: set[str] = set()

    def can_open(self, name: str) -> bool:
        return name not in self.open and bool(self.children[name])

    def opened(self, chosen: list[str], name: str) -> list[str]:
        """`chosen` with a module's children in its place, and the module after them if it does more than they do."""
        self.open.add(name)
        does_more = not any(self.equal(name, other) for other in self.inside[name])
        at = chosen.index(name)
        return chosen[:at] + self.children[name] + [name] * does_more + chosen[at + 1 :]

    def kept(self, chosen: list[str]) -> list[str]:
        kept: list[str] = []
        weights_seen = False
        for i, name in enumerate(chosen):
            weights_seen = weights_seen or self.has_weights(name)
            repeats = not self.has_weights(name) and any(self.equal(name, earlier) for earlier in chosen[:i])
            if weights_seen and not repeats and not self.is_output(name) and not self.is_side_step(name):
                kept.append(name)
        return kept

    def without_pieces(self, kept: list[str]) -> list[str]:
        """For each module with weights its activation, where that follows, else itself."""
        layers: list[str] = []
        for name in kept:
            if self.has_weights(name):
                layers.append(name)
            elif layers and self.is_activation(name):
                layers[-1] = name
        return layers

    def equal(self, a: str, b: str) -> bool:
        return _equal(self.records[a], self.records[b])

    def is_output(self, name: str) -> bool:
        return _equal(self.records[name], self.output)

    def is_deep_head(self, name: str) -> bool:
        """Whether a module that gives the output has layers of its own before the last."""
        layers = [m for m in self.inside[name] if self.owns_weights(m) and not _is_norm(self.modules[m])]
        return self.is_output(name) and len(layers) > 1 and self.can_open(name)

    def has_weights(self, name: str) -> bool:
        return next(self.modules[name].parameters(), None) is not None

    def owns_weights(self, name: str) -> bool:
        return next(self.modules[name].parameters(recurse=False), None) is not None

    def is_side_step(self, name: str) -> bool:
        """Normalization, alone or wrapped, dropout, flattening."""
        module = self.modules[name]
        owners = [m for m in module.modules() if next(m.parameters(recurse=False), None) is not None]
        if owners:
            return all(_is_norm(owner) for owner in owners)
        return _is_norm(module) or any(step in type(module).__name__ for step in SIDE_STEPS)

    def is_activation(self, name: str) -> bool:
        return not self.children[name] and "Pool" not in type(self.modules[name]).__name__


def _outer(name: str) -> list[str]:
    """The names around a dotted name, from the inside out, the last being ""."""
    parts = name.split(".")
    return [".".join(parts[:n]) for n in range(len(parts) - 1, -1, -1)]


def _is_norm(module: nn.Module) -> bool:
    return "norm" in type(module).__name__.lower()


def _equal(a: Record, b: Record) -> bool:
    same_size = torch.Size(a.shape).numel() == torch.Size(b.shape).numel()
    return same_size and a.sample.shape == b.sample.shape and torch.equal(a.sample, b.sample)
