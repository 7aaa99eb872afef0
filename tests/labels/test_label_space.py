"""From a model's outputs to a task's labels: the spaces, the two decisions, and labels that a space lacks."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from metamers.errors import MetamersError
from metamers.labels import LABEL_SPACES, LabelSpace, identity, label_space
from metamers.labels.imagenet16 import IMAGENET16

DATA = Path(os.environ.get("METAMERS_REAL_DATA", ""))
PETS = LabelSpace("pets", ("cat", "dog"), ((0, 2), (1,)), 4)


@pytest.mark.parametrize(
    ("classes", "label", "known"),
    [
        (("cat", "dog"), "cat", "cat"),
        (("cat", "dog"), "horse", None),
        (("cat", "dog"), "1", "dog"),
        (("cat", "dog"), "7", None),
        (("1", "0"), "0", "0"),
        (("crane", "cat", "crane"), "2", "crane"),
        ((), "1", "1"),
        ((), "4", None),
        ((), "cat", None),
        ((), None, None),
    ],
)
def test_a_stimulus_label_in_the_words_of_the_model(classes, label, known):
    assert identity(classes, len(classes) or 2).known(label) == known


def test_digits_are_no_outputs_where_labels_leave_outputs_out():
    assert IMAGENET16.known("3") is None
    assert IMAGENET16.known("bird") == "bird"


def test_the_first_sorted_output_with_a_label_decides():
    logits = np.random.default_rng(0).normal(size=(50, 1000))
    label_of = {
        index: label for label, indices in zip(IMAGENET16.labels, IMAGENET16.outputs, strict=True) for index in indices
    }
    expected = [next(label_of[i] for i in np.argsort(-row) if i in label_of) for row in logits]
    assert IMAGENET16.choose(logits) == expected


def test_the_two_decisions_differ_where_many_weak_outputs_outweigh_one():
    logits = np.log(np.array([[0.32, 0.31, 0.01, 0.36]]))
    assert PETS.choose(logits, "first") == ["cat"]
    assert PETS.choose(logits, "mean-probability") == ["dog"]  # means: cat 0.165, dog 0.31


def test_outputs_far_below_the_others_still_decide():
    logits = np.array([[-900.0, -800.0, -900.0, 50.0]])
    assert PETS.choose(logits, "mean-probability") == PETS.choose(logits, "first") == ["dog"]


@given(arrays(np.float64, (3, 5), elements=st.floats(-50, 50)))
def test_with_one_output_a_label_the_decisions_agree(logits):
    space = identity("abcde", 5)
    probabilities = np.exp(logits - logits.max(1, keepdims=True))
    clear = [len(set(row)) == 5 for row in probabilities]
    both = zip(space.choose(logits), space.choose(logits, "mean-probability"), clear, strict=True)
    assert all(first == mean for first, mean, is_clear in both if is_clear)


def test_nan_says_nothing():
    assert PETS.choose(np.array([[np.nan, 1, 0, 0], [0, 1, 0, 0.0]])) == [None, "dog"]


def test_a_model_of_another_number_of_outputs_is_refused():
    for space, n in ((PETS, 5), (IMAGENET16, 10), (LabelSpace("free", ("a", "b"), ((0,), (7,))), 7)):
        with pytest.raises(MetamersError, match="choose other --labels"):
            space.require_outputs(n, "net")
    LabelSpace("free", ("a", "b"), ((0,), (7,))).require_outputs(9, "net")
    with pytest.raises(MetamersError, match="names 2 classes for 3 outputs"):
        identity(("a", "b"), 3, "net")


def test_named_spaces():
    assert label_space("identity") is None
    cifar10 = label_space("cifar10")
    assert cifar10 is not None
    assert (cifar10.known("3"), cifar10.n_outputs) == ("cat", 10)
    assert label_space("imagenet16") is IMAGENET16
    assert set(LABEL_SPACES) == {"identity", "imagenet16", "cifar10"}
    with pytest.raises(MetamersError, match="did you mean 'imagenet16'"):
        label_space("imagenet-16")
    with pytest.raises(MetamersError, match="no decision 'last'"):
        PETS.choose(np.zeros((1, 4)), "last")


def test_a_file_of_ones_own(tmp_path):
    path = tmp_path / "pets.json"
    path.write_text('{"cat": [0, 2], "dog": [1]}')
    space = label_space(str(path))
    assert space is not None
    assert (space.labels, space.outputs, space.n_outputs) == (PETS.labels, PETS.outputs, None)
    path.write_text('["cat", "dog"]')
    space = label_space(str(path))
    assert space is not None
    assert (space.outputs, space.n_outputs) == (((0,), (1,)), 2)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "correct the file"),
        ("[]", "at least two labels"),
        ('["cat", 3]', "at least two labels"),
        ('{"cat": [0]}', "at least two labels"),
        ('{"cat": [0], "dog": []}', "an output's index for each"),
        ('{"cat": [0], "dog": [-1]}', "an output's index for each"),
        ('{"cat": [0], "dog": [true]}', "an output's index for each"),
        ('{"cat": [0], "dog": ["1"]}', "an output's index for each"),
        ('{"cat": [0, 1], "dog": [1]}', "output 1 means 'cat' and 'dog'"),
        ('{"cat": [0], "cat": [1]}', "a label is there twice"),
    ],
)
def test_files_that_hold_something_else(tmp_path, content, said):
    path = tmp_path / "labels.json"
    path.write_text(content)
    with pytest.raises(MetamersError, match=said):
        label_space(str(path))
    with pytest.raises(MetamersError, match="cannot be read"):
        label_space(str(tmp_path / "other.json"))


@pytest.mark.skipif("METAMERS_REAL_DATA" not in os.environ, reason="METAMERS_REAL_DATA names no folder")
def test_the_sixteen_classes_are_the_published_ones():
    published = json.loads((DATA / "feather2023" / "imagenet_16way_class_indices.json").read_text())
    own = {label: list(indices) for label, indices in zip(IMAGENET16.labels, IMAGENET16.outputs, strict=True)}
    assert own == published
    assert sum(map(len, own.values())) == 208
