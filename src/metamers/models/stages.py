"""The names of a network's stages."""

import fnmatch
from collections.abc import Sequence
from dataclasses import dataclass, replace

from torch import nn

from metamers.errors import MetamersError, nearest
from metamers.models.capture import Site
from metamers.models.trace import Place, Trace, output_of
from metamers.models.trunk import trunk

FRAMES = ("input", "output")
"""Names that are not a module's: a module of that name answers to `output@1`."""


@dataclass(frozen=True)
class StageInfo:
    """A stage that can be matched.

    `shape` is without the batch. `cost_share` is the part of the forward pass (operations of matrix products,
    convolutions and attention; without any of them, calls) that is done when it is known, 0 to 1. `module` is a class
    name. `default`: "all" means it too. `same_as` is the stage that it is another name for, or "".
    """

    name: str
    shape: tuple[int, ...]
    cost_share: float
    module: str
    default: bool
    same_as: str = ""


class Stages:
    """The stages of one network for one input size, in order of execution.

    `sites` maps every accepted name but "input" to where its activation is read. `default` are the stages called "all".
    """

    def __init__(
        self, network: nn.Module, trace: Trace, input_shape: Sequence[int], patterns: Sequence[str] | None, model: str
    ) -> None:
        self.model = model
        self._trace = trace
        self._classes = {name: type(module).__name__ for name, module in network.named_modules()}
        self.sites: dict[str, Site] = {}
        self._refused = {place.module or "output": reason for place, reason in trace.refused.items()}
        self._listed: list[StageInfo] = [StageInfo("input", tuple(input_shape), 0.0, "", False)]
        self._list()
        self._order = {info.name: i for i, info in enumerate(self._listed)}
        self.trunk = trunk(network, trace)
        self.default: tuple[str, ...] = (*self.trunk, "output")
        if patterns is not None:
            self.default = self.resolve(patterns)

    def describe(self) -> list[StageInfo]:
        """Every stage in the order in which the calls finish."""
        return [replace(info, default=info.name in self.default) for info in self._listed]

    def resolve(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """The stages that names, globs, "all" (the default ones) and "*" (every one) stand for, in order, each once.

        Raises MetamersError for a name or glob that fits none.
        """
        if isinstance(patterns, str):
            patterns = [patterns]
        names = dict.fromkeys(name for pattern in patterns for name in self._matching(pattern))
        return tuple(sorted(names, key=self._position))

    def _matching(self, pattern: str) -> Sequence[str]:
        if pattern == "all":
            return self.default
        if pattern == "input" or pattern in self.sites:
            return [pattern]
        if "*" in pattern or "?" in pattern:
            glob = pattern.replace("[", "[[]")
            if found := [i.name for i in self._listed if not i.same_as and fnmatch.fnmatchcase(i.name, glob)]:
                return found
        if pattern in self._refused:
            reason = self._refused[pattern]
            raise MetamersError(
                f"stage {pattern!r} of model {self.model!r} cannot be matched ({reason}); choose another"
            )
        hint = nearest(pattern, [info.name for info in self._listed])
        raise MetamersError(
            f"model {self.model!r} has no stage {pattern!r}{hint or '; `metamers stages MODEL` lists them'}"
        )

    def _position(self, name: str) -> int:
        if name in self._order:
            return self._order[name]
        same = self.sites[name]
        return next(i for i, info in enumerate(self._listed) if self.sites.get(info.name) == same)

    def _list(self) -> None:
        records = self._trace.records
        output = output_of(records)
        for place in [*(p for p in records if p != output), output]:
            record, site = records[place], self._trace.sites[place]
            shape = tuple(n for i, n in enumerate(record.shape) if i != site.batch_dim)
            name, aliases = _names(place, self._trace, is_output=place == output)
            info = StageInfo(name, shape, record.cost, self._classes[place.module], False)
            self._listed.append(info)
            if place.module in aliases and place.module != name:
                self._listed.append(replace(info, name=place.module, same_as=name))
            self.sites.update(dict.fromkeys((name, *aliases), site))


def _names(place: Place, trace: Trace, is_output: bool) -> tuple[str, list[str]]:
    """The name that tells a tensor from all others, and every name that it answers to."""
    module, call, path = place
    keys = "".join(f"[{key}]" for key in path)
    if not module:
        return ("output" if is_output else f"output{keys}"), [f"output{keys}"]
    together = [p for p in trace.records if p[:2] == (module, call)]
    heads = [f"{module}@{call}"]
    if call == trace.calls[module] and module not in FRAMES:
        heads.insert(0, module)
    tails = ["", keys] if together[0] == place else [keys]
    head = heads[-1] if trace.calls[module] > 1 else heads[0]
    return head + keys * (len(together) > 1), [head + tail for head in heads for tail in tails]
