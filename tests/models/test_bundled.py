"""The bundled models: as good as their cards say, small, and rebuilt by a command that exists."""

from dataclasses import asdict
from pathlib import Path

import pytest
import torch

from metamers.errors import MetamersError
from metamers.models import describe_bundled, load_model
from metamers.models.bundled import CLASSES, NAMES, WEIGHTS
from metamers.models.flops import FlopCount
from metamers.stimuli.pictograms import NAMES as OBJECTS
from metamers.stimuli.pictograms import pictograms
from metamers.training import TrainingRecipe
from metamers.training.bundled import RECIPES, rebuild


@pytest.mark.parametrize("name", NAMES)
def test_fresh_pictograms_are_recognized(name):
    images = pictograms(n=320, seed=11)
    model = load_model(f"bundled:{name}")
    said = [model.classes[i] for i in model.decide(images.read())]
    assert sum(a == b for a, b in zip(said, images.labels, strict=True)) / 320 >= 0.97


@pytest.mark.parametrize("name", NAMES)
def test_models_are_small(name):
    assert (WEIGHTS / f"{name}.safetensors").stat().st_size < 1.5e6
    with FlopCount() as count:
        load_model(f"bundled:{name}").network(torch.zeros(1, 3, 64, 64))
    assert count.total / 2 <= 15e6  # multiply-adds


def test_there_are_two_architectures_and_two_seeds():
    cards = {card["name"]: card for card in describe_bundled()}
    assert set(cards) == set(NAMES) == set(RECIPES)
    assert len({card["architecture"] for card in cards.values()}) == 2
    assert cards["picto-resnet"]["recipe"]["seed"] != cards["picto-resnet-b"]["recipe"]["seed"]
    assert all(card["accuracy"] >= 0.97 for card in cards.values())
    assert all(card["recipe"] == {"objective": "standard", **asdict(RECIPES[name])} for name, card in cards.items())
    assert CLASSES == OBJECTS


def test_an_unknown_name_shows_the_nearest():
    with pytest.raises(MetamersError, match="did you mean 'picto-resnet'"):
        load_model("bundled:picto-resnt")


def test_a_model_is_rebuilt_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    import metamers.training.bundled as bundled

    monkeypatch.setattr(bundled, "TRAINING_IMAGES", 128)
    monkeypatch.setattr(bundled, "TEST_IMAGES", 32)
    monkeypatch.setitem(bundled.RECIPES, "picto-resnet", TrainingRecipe(epochs=1, batch_size=64))
    before = torch.random.get_rng_state()
    rebuild("picto-resnet", tmp_path)
    torch.random.set_rng_state(before)
    assert {path.name for path in tmp_path.iterdir()} == {"picto-resnet.md", "picto-resnet.safetensors"}
