"""Recipes as data."""

import json

import pytest

from metamers.errors import MetamersError
from metamers.synthesis import RECIPES, Recipe, recipe_named


def own_penalty(x):
    return x.flatten(1).mean(1)


def test_recipes_are_found_by_name_and_survive_being_given():
    both = {"fast", "adam", "feather2023", "feather2023-scaled"}
    assert {kind: set(recipes) for kind, recipes in RECIPES.items()} == {
        "image": both | {"hmax"},
        "sound": both | {"spectemp"},
    }
    for kind, recipes in RECIPES.items():
        for name, recipe in recipes.items():
            assert recipe.name == name
            assert recipe_named(name, kind) is recipe_named(recipe) is recipe


def test_searches_for_sounds_start_from_less_noise():
    assert {name: recipe.start_std for name, recipe in RECIPES["sound"].items()} == {
        **{"feather2023": 1e-7, "feather2023-scaled": 1e-7, "spectemp": 1e-5},  # as published
        **{"fast": 0.01, "adam": 0.01},
    }


def test_an_unknown_recipe_is_told_with_the_nearest():
    with pytest.raises(
        MetamersError, match=r"no recipe 'feather' for images; choose one of fast, .*did you mean 'feather2023'"
    ):
        recipe_named("feather")


def test_options_change_fields_and_mark_the_name():
    fast = recipe_named("fast")
    changed = fast.with_options(steps=7, start_std=0.1)
    assert (changed.steps, changed.start_std, changed.optimizer) == (7, 0.1, fast.optimizer)
    assert changed.name.startswith("fast-")
    names = {fast.with_options(**o).name for o in ({"steps": 7}, {"steps": 8}, {"start_std": 0.1}, {})}
    assert len(names) == 4
    assert fast.with_options(start_std=0.1, steps=7).name == changed.name
    assert fast.with_options(steps=fast.steps) == fast
    assert fast.with_options(name="mine", steps=7).name == "mine"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 3}, "no recipe option 'step'; did you mean .*'step_size'"),
        ({"optimizer": "adamw"}, "recipe optimizer 'adamw': choose one of .*; did you mean 'adam'"),
        ({"optimizer": None}, "recipe optimizer None: choose one of"),
        ({"schedule": own_penalty}, "recipe schedule .*: choose one of"),
        ({"penalty": "variation"}, "recipe penalty 'variation': choose one of total_variation"),
        ({"start": "nose"}, "did you mean 'noise'"),
        ({"loss": "norms"}, "did you mean 'norm'"),
        ({"relu_gradient": "true?"}, "did you mean 'true'"),
        ({"precision": "float16"}, "choose one of float32, bfloat16"),
        ({"steps": 0}, "recipe steps 0 must be above 0"),
        ({"steps": 10.5}, "recipe steps 10.5 must be a whole number"),
        ({"steps": "10"}, "recipe steps '10' must be a whole number"),
        ({"halve_every": 0}, "recipe halve_every 0 must be above 0"),
        ({"step_size": -1.0}, "recipe step_size -1.0 must be above 0"),
        ({"step_size": float("nan")}, "recipe step_size nan must be a finite number"),
        ({"step_size": "big"}, "recipe step_size 'big' must be a finite number"),
        ({"start_std": -0.1}, "recipe start_std -0.1 must not be negative"),
        ({"perturb_every": -1}, "recipe perturb_every -1 must not be negative"),
        ({"perturb_every": 1}, "recipe perturb_every 1 leaves no step between two perturbations; give 0"),
        ({"perturb_every": True}, "recipe perturb_every True must be a whole number"),
        ({"steps": True}, "recipe steps True must be a whole number"),
        ({"perturb_std": -0.1}, "recipe perturb_std -0.1 must not be negative"),
        ({"warmup": -1}, "recipe warmup -1 must not be negative"),
    ],
)
def test_bad_options_are_one_line(options, message):
    with pytest.raises(MetamersError, match=message) as caught:
        recipe_named("fast").with_options(**options)
    assert "\n" not in str(caught.value)


class Brightness:
    def __call__(self, x):
        return own_penalty(x)


def test_an_object_that_is_called_has_the_same_name_in_every_process():
    names = {recipe_named("fast").with_options(penalty=Brightness()).name for _ in range(2)}
    assert len(names) == 1
    assert Recipe("own", penalty=Brightness()).to_json()["penalty"] == "Brightness"


def test_a_recipe_is_plain_data():
    recipe = Recipe("own", penalty=own_penalty)
    data = json.loads(json.dumps(recipe.to_json()))
    assert data["penalty"] == "own_penalty"
    assert Recipe(**data | {"penalty": own_penalty}) == recipe
    assert recipe.with_options(penalty=None).name != recipe.name
