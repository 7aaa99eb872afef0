"""All recipes by name."""

from collections.abc import Mapping
from dataclasses import replace

from metamers.errors import MetamersError, nearest
from metamers.synthesis.adam import ADAM, ADAM_SOUND
from metamers.synthesis.fast import FAST, FAST_SOUND
from metamers.synthesis.feather2023 import FEATHER2023, FEATHER2023_SCALED
from metamers.synthesis.hmax import HMAX
from metamers.synthesis.recipe import Recipe
from metamers.synthesis.spectemp import SPECTEMP

SOUND_START_STD = 1e-7
"""Of the noise that the published search for a sound starts from (Feather et al., 2023, Methods)."""

_PUBLISHED = (FEATHER2023, FEATHER2023_SCALED)
RECIPES: Mapping[str, dict[str, Recipe]] = {
    "image": {recipe.name: recipe for recipe in (FAST, ADAM, *_PUBLISHED, HMAX)},
    "sound": {
        recipe.name: recipe
        for recipe in (
            *(FAST_SOUND, ADAM_SOUND, SPECTEMP),
            *(replace(recipe, start_std=SOUND_START_STD) for recipe in _PUBLISHED),
        )
    },
}
"""By the kind of stimulus and by name."""


def recipe_named(recipe: str | Recipe, kind: str | None = "image") -> Recipe:
    """A recipe by its name, for a kind of stimulus (None: any); a `Recipe` is given back. Raises MetamersError for
    another name."""
    if isinstance(recipe, Recipe):
        return recipe
    known = RECIPES["image"] | RECIPES["sound"] if kind is None else RECIPES[kind]
    if recipe not in known:
        of = f" for {kind}s" if kind else ""
        raise MetamersError(f"no recipe {recipe!r}{of}; choose one of {', '.join(known)}{nearest(recipe, known)}")
    return known[recipe]
