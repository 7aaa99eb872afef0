"""The match of written metamers with their references: measures, decisions and verdicts."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from metamers.matching.criterion import Criterion, exceeds
from metamers.matching.measures import MEASURES, pearson_r, snr_db, spearman_rho
from metamers.matching.null import NullDistribution
from metamers.matching.representation import Representation, in_batches, represent
from metamers.models import StagedModel
from metamers.store import ROUNDING

_FUNCTIONS = {"pearson_r": pearson_r, "spearman_rho": spearman_rho, "snr_db": snr_db}


@dataclass(frozen=True)
class Match:
    """How N signals match their references, row by row: the evidence that a criterion asks for.

    `reference` and `other` are representations [N, D]; `same` answers for rows whether the decisions are the same, and
    is None for a model without a decision.
    """

    reference: Tensor
    other: Tensor
    same: Callable[[Tensor], Tensor] | None

    def measure(self, name: str, rows: Tensor) -> Tensor:
        """The measure `name` of the given rows: float64 [len(rows)], NaN where undefined."""
        rows = rows.to(self.reference.device)
        return _FUNCTIONS[name](self.reference[rows], self.other[rows])

    def same_class(self, rows: Tensor) -> Tensor | None:
        """Whether the decisions are the same: bool [len(rows)], or None."""
        return None if self.same is None else self.same(rows)


@dataclass(frozen=True)
class Judgement:
    """What is recorded of one metamer: its measures (None where undefined), decision and verdict."""

    measures: dict[str, float | None]
    same_class: bool | None
    verdict: str
    reason: str | None


@torch.no_grad()
def match(
    model: StagedModel, representation: Representation, references: Tensor, signals: Tensor, batch_size: int = 64
) -> Match:
    """Compare `signals` with `references` (both float [N, C, H, W] in [0, 1], as their files decode)."""

    def same(rows: Tensor) -> Tensor:
        return decide(model, references[rows], batch_size) == decide(model, signals[rows], batch_size)

    return Match(
        represent(model, references, representation, batch_size),
        represent(model, signals, representation, batch_size),
        same if model.has_decision else None,
    )


@torch.no_grad()
def decide(model: StagedModel, signals: Tensor, batch_size: int = 64) -> Tensor:
    """The model's decisions, computed in batches: int64 [N] on the CPU."""
    if not len(signals):
        return torch.empty(0, dtype=torch.int64)
    return in_batches(lambda x: model.decide(x.to(model.device)).cpu(), signals, batch_size)


def judge(evidence: Match, criterion: Criterion, null: NullDistribution | None) -> list[Judgement]:
    """The judgement of each row: `passed`, `failed`, `no null`, or `error` where the match is undefined."""
    n = len(evidence.reference)
    rows = torch.arange(n)
    known = _Known({name: evidence.measure(name, rows).cpu() for name in MEASURES}, evidence.same_class(rows))
    held = criterion.holds(known, null, n)
    judgements = []
    for i in range(n):
        measures = {name: _number(float(known.measures[name][i])) for name in MEASURES}
        same_class = None if known.same is None else bool(known.same[i])
        judgements.append(
            Judgement(measures, same_class, *_verdict(measures, same_class, bool(held[i]), criterion, null))
        )
    return judgements


@dataclass(frozen=True)
class _Known:
    """Evidence that has been measured already."""

    measures: dict[str, Tensor]
    same: Tensor | None

    def measure(self, name: str, rows: Tensor) -> Tensor:
        return self.measures[name][rows]

    def same_class(self, rows: Tensor) -> Tensor | None:
        return None if self.same is None else self.same[rows]


def _verdict(
    measures: dict[str, float | None],
    same: bool | None,
    held: bool,
    criterion: Criterion,
    null: NullDistribution | None,
) -> tuple[str, str | None]:
    undefined = [name for name, _ in criterion.above if measures[name] is None]
    if undefined:
        return "error", f"{undefined[0]} is undefined: an activation is constant or not finite"
    if null is None and criterion.above:
        return "no null", None
    if held:
        return "passed", None
    below = []
    for name, quantile in criterion.above:
        value, limit = measures[name], null.quantile(name, quantile) if null is not None else -torch.inf
        if value is not None and not exceeds(name, torch.tensor(value, dtype=torch.float64), limit):
            equal = name != "snr_db" and abs(value - limit) <= ROUNDING
            below.append(f"{name} {value:.4g} is {'' if equal else 'not above '}the null's {quantile} {limit:.4g}")
    if criterion.same_decision and same is False:
        below.append("the model's decision differs from the reference's")
    return "failed", "; ".join(below)


def _number(value: float) -> float | None:
    # An exact match has an infinite SNR, which JSON cannot hold; 999 dB is above any float32 match.
    if value != value:
        return None
    return min(max(value, -999.0), 999.0)
