"""Scoring: names, digits and labels that an observer lacks."""

import pytest

from metamers.labels import LabelSpace


@pytest.mark.parametrize(
    ("names", "index", "label", "correct"),
    [
        (("cat", "dog"), 0, "cat", True),
        (("cat", "dog"), 0, "dog", False),
        (("cat", "dog"), 0, "horse", None),
        (("cat", "dog"), 1, "1", True),
        (("cat", "dog"), 1, "7", None),
        (("1", "0"), 0, "1", True),
        ((), 4, "4", True),
        ((), 4, "cat", None),
        ((), 4, None, None),
    ],
)
def test_scoring(names, index, label, correct):
    assert LabelSpace(names).is_correct(index, label) is correct
