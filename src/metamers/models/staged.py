"""A network with named stages, the way every other package sees it."""

import copy
import operator
from collections.abc import Sequence
from contextlib import nullcontext
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from metamers.errors import MetamersError
from metamers.models.capture import capture
from metamers.models.compiled import Region, compile_regions, opened
from metamers.models.devices import exact_convolutions, parse_device
from metamers.models.randomness import seeded
from metamers.models.stages import StageInfo, Stages
from metamers.models.state_dicts import weights_hash
from metamers.models.trace import Trace, trace
from metamers.stimuli.written import VALUE_RANGES

PRECISIONS = ("float32", "bfloat16")


class StagedModel:
    """A network whose activations can be read at named stages.

    Takes images in [0, 1], float [N, C, H, W], or sounds in [-1, 1], [N, T]. They are mapped to `input_range` (None: as
    they are), then normalized by `mean` and `std` (one value per channel, of a sound one, in units of `input_range`),
    then given to the network, which is put into evaluation mode, frozen, and moved to `device`.

    `input_size` is (height, width), for sounds (1, samples), or None where the network takes any; a single number is a
    square. `stages` are the names or globs that "all" stands for. `classes` are class names in the order of the output;
    `decides` is false for an output that is no choice among classes, such as an embedding. `trainable` names the
    weights that were not frozen when they came.
    Raises MetamersError for values that make no sense.

    >>> network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 10))
    >>> model = StagedModel(network, name="tiny", input_size=8)
    >>> model.stages
    ('0', '1', 'output')
    >>> model.activations(torch.rand(2, 3, 8, 8), ["1"])["1"].shape
    torch.Size([2, 4, 6, 6])
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        name: str | None = None,
        spec: str | None = None,
        kind: str = "image",
        input_size: int | Sequence[int] | None = None,
        input_range: tuple[float, float] | None = None,
        channels: int = 3,
        sample_rate: int | None = None,
        mean: Sequence[float] | None = None,
        std: Sequence[float] | None = None,
        classes: Sequence[str] = (),
        decides: bool = True,
        stages: str | Sequence[str] | None = None,
        notes: Sequence[str] = (),
        device: str | torch.device = "cpu",
    ) -> None:
        self.name = name or type(network).__name__
        self.device = parse_device(device)
        exact_convolutions(self.device)
        self.trainable = frozenset(key for key, weight in network.named_parameters() if weight.requires_grad)
        self.network = _frozen(network, self.name).to(self.device)
        self.spec = spec
        self.weights: str | None = None
        self.kind = kind
        self.input_size = _size(input_size, kind)
        low, high = input_range or VALUE_RANGES.get(kind, (0.0, 1.0))
        self.input_range = (float(low), float(high))
        self.channels = channels if kind == "image" else 1
        self.sample_rate = sample_rate
        self.mean = None if mean is None else tuple(map(float, mean))
        self.std = None if std is None else tuple(map(float, std))
        self.classes = tuple(classes)
        self.decides = decides
        self._patterns = _patterns(stages)
        self._notes = tuple(notes)
        self._looks: dict[tuple[int, ...], tuple[Trace, Stages]] = {}
        self._hash: str | None = None
        self._regions: list[Region] = []
        self._prepare_constants()
        self._require_sense()

    def activations(self, x: Tensor, stages: Sequence[str], precision: str = "float32") -> dict[str, Tensor]:
        """The activations of `stages` for stimuli `x`, float32, stimuli first, differentiable.

        The pass stops at the deepest of them, whose `grad_fn` is the network's own where all stimuli run together. With
        `precision` "bfloat16" the pass runs under autocast. Raises MetamersError for an unknown stage, a wrong input,
        or a stage without a gradient where `x` wants one.
        """
        self._require_input(x)
        if precision not in PRECISIONS:
            raise MetamersError(f"no precision {precision!r}; choose float32 or bfloat16")
        look, names = self._look(x)
        sites = {stage: names.sites[stage] for stage in self._known(names, stages) if stage != "input"}
        if look.alone and len(x) > 1:
            parts = [self.activations(row[None], stages, precision) for row in x]
            return {stage: torch.cat([part[stage] for part in parts]) for stage in parts[0]}
        with torch.autocast(self.device.type, torch.bfloat16, enabled=precision == "bfloat16"):
            entering = self.entering(x)
            if not sites:
                return {"input": entering}
            given = entering.clone() if look.alters_input else entering
            modules = [site.module for site in sites.values() if site.module]
            noise = seeded(0, self.device) if look.seeded else nullcontext()
            with opened(self._regions, modules), noise:
                found = capture(self.network, given, sites)
        found["input"] = entering
        if x.requires_grad and torch.is_grad_enabled():
            self._require_gradient(found)
        return {stage: found[stage].float() for stage in stages}

    def entering(self, x: Tensor) -> Tensor:
        """What the network is given for stimuli `x`: mapped to its range, normalized, of its type."""
        (low, high), (least, most) = self.input_range, VALUE_RANGES[self.kind]
        if (low, high) != (least, most):
            x = (x - least) / (most - least) * (high - low) + low
        if self._mean is not None:
            x = x - self._mean
        if self._std is not None:
            x = x / self._std
        return x.to(self._dtype)

    def logits(self, x: Tensor) -> Tensor:
        """The output for stimuli `x`, float32 [N, K], differentiable. Raises MetamersError without a decision."""
        output = self.activations(x, ["output"])["output"]
        if output.ndim != 2 or output.shape[1] < 2:
            raise MetamersError(
                f"model {self.name!r} makes no decision: its output has shape {list(output.shape)}, not [N, classes]"
            )
        return output

    @torch.no_grad()
    def decide(self, x: Tensor) -> Tensor:
        """The class of the greatest output, int64 [N]. Raises MetamersError where there is no decision."""
        return self.logits(x).argmax(1)

    @property
    def stages(self) -> tuple[str, ...]:
        """The default stages ("all") in order of execution. Raises MetamersError without an input size."""
        return self._names().default

    @property
    def input_shape(self) -> tuple[int, ...]:
        """Of one stimulus: (channels, height, width), or (samples,). The input size must be known."""
        assert self.input_size is not None
        return (self.channels, *self.input_size) if self.kind == "image" else self.input_size[1:]

    @property
    def has_decision(self) -> bool:
        """Whether the model decides and its output is [N, K] with K > 1. Raises MetamersError without an input size."""
        shape = next(info.shape for info in self.describe() if info.name == "output")
        return self.decides and len(shape) == 1 and shape[0] > 1

    @property
    def notes(self) -> tuple[str, ...]:
        """What must be said of this model beside its results."""
        if self.input_size is None and not self._looks:
            return self._notes
        return self._notes + self._default_look()[0].notes

    def describe(self) -> list[StageInfo]:
        """Every stage in the order in which the calls finish, "input" first and "output" last.

        Raises MetamersError without an input size.
        """
        return self._names().describe()

    def resolve(self, patterns: Sequence[str]) -> tuple[str, ...]:
        """Stage names for names, globs, "all" (the default stages) and "*" (every stage), in order of execution.

        Raises MetamersError for a name that there is not, and without an input size.
        """
        return self._names().resolve(patterns)

    def module(self, stage: str) -> nn.Module | None:
        """The module whose output a stage is; None for "input". Raises MetamersError as `resolve` does."""
        if stage == "input":
            return None
        names = self._names()
        (known,) = self._known(names, [stage])
        return self.network.get_submodule(names.sites[known].module)

    def weights_hash(self) -> str:
        """SHA-256 (hex) of the weights: names, types, shapes and bytes of the state dict."""
        if self._hash is None:
            self._hash = weights_hash(self.network)
        return self._hash

    def with_input_size(self, size: int | Sequence[int]) -> Self:
        """The same network for stimuli of another size; weights are shared."""
        return self._changed(input_size=_size(size, self.kind), _looks={})

    def with_stages(self, stages: str | Sequence[str]) -> Self:
        """The same network with other default stages (names or globs)."""
        return self._changed(_patterns=_patterns(stages), _looks={})

    def with_notes(self, *notes: str) -> Self:
        """The same network with more to be said of it."""
        return self._changed(_notes=(*self._notes, *notes))

    def to(self, device: str | torch.device) -> Self:
        """Itself where it is on the device already, else a copy that is."""
        parsed = parse_device(device)
        if parsed == self.device:
            return self
        self._require_plain("to")
        exact_convolutions(parsed)
        changed = self._changed(network=copy.deepcopy(self.network).to(parsed), device=parsed, _looks={})
        changed._prepare_constants()
        return changed

    def copied(self) -> Self:
        """A copy with a network of its own, for weights that are to be changed."""
        self._require_plain("copied")
        return self._changed(network=copy.deepcopy(self.network), _looks={}, _hash=None)

    def channels_last(self) -> Self:
        """A copy whose weights lie channels last, which some devices compute faster; values agree but for rounding."""
        self._require_plain("channels_last")
        network = copy.deepcopy(self.network)
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        return self._changed(network=network)

    def compiled(self) -> Self:
        """A copy whose default stages run through `torch.compile`, but for those that an asked stage is or lies in.

        The first pass of each batch size may take minutes. Values agree but for rounding. Raises MetamersError without
        an input size.
        """
        self._require_plain("compiled")
        network, regions = compile_regions(self.network, self._names().trunk)
        return self._changed(network=network, _regions=regions)

    def __repr__(self) -> str:
        return f"StagedModel({self.name!r}, input_size={self.input_size}, device={str(self.device)!r})"

    def _changed(self, **attributes: Any) -> Self:
        changed = copy.copy(self)
        vars(changed).update(attributes)
        return changed

    def _require_plain(self, method: str) -> None:
        if self._regions:
            raise MetamersError(f"model {self.name!r} is compiled; call {method}() before compiled()")

    def _prepare_constants(self) -> None:
        def constant(values: tuple[float, ...] | None) -> Tensor | None:
            shape = (1, -1, 1, 1) if self.kind == "image" else (1, -1)
            return None if values is None else torch.tensor(values, device=self.device).view(shape)

        self._mean, self._std = constant(self.mean), constant(self.std)
        weights = (p.dtype for p in self.network.parameters() if p.is_floating_point())
        self._dtype = next(weights, torch.float32)

    def _look(self, x: Tensor) -> tuple[Trace, Stages]:
        """The trace for stimuli like `x`, made when such stimuli first come."""
        shape = tuple(x.shape[1:])
        if shape not in self._looks:
            self._looks[shape] = self._trace(shape)
        return self._looks[shape]

    def _default_look(self) -> tuple[Trace, Stages]:
        if self.input_size is None:
            if self._looks:
                return next(reversed(self._looks.values()))
            raise MetamersError(
                f"model {self.name!r} does not say its input size; give it with --input-size HEIGHTxWIDTH "
                "(input_size=), or --rate and --seconds where it is of sounds"
                if self.kind == "image"
                else f"model {self.name!r} does not say how long its sounds are; give --seconds (input_size=samples)"
            )
        shape = self.input_shape
        if shape not in self._looks:
            self._looks[shape] = self._trace(shape)
        return self._looks[shape]

    def _trace(self, shape: tuple[int, ...]) -> tuple[Trace, Stages]:
        generator = torch.Generator().manual_seed(0)
        noise = torch.rand((2, *shape), generator=generator)
        if self.kind == "image":
            noise[0] = 0.5
        else:
            noise = 0.2 * noise - 0.1
        with torch.no_grad(), opened(self._regions, [region.name for region in self._regions]):
            looked = trace(self.network, self.entering(noise.to(self.device)), self.name)
        return looked, Stages(self.network, looked, shape, self._patterns, self.name)

    def _names(self) -> Stages:
        return self._default_look()[1]

    def _known(self, names: Stages, stages: Sequence[str]) -> Sequence[str]:
        for stage in stages:
            if stage != "input" and stage not in names.sites:
                names.resolve([stage])
                raise MetamersError(f"{stage!r} is not one stage of model {self.name!r}; resolve() gives names")
        if not stages:
            raise MetamersError(f"no stage of model {self.name!r} is asked for; name one, or 'all'")
        return stages

    def _require_gradient(self, found: dict[str, Tensor]) -> None:
        for stage, activation in found.items():
            if not activation.requires_grad:
                raise MetamersError(
                    f"stage {stage!r} of model {self.name!r} has no gradient with respect to the input: its forward "
                    "detaches it, or runs under no_grad; choose another stage or change the forward"
                )

    def _require_input(self, x: Tensor) -> None:
        expected = f"[N, {self.channels}, H, W]" if self.kind == "image" else "[N, T]"
        fits = x.ndim == 4 and x.shape[1] == self.channels if self.kind == "image" else x.ndim >= 2
        if not fits or not len(x):
            raise MetamersError(f"model {self.name!r} takes stimuli of shape {expected}, not {list(x.shape)}")
        if not x.is_floating_point():
            low, high = VALUE_RANGES[self.kind]
            raise MetamersError(f"model {self.name!r} takes floats in [{low:g}, {high:g}], not {x.dtype}; scale them")
        if x.device != self.device:
            raise MetamersError(f"stimuli are on {x.device}, model {self.name!r} on {self.device}; move one of them")

    def _require_sense(self) -> None:
        what = f"model {self.name!r}"
        if self.kind not in ("image", "sound"):
            raise MetamersError(f"{what}: kind {self.kind!r} is neither 'image' nor 'sound'")
        if not self.input_range[0] < self.input_range[1]:
            raise MetamersError(f"{what}: input range {self.input_range} is not (low, high)")
        if self.channels < 1:
            raise MetamersError(f"{what}: {self.channels} channels; give 1 or more")
        for key, values in (("mean", self.mean), ("std", self.std)):
            n = self.channels if self.kind == "image" else 1
            if values is not None and len(values) not in (1, n):
                raise MetamersError(f"{what}: {len(values)} values of {key}; give {n}, one a channel")
        if self.std is not None and min(self.std) <= 0:
            raise MetamersError(f"{what}: std {self.std} must be positive")


def _frozen(network: nn.Module, name: str) -> nn.Module:
    for key, parameter in network.named_parameters():
        if is_lazy(parameter):
            raise MetamersError(f"model {name!r}: weight {key!r} has no values yet; run the network once before")
    return network.eval().requires_grad_(False)


def _patterns(stages: str | Sequence[str] | None) -> tuple[str, ...] | None:
    return None if stages is None else (stages,) if isinstance(stages, str) else tuple(stages)


def _size(size: int | Sequence[int] | None, kind: str) -> tuple[int, int] | None:
    if size is None:
        return None
    try:
        values = [operator.index(v) for v in (size if isinstance(size, Sequence) else [size])]
    except TypeError:
        values = []
    if len(values) == 1:
        values = [values[0] if kind == "image" else 1, values[0]]
    if len(values) != 2 or min(values) < 1:
        raise MetamersError(f"input size {size!r} is not a number of pixels or (height, width)")
    return values[0], values[1]
