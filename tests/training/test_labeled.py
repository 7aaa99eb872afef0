"""Labeled stimuli for training."""

import numpy as np
import pytest
import torch
from tests.training.conftest import Small, two_halves

from metamers.errors import MetamersError
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet
from metamers.training import labeled as module
from metamers.training.labeled import class_names, labeled_stimuli


def labeled(labels):
    return StimulusSet.from_arrays(np.zeros((len(labels), 8, 8, 3), np.uint8), labels)


def test_batches_are_the_images_and_labels_asked_for(monkeypatch):
    stimuli = two_halves(20)
    order = torch.randperm(20, generator=torch.Generator().manual_seed(0)).split(6)
    for most in (module.HELD_BYTES, 0):
        monkeypatch.setattr(module, "HELD_BYTES", most)
        images = labeled_stimuli(stimuli, StagedModel(Small(), input_size=8), ("lower", "upper"))
        for (pixels, labels), rows in zip(images.batches(order), order, strict=True):
            assert torch.equal(pixels.float() / 255, stimuli.read(rows))
            assert [("lower", "upper")[i] for i in labels] == [stimuli.labels[i] for i in rows]


def test_digits_are_indices():
    model = StagedModel(Small(12), input_size=8)
    stimuli = labeled(["10", "9", "2"])
    assert class_names(stimuli) == ("2", "9", "10")
    assert labeled_stimuli(stimuli, model, [str(i) for i in range(12)]).labels.tolist() == [10, 9, 2]


@pytest.mark.parametrize(
    ("labels", "outputs", "error"),
    [
        (["a", None, "b"], 2, "1 of 3 stimuli have no label, first '00001'"),
        (["a", "a"], 2, "all stimuli have the label 'a'; training takes two classes"),
        (["a", "b", "c"], 2, "has 2 outputs for 3 classes; build it for as many"),
    ],
)
def test_labels_that_do_not_do(labels, outputs, error):
    stimuli = labeled(labels)
    with pytest.raises(MetamersError) as raised:
        labeled_stimuli(stimuli, StagedModel(Small(outputs), input_size=8), class_names(stimuli))
    assert error in str(raised.value)


def test_a_label_out_of_range():
    model = StagedModel(Small(), input_size=8)
    with pytest.raises(MetamersError, match="the label '7' of '00001' is none of the 2 classes"):
        labeled_stimuli(labeled(["0", "7"]), model, ("lower", "upper"))
