"""How alike the activations of unrelated stimuli are: the null distribution that a metamer must exceed."""

import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from metamers.errors import MetamersError
from metamers.matching.measures import MEASURES, average_ranks, standardize, wide
from metamers.matching.representation import Representation, represent
from metamers.models import StagedModel, fitted
from metamers.stimuli import StimulusSet

MIN_OWN = 200
"""Different stimuli needed for the stimuli under study to serve as their own null set."""
MIN_GIVEN = 50
"""Different stimuli needed in a null set named by the user."""
QUANTILES = ("0.5", "0.9", "0.95", "0.99", "0.999", "0.9999")
_AT_ONCE = 4_000_000
"""Values of the pairs whose difference is taken at once."""

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class NullMeasure:
    """One measure's values over the pairs: maximum, quantiles by name, and a histogram (`edges` one longer)."""

    max: float
    quantiles: dict[str, float]
    histogram: dict[str, list[float]]


@dataclass(frozen=True)
class NullDistribution:
    """Pearson r, Spearman rho and SNR (dB) between the activations of pairs of different stimuli of one set.

    `n_zero` counts the stimuli whose activation is constant (mostly: all zero), for which no measure is defined; pairs
    with them are left out, not scored.
    """

    model: str
    stage: str
    set: str
    n_images: int
    n_pairs: int
    n_zero: int
    seed: int
    measures: dict[str, NullMeasure]
    weights_hash: str = ""
    """Of the model, where known."""

    def quantile(self, measure: str, quantile: str = "max") -> float:
        """The maximum ("max") or a stored quantile of a measure. Raises MetamersError for one that is not stored."""
        values = self.measures[measure]
        if quantile == "max":
            return values.max
        if quantile not in values.quantiles:
            raise MetamersError(f"no null quantile {quantile!r}; choose max, {', '.join(values.quantiles)}")
        return values.quantiles[quantile]

    def to_json(self) -> dict[str, Any]:
        """As plain values."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "NullDistribution":
        """The inverse of `to_json`."""
        fields = {name: value[name] for name in cls.__dataclass_fields__ if name in value and name != "measures"}
        return cls(**fields, measures={name: NullMeasure(**m) for name, m in value["measures"].items()})


def different(stimuli: StimulusSet) -> list[int]:
    """The indices of the first occurrence of each different stimulus."""
    first: dict[str, int] = {}
    for i in range(len(stimuli)):
        first.setdefault(stimuli.hash(i), i)
    return list(first.values())


def null_distribution(
    model: StagedModel,
    representation: Representation,
    stimuli: StimulusSet,
    *,
    pairs: int = 1_000_000,
    seed: int = 0,
    batch_size: int = 64,
    memory: float = 1e9,
    progress: Progress = lambda done, total: None,
) -> NullDistribution:
    """The null distribution from `pairs` pairs of different stimuli of the set, which is fitted to the model's input.

    The set is put in a random order (`seed`), and each stimulus is paired with those a little before it, so that all
    are used alike and memory is bounded (`memory`, bytes): activations stream through a window. Where the window is too
    small for the pairs wanted, the set is run through again in another order, and a pair may come again. Fewer pairs
    are used where the set has no more. Raises MetamersError where no pair has a defined measure.
    """
    wanted = (model.input_size, model.channels, model.sample_rate or stimuli.sample_rate)
    if model.input_size is not None and (stimuli.size, stimuli.channels, stimuli.sample_rate) != wanted:
        stimuli = fitted(stimuli, model)
    usable = different(stimuli)
    n_images, n_constant = len(usable), 0
    pairs = min(pairs, math.comb(n_images, 2))
    blocks: list[NDArray[np.float32]] = []  # [3, pairs of a block]
    found = 0
    for run in itertools.count():
        order = [usable[i] for i in np.random.default_rng([seed, run]).permutation(len(usable))]
        constant: list[bool] = []
        window = _window(pairs, len(usable))
        for block, is_constant in _stream(model, representation, stimuli, order, window, batch_size, memory):
            blocks.append(block[:, : pairs - found])
            found += blocks[-1].shape[1]
            constant += is_constant
            progress(found, pairs)
            if run > 0 and found == pairs:
                break
        if run == 0:
            usable = [i for i, is_constant in zip(order, constant, strict=True) if not is_constant]
            n_constant = n_images - len(usable)
            pairs = min(pairs, math.comb(len(usable), 2))
        if found >= pairs:
            break
    if not found:
        raise MetamersError(f"stage {representation.name!r} is constant for {stimuli.name}: no match can be defined")
    progress(found, found)
    return NullDistribution(
        *(model.name, representation.name, stimuli.name, n_images, found, n_constant, seed),
        measures=_summarize(np.hstack(blocks)),
        weights_hash=model.weights_hash(),
    )


def _window(pairs: int, n: int) -> int:
    """How far back in a row of n each is paired for `pairs` pairs: the least w with n w - w (w + 1) / 2 >= pairs."""
    return min(n - 1, math.ceil(n - 0.5 - math.sqrt(max((n - 0.5) ** 2 - 2 * pairs, 0.0))))


def _stream(
    model: StagedModel,
    representation: Representation,
    stimuli: StimulusSet,
    order: list[int],
    window: int,
    batch_size: int,
    memory: float,
) -> Iterator[tuple[NDArray[np.float32], list[bool]]]:
    """For each block of stimuli, the measures [3, pairs] of its pairs with those up to `window` before, and which of
    the block are constant."""
    kept: _Rows | None = None
    for start in range(0, len(order), batch_size):
        signals = stimuli.read(order[start : start + batch_size])
        rows = _Rows.of(represent(model, signals, representation, batch_size))
        if kept is None:
            affordable = int(memory / (2 * rows.z.element_size() * rows.z.shape[1]))
            window = max(1, min(window, affordable))
        both = rows if kept is None else kept.followed_by(rows)
        yield _measures(both, len(rows.z), window), rows.z[:, 0].isnan().tolist()
        kept = both.last(window)


@dataclass
class _Rows:
    """What pairs are measured from: standardized activations and ranks [n, D], and mean, spread and norm [n]."""

    z: Tensor
    ranks: Tensor
    mean: Tensor
    spread: Tensor
    norm: Tensor

    @classmethod
    def of(cls, activations: Tensor) -> "_Rows":
        values = wide(activations)
        mean = values.mean(1)
        spread = torch.linalg.vector_norm(values - mean[:, None], dim=1)
        ranks = standardize(wide(average_ranks(activations)))
        norm = torch.linalg.vector_norm(values, dim=1)
        return cls(standardize(values).float(), ranks.float(), mean, spread, norm)

    def followed_by(self, other: "_Rows") -> "_Rows":
        return _Rows(*(torch.cat([a, b]) for a, b in zip(self._columns(), other._columns(), strict=True)))

    def last(self, n: int) -> "_Rows":
        return _Rows(*(column[-n:] for column in self._columns()))

    def squared_distances(self, i: Tensor, j: Tensor) -> Tensor:
        """||a - b||^2 of the rows at `i` and those at `j`, from their difference."""
        spread = self.spread[i, None] * self.z[i] - self.spread[j, None] * self.z[j]
        return spread.square().sum(1) + spread.shape[1] * (self.mean[i] - self.mean[j]) ** 2

    def _columns(self) -> tuple[Tensor, ...]:
        return self.z, self.ranks, self.mean, self.spread, self.norm


def _measures(rows: _Rows, n_new: int, window: int) -> NDArray[np.float32]:
    """Measures [3, pairs] of the last `n_new` rows with each of up to `window` rows before them (the references)."""
    first_new = len(rows.z) - n_new
    position = torch.arange(len(rows.z), device=rows.z.device)
    lag = position[first_new:, None] - position[None]
    r = (rows.z[first_new:] @ rows.z.T).to(rows.norm.dtype)
    rho = rows.ranks[first_new:] @ rows.ranks.T
    size = rows.z.shape[1]
    product = r * rows.spread[first_new:, None] * rows.spread + size * rows.mean[first_new:, None] * rows.mean
    squared = rows.norm[first_new:, None] ** 2 + rows.norm**2 - 2 * product
    # A constant row makes r NaN: its pairs are left out.
    chosen = (lag > 0) & (lag <= window) & ~r.isnan()
    # Of nearly equal activations nothing but rounding would be left of the difference of squares.
    close = (chosen & (squared < 1e-4 * rows.norm**2)).nonzero()
    for pairs in close.split(max(1, _AT_ONCE // size)):
        new, old = pairs.T
        squared[new, old] = rows.squared_distances(first_new + new, old)
    snr = 10 * torch.log10(rows.norm / squared.clamp(min=torch.finfo(squared.dtype).tiny).sqrt())
    correlations = [x[chosen].float().clamp(-1, 1) for x in (r, rho)]
    return torch.stack([correlations[0], correlations[1], snr[chosen].float()]).cpu().numpy()


def _summarize(values: NDArray[np.float32]) -> dict[str, NullMeasure]:
    summary = {}
    for name, row in zip(MEASURES, values, strict=True):
        counts, edges = np.histogram(row, bins=100)
        quantiles = {
            q: float(v) for q, v in zip(QUANTILES, np.quantile(row, [float(q) for q in QUANTILES]), strict=True)
        }
        summary[name] = NullMeasure(float(row.max()), quantiles, {"edges": edges.tolist(), "counts": counts.tolist()})
    return summary
