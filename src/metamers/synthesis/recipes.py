"""All recipes by name."""

from metamers.errors import MetamersError, nearest
from metamers.synthesis.fast import FAST
from metamers.synthesis.feather2023 import FEATHER2023, FEATHER2023_SCALED
from metamers.synthesis.hmax import HMAX
from metamers.synthesis.recipe import Recipe

RECIPES = {recipe.name: recipe for recipe in (FAST, FEATHER2023, FEATHER2023_SCALED, HMAX)}


def recipe_named(recipe: str | Recipe) -> Recipe:
    """A recipe by its name; a `Recipe` is given back. Raises MetamersError for an unknown name."""
    if isinstance(recipe, Recipe):
        return recipe
    if recipe not in RECIPES:
        raise MetamersError(f"no recipe {recipe!r}; choose one of {', '.join(RECIPES)}{nearest(recipe, RECIPES)}")
    return RECIPES[recipe]
