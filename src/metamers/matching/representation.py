"""What is matched: the activations of one stage or several, or a summary of them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch
from torch import Tensor

from metamers.errors import MetamersError, nearest
from metamers.models import StagedModel

Summary = Callable[[Tensor], Tensor]


def spatial_mean(activation: Tensor) -> Tensor:
    """The mean over positions: [N, C, H, W] to [N, C]; [N, T, C] (tokens) to [N, C]."""
    if activation.ndim == 3:
        return activation.mean(1)
    return _positions(activation, "spatial_mean").mean(2)


def gram_matrix(activation: Tensor) -> Tensor:
    """Products of channels averaged over positions (Gatys et al., 2015, arXiv:1505.07376): [N, C, H, W] to [N, C * C].

    Tokens [N, T, C] are positions.
    """
    if activation.ndim == 3:
        activation = activation.transpose(1, 2)
    maps = _positions(activation, "gram")
    return (maps @ maps.transpose(1, 2) / maps.shape[2]).flatten(1)


SUMMARIES: Mapping[str, Summary] = {
    "activation": lambda activation: activation.flatten(1),
    "spatial_mean": spatial_mean,
    "gram": gram_matrix,
}


@dataclass(frozen=True)
class Representation:
    """Stages of a model and how they are summarized: the vector that a metamer shares with its reference.

    Several stages are matched as one vector, each stage multiplied by its weight over the square root of its size.
    `summary` is a name of `SUMMARIES` or a function of an activation that gives [N, ...]. `channels` selects from dim 1
    of [N, C, ...], or the last dim of tokens [N, T, C]; `tokens` from dim 1 of tokens.
    """

    stages: tuple[str, ...]
    weights: tuple[float, ...] = ()
    summary: str | Summary = "activation"
    channels: tuple[int, ...] | None = None
    tokens: tuple[int, ...] | None = None

    def __post_init__(self) -> None:
        if not self.stages:
            raise MetamersError("no stage to match; name at least one")
        if isinstance(self.summary, str) and self.summary not in SUMMARIES:
            names = ", ".join(SUMMARIES)
            raise MetamersError(
                f"no objective {self.summary!r}; choose one of {names}{nearest(self.summary, SUMMARIES)}"
            )
        if not isinstance(self.summary, str) and self._summary_name in SUMMARIES:
            raise MetamersError(f"objective {self._summary_name!r} has the name of one of the package's; rename it")
        if self.weights and len(self.weights) != len(self.stages):
            raise MetamersError(f"{len(self.weights)} weights for {len(self.stages)} stages; give one for each stage")
        if any(not weight > 0 for weight in self.weights):
            raise MetamersError(
                f"stage weights {self.weights} must be positive; leave out a stage that should not count"
            )
        for what in ("channels", "tokens"):
            if getattr(self, what) == ():
                raise MetamersError(f"no {what} to match; name at least one, or leave them out for all")

    @property
    def name(self) -> str:
        """How cells name it: the stages, joined by +, and what differs from their plain activations."""
        name = "+".join(
            stage if weight == 1 else f"{weight:g}*{stage}"
            for stage, weight in zip(self.stages, self._weights, strict=True)
        )
        if self.summary != "activation":
            name += f".{self._summary_name}"
        for what in ("channels", "tokens"):
            if (chosen := getattr(self, what)) is not None:
                name += f".{what}{','.join(map(str, chosen))}"
        return name

    def to_json(self) -> dict[str, Any]:
        """As plain values; a summary of one's own is given by its name."""
        return {**asdict(self), "summary": self._summary_name}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Representation":
        """The inverse of `to_json`. Raises MetamersError for a summary that is not this package's."""
        lists = {k: None if value[k] is None else tuple(value[k]) for k in ("stages", "weights", "channels", "tokens")}
        return cls(**lists, summary=value["summary"])  # type: ignore[arg-type]

    def of(self, activations: Mapping[str, Tensor]) -> Tensor:
        """The representation, float [N, D], from the activations of (at least) its stages."""
        parts = [self._summarize(self._select(activations[stage], stage)) for stage in self.stages]
        if len(parts) == 1:
            return parts[0]
        return torch.cat([part * (w / part.shape[1] ** 0.5) for part, w in zip(parts, self._weights, strict=True)], 1)

    @property
    def _weights(self) -> tuple[float, ...]:
        return self.weights or (1.0,) * len(self.stages)

    @property
    def _summary_name(self) -> str:
        return self.summary if isinstance(self.summary, str) else str(getattr(self.summary, "__name__", "own"))

    def _summarize(self, activation: Tensor) -> Tensor:
        summary = SUMMARIES[self.summary] if isinstance(self.summary, str) else self.summary
        summarized = summary(activation)
        if not isinstance(summarized, Tensor) or summarized.ndim < 2 or len(summarized) != len(activation):
            found = list(summarized.shape) if isinstance(summarized, Tensor) else type(summarized).__name__
            raise MetamersError(
                f"objective {self._summary_name!r} gave {found} for {len(activation)} stimuli; it must give [N, ...]"
            )
        return summarized.flatten(1)

    def _select(self, activation: Tensor, stage: str) -> Tensor:
        is_tokens = activation.ndim == 3
        if self.channels is not None:
            activation = _take(activation, 2 if is_tokens else 1, self.channels, stage, "channels")
        if self.tokens is not None:
            if not is_tokens:
                raise MetamersError(f"stage {stage!r} has no tokens (shape {list(activation.shape[1:])}); use channels")
            activation = _take(activation, 1, self.tokens, stage, "tokens")
        return activation


@torch.no_grad()
def represent(model: StagedModel, signals: Tensor, representation: Representation, batch_size: int = 64) -> Tensor:
    """The representation of `signals` [N, C, H, W], computed in batches without gradients: float [N, D]."""
    return in_batches(
        lambda x: representation.of(model.activations(x.to(model.device), representation.stages)), signals, batch_size
    )


def in_batches(function: Callable[[Tensor], Tensor], signals: Tensor, batch_size: int) -> Tensor:
    """`function` of `signals` in batches, joined. A batch that does not fit in memory is halved."""
    try:
        return torch.cat([function(x) for x in signals.split(batch_size)])
    except RuntimeError as error:
        if batch_size == 1 or len(signals) == 1 or not is_out_of_memory(error):
            raise
    return in_batches(function, signals, min(batch_size, len(signals)) // 2)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on a GPU or the CPU."""
    text = str(error).lower()
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in text or "can't allocate memory" in text


def _take(activation: Tensor, dim: int, chosen: Sequence[int], stage: str, what: str) -> Tensor:
    size = activation.shape[dim]
    if outside := [i for i in chosen if not 0 <= i < size]:
        raise MetamersError(f"stage {stage!r} has {size} {what}, so no {outside[0]}; choose from 0 to {size - 1}")
    return activation.index_select(dim, torch.tensor(chosen, device=activation.device))


def _positions(activation: Tensor, summary: str) -> Tensor:
    """[N, C, ...] as [N, C, positions]."""
    if activation.ndim < 3:
        shape = list(activation.shape[1:])
        raise MetamersError(f"objective {summary!r} needs positions, but the stage has shape {shape}; use activation")
    return activation.flatten(2)
