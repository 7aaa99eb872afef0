"""Networks for short sounds."""

import pytest
import torch

from metamers.models import load_model
from metamers.models.builtin import ARCHITECTURES
from metamers.stimuli.spoken_words import WORDS

SMALL = ("small-cochcnn", "small-cochresnet")


@pytest.mark.parametrize("name", SMALL)
def test_stages_have_shapes_over_a_cochleagram_of_63_filters(name, shapes_of) -> None:
    shapes = shapes_of(ARCHITECTURES[name](), (16_000,))
    assert shapes["cochleagram"] == (63, 90)
    expected = {
        "small-cochcnn": [(24, 32, 45), (48, 16, 22), (64, 8, 11), (64, 8, 11), (64, 4, 5), (128,), (24,)],
        "small-cochresnet": [(16, 32, 45)] * 2 + [(32, 16, 23), (64, 8, 12), (96, 4, 6), (96, 1, 1), (24,)],
    }
    stages = ARCHITECTURES[name].stages
    assert stages is not None
    assert [shapes[stage] for stage in stages[1:]] == expected[name]


@pytest.mark.parametrize("name", SMALL)
def test_they_know_the_spoken_words(name) -> None:
    model = load_model(f"builtin:{name}")
    assert model.classes == WORDS
    assert (model.kind, model.sample_rate, model.input_shape) == ("sound", 16_000, (16_000,))
    assert sum(weight.numel() for weight in model.network.state_dict().values()) * 4 < 2e6
    assert model.logits(torch.zeros(1, 16_000)).shape == (1, 24)
