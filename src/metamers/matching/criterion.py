"""When a metamer counts as one: conditions on the match, combined with `&`."""

from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from metamers.errors import MetamersError, nearest
from metamers.matching.measures import MEASURES
from metamers.matching.null import QUANTILES, NullDistribution
from metamers.store import PERFECT_CORRELATION, ROUNDING


class Evidence(Protocol):
    """What is known of the match of N metamers; measured when asked for, as measures differ in cost."""

    def measure(self, name: str, rows: Tensor) -> Tensor:
        """The measure `name` of the given rows (int64 indices): float [len(rows)], NaN where undefined."""

    def same_class(self, rows: Tensor) -> Tensor | None:
        """Whether the model decides as for the reference: bool [len(rows)]; None for a model without a decision."""


@dataclass(frozen=True)
class Criterion:
    """Conditions that must all hold, checked from the cheapest on.

    `above` maps measures to the quantile of the null distribution that they must exceed: "max" or one such as "0.999".

    >>> print(AboveNull("pearson_r") & SameDecision())
    pearson_r > null max & same decision
    """

    above: tuple[tuple[str, str], ...] = ()
    same_decision: bool = False

    def __and__(self, other: "Criterion") -> "Criterion":
        merged = (*self.above, *(pair for pair in other.above if pair not in self.above))
        ordered = tuple(sorted(merged, key=lambda pair: _COST[pair[0]]))
        return Criterion(ordered, self.same_decision or other.same_decision)

    def __str__(self) -> str:
        parts = [f"{measure} > null {quantile}" for measure, quantile in self.above]
        return " & ".join(parts + ["same decision"] * self.same_decision) or "none"

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return {"above": [list(pair) for pair in self.above], "same_decision": self.same_decision}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Criterion":
        """The inverse of `to_json`."""
        return cls(tuple((str(m), str(q)) for m, q in value["above"]), bool(value["same_decision"]))

    def holds(self, evidence: Evidence, null: NullDistribution | None, n: int) -> Tensor:
        """Which of the N metamers meet every condition: bool [N]. Without a null, those on measures cannot be met."""
        held = torch.zeros(n, dtype=torch.bool)
        if self.above and null is None:
            return held
        rows = torch.arange(n)
        for measure, quantile in self.above:
            assert null is not None
            rows = rows[exceeds(measure, evidence.measure(measure, rows), null.quantile(measure, quantile)).cpu()]
            if not len(rows):
                return held
        same = evidence.same_class(rows) if self.same_decision else None
        held[rows if same is None else rows[same.cpu()]] = True
        return held


def exceeds(measure: str, values: Tensor, limit: float) -> Tensor:
    """Whether values [N] of a measure lie above a limit of the null: bool [N].

    Correlations within 1e-6 are equal, as those of few units often are, and equal is not above. But a perfect
    correlation cannot be exceeded: where the null's limit is 1 (a stage of few units ranks some pairs of images alike),
    a correlation of 1 is enough.
    """
    if measure == "snr_db":
        return values > limit
    return (values > limit + ROUNDING) | (values >= PERFECT_CORRELATION)


_COST = {"pearson_r": 0, "snr_db": 1, "spearman_rho": 2}


def AboveNull(measure: str | None = None, quantile: str = "max") -> Criterion:  # noqa: N802 - reads as a condition
    """`measure` (all three where none is named) must exceed the null distribution's maximum, or a named quantile.

    Raises MetamersError for an unknown measure or quantile.
    """
    if quantile not in ("max", *QUANTILES):
        raise MetamersError(f"no null quantile {quantile!r}; choose max, {', '.join(QUANTILES)}")
    if measure is not None and measure not in MEASURES:
        raise MetamersError(f"no measure {measure!r}; choose one of {', '.join(MEASURES)}{nearest(measure, MEASURES)}")
    names = MEASURES if measure is None else (measure,)
    return Criterion(tuple((name, quantile) for name in sorted(names, key=_COST.__getitem__)))


def SameDecision() -> Criterion:  # noqa: N802 - reads as a condition
    """The generating model must give the metamer the class that it gives the reference (not: the true label)."""
    return Criterion(same_decision=True)


PUBLISHED = AboveNull() & SameDecision()
"""The criterion of Feather et al. (2023): all three measures above the null's maximum, and the same decision."""
