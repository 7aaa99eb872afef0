"""Training on sounds, and on perturbations inside a network."""

from typing import Any

import numpy as np
import pytest
import torch
from tests.training.conftest import config
from torch import nn

from metamers.errors import MetamersError
from metamers.models import StagedModel
from metamers.stimuli import SoundSet
from metamers.training import train
from metamers.training.augmentation import shifted
from metamers.training.robustness import robustness_curve

RATE, N = 800, 400


class Envelope(nn.Module):
    """[N, T] to the energies of 8 parts, [N, 8]."""

    def forward(self, x):
        return x.unflatten(1, (8, -1)).square().mean(2)


def early_or_late(n=96, seed=0):
    """Noise that is louder in one half."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, n)
    sounds = random.uniform(-0.3, 0.3, (n, N))
    sounds[labels == 0, N // 2 :] /= 4
    sounds[labels == 1, : N // 2] /= 4
    return SoundSet.from_waveforms(sounds, RATE, [("early", "late")[i] for i in labels], classes=("early", "late"))


def network():
    torch.manual_seed(0)
    layers = {"front": Envelope(), "scale": nn.BatchNorm1d(8), "fc": nn.Linear(8, 2)}
    sequence = nn.Sequential()
    for name, layer in layers.items():
        sequence.add_module(name, layer)
    return StagedModel(sequence, name="ears", kind="sound", input_size=N, sample_rate=RATE)


OBJECTIVES: dict[str, dict[str, Any]] = {
    "standard": {"kind": "standard"},
    "adversarial": {"kind": "adversarial", "norm": "l2", "eps": 0.2, "steps": 2},
    "adversarial inside": {"kind": "adversarial", "norm": "l2", "eps": 0.002, "steps": 2, "at": "front"},
    "random": {"kind": "random_perturbation", "norm": "linf", "eps": 0.01},
    "random inside": {"kind": "random_perturbation", "norm": "l2", "eps": 0.002, "at": "front"},
}


@pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)
def test_sounds_are_learned(objective, tmp_path):
    chosen = config(epochs=20, optimizer={"learning_rate": 0.3}, objective=objective, augmentation={"crop": 10})
    trained = train(chosen, tmp_path / "a", model=network(), stimuli=early_or_late(), validation=early_or_late(seed=1))
    assert trained.history[-1]["accuracy"] > 0.9
    assert trained.model.kind == "sound"
    curve = robustness_curve(trained.model, early_or_late(seed=2), eps=(0.0, 3.0), n_images=96, seeds=(0,), steps=8)
    assert curve.accuracy[0][0] > 0.9 > curve.accuracy[0][1]


def test_perturbations_inside_have_their_size_there(tmp_path, monkeypatch):
    from metamers.training import norms, random_perturbation

    seen = []
    real = norms.random_of_size

    def watched(x, norm, eps, generator):
        found = real(x, norm, eps, generator)
        seen.append((tuple(x.shape[1:]), float(found.flatten(1).norm(dim=1).max())))
        return found

    monkeypatch.setattr(random_perturbation, "random_of_size", watched)
    train(
        config(epochs=1, objective=OBJECTIVES["random inside"]),
        tmp_path / "a",
        model=network(),
        stimuli=early_or_late(),
    )
    assert seen
    assert {shape for shape, _ in seen} == {(8,)}
    assert all(size == pytest.approx(0.002, rel=1e-4) for _, size in seen)


def test_a_network_of_this_package_is_trained_at_its_cochleagram(tmp_path):
    objective = {"kind": "adversarial", "norm": "l2", "eps": 0.5, "steps": 1, "at": "cochleagram"}
    small = {"model": "builtin:small-cochcnn", "stimuli": "bundled:spoken_clips?n=48", "epochs": 1}
    trained = train(config(objective=objective, evaluation={"n": 2, "steps": 1}, **small), tmp_path / "a")
    assert torch.isfinite(torch.tensor(trained.history[-1]["loss"]))


def test_a_place_inside_that_there_is_not_is_refused(tmp_path):
    objective = {**OBJECTIVES["adversarial inside"], "at": "cochleagram"}
    with pytest.raises(MetamersError, match=r"objective.at 'cochleagram'.*\(front, scale, fc"):
        train(config(objective=objective), tmp_path / "a", model=network(), stimuli=early_or_late())


def test_images_are_refused_by_a_model_of_sounds(tmp_path, halves):
    with pytest.raises(MetamersError, match="takes sounds, but 'halves' holds images"):
        train(config(), tmp_path / "a", model=network(), stimuli=halves)


def test_sounds_are_shifted_and_silence_is_added():
    x = torch.arange(1.0, 6.0).repeat(50, 1)
    found = shifted(x, 2, torch.Generator().manual_seed(0))
    assert {tuple(row) for row in found.tolist()} == {
        *((3, 4, 5, 0, 0), (2, 3, 4, 5, 0), (1, 2, 3, 4, 5), (0, 1, 2, 3, 4), (0, 0, 1, 2, 3)),
    }
