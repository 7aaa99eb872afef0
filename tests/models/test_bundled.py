"""The bundled models: as good as their cards say, small, and rebuilt by a command that exists."""

from pathlib import Path
from typing import Any

import pytest
import torch

from metamers.errors import MetamersError
from metamers.models import describe_bundled, load_model
from metamers.models.bundled import CLASSES, NAMES, WEIGHTS, kind_of
from metamers.models.flops import FlopCount
from metamers.stimuli.pictograms import NAMES as OBJECTS
from metamers.stimuli.pictograms import pictograms
from metamers.stimuli.spoken_words import spoken_clips, spoken_words
from metamers.store import read_config
from metamers.training import TrainingConfig, robustness_curve
from metamers.training import bundled as rebuilding

ADVERSARIAL = ("picto-resnet-l2", "picto-resnet-linf")


def least_accuracy(name):
    if kind_of(name) == "sound":
        return 0.9
    return 0.95 if name in ADVERSARIAL else 0.97


def share_recognized(model, stimuli):
    said = [model.classes[i] for i in model.decide(stimuli.read())]
    return sum(a == b for a, b in zip(said, stimuli.labels, strict=True)) / len(stimuli)


@pytest.mark.parametrize("name", NAMES)
def test_fresh_stimuli_are_recognized(name):
    stimuli = pictograms(n=320, seed=11) if kind_of(name) == "image" else spoken_clips()
    assert share_recognized(load_model(f"bundled:{name}"), stimuli) >= least_accuracy(name)


@pytest.mark.parametrize(("snr", "least"), [(None, 0.9), (0, 0.9)])
def test_words_never_heard_are_recognized_at_0_db_and_better(snr, least):
    pytest.importorskip("espeakng_loader")
    words = spoken_words("test", 192, seed=11, snr=snr)
    for name in NAMES:
        if kind_of(name) == "sound":
            assert share_recognized(load_model(f"bundled:{name}"), words) >= least


@pytest.mark.parametrize("name", NAMES)
def test_models_are_small(name):
    assert (WEIGHTS / f"{name}.safetensors").stat().st_size < 2e6
    model = load_model(f"bundled:{name}")
    with FlopCount() as count:
        model.network(torch.zeros(1, *model.input_shape))
    most = {"image": 28e6 if name.endswith("lowpass") else 15e6, "sound": 40e6}  # multiply-adds
    assert count.total / 2 <= most[kind_of(name)]


def test_there_are_several_architectures_and_two_seeds():
    cards = {card["name"]: card for card in describe_bundled()}
    assert set(cards) == set(NAMES)
    assert len({card["architecture"] for card in cards.values()}) == 5
    for name in ("picto-resnet", "word-cochresnet"):
        assert cards[f"{name}-b"]["recipe"]["seed"] == 1 != cards[name]["recipe"].get("seed", 0)
    assert CLASSES == OBJECTS


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_of_these_weights_and_this_recipe(name):
    card = next(card for card in describe_bundled() if card["name"] == name)
    assert card["weights_sha256"] == load_model(f"bundled:{name}").weights_hash()
    recipe = read_config(rebuilding.bundled_recipe(name), TrainingConfig)
    assert card["recipe"] == recipe.model_dump(mode="json", exclude_defaults=True)
    assert card["accuracy"] >= least_accuracy(name)


@pytest.mark.parametrize(("name", "least", "most"), [("picto-resnet", 0, 0.1), ("picto-resnet-l2", 0.6, 1)])
def test_adversarial_training_makes_robust(name, least, most):
    curve = robustness_curve(
        load_model(f"bundled:{name}"), pictograms(n=64, seed=11), eps=(1.0,), steps=20, n_images=64, seeds=(0,)
    )
    assert least <= curve.accuracy[0][0] <= most


def test_adversarial_training_on_waveforms_makes_robust():
    options: dict[str, Any] = {"eps": (0.5,), "steps": 10, "n_images": 48, "seeds": (0,)}
    standard, robust = (
        robustness_curve(load_model(f"bundled:{name}"), spoken_clips(48), **options).accuracy[0][0]
        for name in ("word-cochresnet", "word-cochresnet-l2")
    )
    assert robust >= standard + 0.3


def test_an_unknown_name_shows_the_nearest():
    with pytest.raises(MetamersError, match="did you mean 'picto-resnet'"):
        load_model("bundled:picto-resnt")


def test_a_model_is_rebuilt_by_its_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    recipe = (rebuilding.RECIPES / "picto-resnet-l2.yaml").read_text()
    for long, short in (
        ("n=20000", "n=128"),
        ("n=1024", "n=16"),
        ("epochs: 4", "epochs: 1"),
        ("steps: 20", "steps: 2"),
    ):
        assert long in recipe
        recipe = recipe.replace(long, short)
    (tmp_path / "picto-resnet-l2.yaml").write_text(recipe)
    monkeypatch.setattr(rebuilding, "RECIPES", tmp_path)
    last = rebuilding.rebuild("picto-resnet-l2", tmp_path / "new")
    assert 0 <= last["robust_accuracy"] <= last["accuracy"] <= 1
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        *("picto-resnet-l2.md", "picto-resnet-l2.safetensors")
    }
