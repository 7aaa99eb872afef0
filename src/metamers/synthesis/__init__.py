"""How a metamer is found: recipes as data, and one batched engine."""

from metamers.synthesis.metamers import (
    Result,
    choose_null_set,
    default_criterion,
    synthesize,
    synthesize_batch,
)
from metamers.synthesis.recipe import Recipe
from metamers.synthesis.recipes import RECIPES, recipe_named
from metamers.synthesis.units import require_units

__all__ = [
    "RECIPES",
    "Recipe",
    "Result",
    "choose_null_set",
    "default_criterion",
    "recipe_named",
    "require_units",
    "synthesize",
    "synthesize_batch",
]
