"""How a metamer is found: recipes as data, and one batched engine."""

from metamers.synthesis.metamers import (
    Result,
    choose_null_set,
    default_criterion,
    fit_to_model,
    synthesize,
    synthesize_batch,
)
from metamers.synthesis.recipe import Recipe
from metamers.synthesis.recipes import RECIPES, recipe_named

__all__ = [
    "RECIPES",
    "Recipe",
    "Result",
    "choose_null_set",
    "default_criterion",
    "fit_to_model",
    "recipe_named",
    "synthesize",
    "synthesize_batch",
]
