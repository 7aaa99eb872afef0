"""Which units of a stage are matched, where a recipe does not match all of them at every step."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from metamers.errors import MetamersError
from metamers.matching import Representation
from metamers.models import StagedModel
from metamers.synthesis.recipe import Recipe

SINGLE_STEPS, DRAW_EVERY = 400, 50
CUTOFF_STEPS = 400
CUTOFFS = ((0.0, 0.0), (0.5, 0.0625), (1.0, 0.125), (2.0, 0.25), (4.0, 0.5), (8.0, 1.0), (16.0, 2.0))
"""Temporal rates (Hz) and spectral scales (cycles per ERB) up to which filters are matched, one after the other."""


@dataclass(frozen=True)
class Units:
    """The units of a stage: `sizes` are the columns of each, in order, of its activation [N, D]; `modulations` the
    temporal rate and the spectral scale of each, where it has them."""

    sizes: tuple[int, ...]
    modulations: tuple[tuple[float, float], ...] = ()


Choice = Callable[[Recipe, Units, torch.Generator], Mapping[int, Tensor | None]]
"""The units of one cell, bool [U] (None: all), by the step from which they are matched; the first is step 0."""


def random_single(recipe: Recipe, units: Units, generator: torch.Generator) -> Mapping[int, Tensor | None]:
    """One unit, drawn every 50 of the first 400 steps at each step size but the last; else all.

    Source: Feather et al. (2023), the objective of HMAX (robustness/custom_synthesis_losses.py). A stage of one unit
    is always matched whole.
    """
    chosen: dict[int, Tensor | None] = {0: None}
    blocks = -(-recipe.steps // recipe.halve_every)
    for begin in range(0, (blocks - 1) * recipe.halve_every, recipe.halve_every):
        end = min(begin + SINGLE_STEPS, begin + recipe.halve_every)
        for step in range(begin, end, DRAW_EVERY):
            unit = torch.randint(len(units.sizes), (), generator=generator)
            chosen[step] = torch.arange(len(units.sizes)) == unit
        chosen[end] = None
    return chosen if len(units.sizes) > 1 else {0: None}


def coarse_to_fine(recipe: Recipe, units: Units, generator: torch.Generator) -> Mapping[int, Tensor | None]:
    """At each step size but the last: every 400 steps, the filters up to the next of `CUTOFFS` in rate or in scale.

    Source: Feather et al. (2023), the objective of SpecTemp (robustness/custom_synthesis_losses.py). A stage whose
    units have no rate and scale is always matched whole.
    """
    chosen: dict[int, Tensor | None] = {0: None}
    blocks = -(-recipe.steps // recipe.halve_every)
    for begin in range(0, (blocks - 1) * recipe.halve_every, recipe.halve_every):
        for i, (most_rate, most_scale) in enumerate(CUTOFFS):
            if i * CUTOFF_STEPS < recipe.halve_every:
                up_to = [abs(rate) <= most_rate or scale <= most_scale for rate, scale in units.modulations]
                chosen[begin + i * CUTOFF_STEPS] = torch.tensor(up_to)
        chosen[begin + recipe.halve_every] = None
    return chosen if units.modulations else {0: None}


CHOICES: Mapping[str, Choice] = {"random_single": random_single, "coarse_to_fine": coarse_to_fine}
"""By the value of a recipe's `units`."""


@dataclass(frozen=True)
class Matched:
    """The units of each of N stimuli, [N, U] of 0 and 1 (None: all), by the step from which they are matched."""

    sizes: tuple[int, ...]
    by_step: Mapping[int, Tensor | None]

    def norm(self, difference: Tensor, chosen: Tensor) -> Tensor:
        """The Euclidean norm [N] of the columns of `difference` [N, D] that belong to the chosen units [N, U]."""
        if len(set(self.sizes)) == 1:
            norms = torch.linalg.vector_norm(difference.unflatten(1, (len(self.sizes), -1)), dim=2)
        else:
            parts = difference.split(self.sizes, 1)
            norms = torch.stack([torch.linalg.vector_norm(part, dim=1) for part in parts], 1)
        norm: Tensor = torch.linalg.vector_norm(norms * chosen, dim=1)
        return norm


def matched_units(
    model: StagedModel, representation: Representation, recipe: Recipe, reference: Tensor, seeds: Sequence[int]
) -> Matched | None:
    """What each stimulus's own seed chooses to match; None where the recipe matches all units at every step.

    `reference` [1, ...] is a signal like theirs. Raises MetamersError as `require_units` does.
    """
    if recipe.units == "all":
        return None
    require_units(recipe, representation)
    units = units_of(model, representation.stages[0], reference)
    # Neither the start's stream (the seed) nor that of the noise added on the way (the seed and the step).
    chosen = [CHOICES[recipe.units](recipe, units, torch.Generator().manual_seed(~seed)) for seed in seeds]
    by_step: dict[int, Tensor | None] = {}
    for step in chosen[0]:
        masks = [mask for at in chosen if (mask := at[step]) is not None]
        by_step[step] = torch.stack(masks).float() if masks else None
    return Matched(units.sizes, by_step)


def require_units(recipe: Recipe, representation: Representation) -> None:
    """Raises MetamersError where a recipe matches single units, but not one stage is matched as it is."""
    if recipe.units != "all" and representation != Representation(representation.stages[:1]):
        raise MetamersError(
            f"recipe {recipe.name!r} matches single units, of one stage as it is, not of {representation.name!r}; "
            "choose one stage and the objective 'activation', or set units=all"
        )


def units_of(model: StagedModel, stage: str, reference: Tensor) -> Units:
    """The units of a stage for a signal [1, ...]: what its module says (`unit_sizes`, `modulations`), else the channels
    (or tokens) of an activation [N, C, ...], else one.
    """
    with torch.no_grad():
        activation = model.activations(reference.to(model.device), [stage])[stage]
    module = model.module(stage)
    sizes = getattr(module, "unit_sizes", None)
    if sizes is None:
        n = activation.shape[1] if activation.ndim > 2 else 1
        sizes = (activation.numel() // n,) * n
    return Units(sizes, getattr(module, "modulations", ()))
