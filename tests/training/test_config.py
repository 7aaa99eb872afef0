"""What a training may be."""

import pytest
from pydantic import ValidationError
from tests.training.conftest import config

from metamers.models.bundled import NAMES
from metamers.store import read_config
from metamers.training import TrainingConfig
from metamers.training.bundled import bundled_recipe


@pytest.mark.parametrize("name", NAMES)
def test_bundled_recipes_are_whole(name):
    recipe = read_config(bundled_recipe(name), TrainingConfig)
    assert TrainingConfig.model_validate(recipe.model_dump(mode="json")) == recipe


def test_a_fraction_is_a_number():
    objective = config(objective={"kind": "adversarial", "norm": "linf", "eps": "4/255"}).objective
    assert objective.kind == "adversarial" and objective.eps == 4 / 255


@pytest.mark.parametrize(
    "wrong",
    [
        {"objective": {"kind": "adversarial", "norm": "l2", "eps": -1}},
        {"objective": {"kind": "adversarial", "norm": "l2", "eps": "4/0"}},
        {"objective": {"kind": "adversarial", "norm": "l2"}},
        {"epochs": 0},
        {"optimizer": {"learning_rate": float("nan")}},
        {"optimizer": {"momentum": 0, "nesterov": True}},
        {"evaluation": {"norm": "l2"}},
        {"augmentation": {"color_jitter": 2}},
    ],
)
def test_values_out_of_range_are_refused(wrong):
    with pytest.raises(ValidationError):
        config(**wrong)
