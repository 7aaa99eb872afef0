"""Robustness curves: known answers, draws, labels, and what is refused."""

from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.labels import LabelSpace
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet
from metamers.training.robustness import label_logits, robustness_curve

SIDE = 4


class Brightness(nn.Module):
    """Names an image by whether its mean, over all values, is above one half."""

    def forward(self, x):
        score = 40 * (x.mean((1, 2, 3)) - 0.5)[:, None]
        return torch.cat([-score, score], 1)


@pytest.fixture
def model():
    return StagedModel(Brightness(), name="brightness", input_size=SIDE, classes=("dark", "light"))


def levels(values, labels=None, name="levels"):
    """Uniform gray images; labels by default as `Brightness` gives them."""
    pixels = [np.full((SIDE, SIDE, 3), value, np.uint8) for value in values]
    return StimulusSet.from_arrays(pixels, labels or ["light" if v > 127 else "dark" for v in values], name=name)


def test_a_curve_falls_where_the_margins_end(model):
    """A change of the mean by d takes d in the maximum norm."""
    stimuli = levels([137, 147, 157, 118, 108])  # 9.5, 19.5, 29.5, 9.5, 19.5 levels from the middle
    curve = robustness_curve(model, stimuli, norm="linf", eps=[21 / 255, 0, 9 / 255, 11 / 255])
    assert curve.eps == (0, 9 / 255, 11 / 255, 21 / 255)
    assert curve.accuracy == ((1.0, 1.0, 0.6, 0.2),)
    n = SIDE * SIDE * 3
    curve = robustness_curve(model, stimuli, norm="l2", eps=[9 / 255 * n**0.5, 11 / 255 * n**0.5])
    assert curve.accuracy == ((1.0, 0.6),)
    # In the sum of changes it takes a little more: few values change in a step, and those soon reach the bounds.
    curve = robustness_curve(model, stimuli, norm="l1", eps=[9 / 255 * n, 14 / 255 * n])
    assert curve.accuracy == ((1.0, 0.6),)


def test_where_a_seed_takes_all_they_are_taken_once(model):
    curve = robustness_curve(model, levels([100, 200]), eps=[0], n_images=2)
    assert (curve.seeds, curve.n_images, curve.n_different) == ((0,), 2, 2)
    assert curve.notes == ("all 2 stimuli are taken once, whatever the seed, as there are no more than the 2 wanted",)


def test_seeds_draw_and_each_has_its_accuracy(model):
    values = [*range(100, 128), *range(128, 156)]
    draw = partial(robustness_curve, model, levels(values), norm="linf", eps=[0, 8 / 255, 16 / 255], n_images=20)
    curve = draw(seeds=[0, 1, 2])
    assert curve.seeds == (0, 1, 2) and curve.n_images == 20 and 20 < curve.n_different <= 56
    assert len(set(curve.accuracy)) > 1
    assert curve.notes == (
        "seeds share stimuli, as each draws 20 of 56: the interval is of the accuracy on these 56 alone",
    )
    assert draw(seeds=[0, 1]).notes == ()
    for seed, row in zip(curve.seeds, curve.accuracy, strict=True):
        drawn = np.random.default_rng(seed).choice(len(values), 20, replace=False)
        margins = [abs(values[i] - 127.5) for i in drawn]
        assert row == pytest.approx([1, np.mean([m > 8 for m in margins]), np.mean([m > 16 for m in margins])])
        assert draw(seeds=[seed]).accuracy == (row,)


@pytest.mark.parametrize("norm", ["l2", "linf", "l1"])
def test_neither_the_batch_nor_the_other_draws_matter_even_with_random_starts(norm):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3))
    model = StagedModel(network, name="net", input_size=SIDE)
    pixels = np.random.default_rng(0).integers(0, 256, (24, SIDE, SIDE, 3), dtype=np.uint8)
    with torch.no_grad():
        labels = [str(int(i)) for i in model.decide(StimulusSet.from_arrays(pixels).read())]
    stimuli = StimulusSet.from_arrays(pixels, labels)
    size = {"l2": 0.5, "linf": 0.1, "l1": 2.0}[norm]
    options: Any = {"norm": norm, "eps": [size], "steps": 3, "random_start": True, "restarts": 1, "n_images": 12}
    curve = partial(robustness_curve, model, stimuli, **options)
    together = curve(seeds=[0, 1, 2])
    assert {value for row in together.accuracy for value in row} - {0.0, 1.0}
    assert curve(seeds=[0, 1, 2], batch_size=5).accuracy == together.accuracy
    assert curve(seeds=[1]).accuracy[0] == together.accuracy[1]


def test_labels_that_the_model_lacks_are_left_out_and_counted(model):
    stimuli = levels([10, 20, 200, 210, 220], ["dark", None, "light", "sun", "sun"])
    curve = robustness_curve(model, stimuli, eps=[0])
    assert curve.left_out == {"": 1, "sun": 2}
    assert curve.n_different == 2 and curve.accuracy == ((1.0,),)


def test_numbers_are_places_of_outputs_and_that_is_said(model):
    curve = robustness_curve(model, levels([10, 200], ["0", "1"], name="numbered"), eps=[0])
    assert curve.accuracy == ((1.0,),)
    assert "the labels of 'numbered' are numbers, taken as the places of the model's outputs" in curve.notes


def test_a_label_of_several_outputs_has_the_greatest_of_them(model):
    space = LabelSpace("identity", ("crane", "cup"), ((0, 2), (1,)), 3)
    logits = torch.tensor([[1.0, 2.0, 3.0], [1.0, 4.0, 3.0]])
    model.logits = lambda x: logits
    assert torch.equal(label_logits(model, space)(torch.zeros(2)), torch.tensor([[3.0, 2.0], [3.0, 4.0]]))


def test_a_stimulus_misnamed_at_one_eps_is_not_attacked_at_the_next(model):
    seen: list[int] = []
    logits = model.logits

    def counted(x):
        seen.append(len(x))
        return logits(x)

    model.logits = counted
    robustness_curve(model, levels([120, 130, 200, 201]), norm="linf", eps=[0, 20 / 255, 30 / 255])
    assert seen[0] == 4  # named without an attack
    assert seen[1:9] == [4] * 8 and seen[9] == 2  # the first two are fooled soon, and leave after 8 steps
    assert set(seen[9:]) == {2}


def test_progress_rises_from_what_is_done_to_all(model):
    said: list[tuple[float, float]] = []
    options: Any = {"norm": "linf", "eps": [0, 0.05, 0.1], "batch_size": 3}
    stimuli = levels([120, 130, 200, 201])
    robustness_curve(model, stimuli, **options, progress=lambda done, total: said.append((done, total)))
    done = [d for d, _ in said]
    assert {total for _, total in said} == {8}
    assert done == sorted(done) and done[0] > 0 and done[-1] == 8


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"norm": "l2", "eps": [7]}, "eps 7 is beyond 6.9282, the greatest l2 distance"),
        ({"norm": "linf", "eps": [1.1]}, "eps 1.1 is beyond 1, the greatest linf distance"),
        ({"norm": "l1", "eps": [49]}, "eps 49 is beyond 48"),
        ({"norm": "l2", "eps": [-1]}, "eps -1: give a finite number"),
        ({"norm": "l3"}, "no norm 'l3'"),
        ({"n_images": 0}, "give at least 1 image"),
        ({"seeds": [-1]}, "one seed of at least 0"),
    ],
)
def test_what_makes_no_sense_is_refused(model, options, said):
    with pytest.raises(MetamersError, match=said):
        robustness_curve(model, levels([1, 2]), **options)


def test_models_and_stimuli_that_do_not_fit_are_refused(model):
    with pytest.raises(MetamersError, match="stimuli 'arrays' have no labels"):
        robustness_curve(model, StimulusSet.from_arrays(np.zeros((2, 4, 4, 3), np.uint8)))
    with pytest.raises(MetamersError, match=r"has none of the labels of 'levels' \('sun'.*its own are 'dark', 'light'"):
        robustness_curve(model, levels([1, 2], ["sun", "sun"]))
    features = StagedModel(nn.Conv2d(3, 4, 3), name="features", input_size=SIDE)
    with pytest.raises(MetamersError, match="'features' makes no decision"):
        robustness_curve(features, levels([1, 2]))
