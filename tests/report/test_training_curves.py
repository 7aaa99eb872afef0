"""The picture of a training."""

import numpy as np
import pytest

from metamers.report import write_training_curves
from metamers.report.training_curves import training_figure

HISTORY = [
    {"epoch": e, "loss": 2.0 / e, "train_accuracy": 0.2 * e, "accuracy": 0.25 * e, "robust_accuracy": 0.1 * e}
    for e in (1, 2, 3)
]


def curves(history):
    return {line.get_label(): np.asarray(line.get_ydata()).tolist() for line in training_figure(history).axes[1].lines}


def test_each_measure_is_a_curve():
    assert curves(HISTORY) == {
        "on what is trained on": pytest.approx([0.2, 0.4, 0.6]),
        "validation": pytest.approx([0.25, 0.5, 0.75]),
        "validation, under attack": pytest.approx([0.1, 0.2, 0.3]),
    }
    assert np.asarray(training_figure(HISTORY).axes[0].lines[0].get_ydata()).tolist() == pytest.approx([2, 1, 2 / 3])


def test_what_was_not_measured_has_none():
    assert list(curves([{"epoch": 1, "loss": 1.0, "train_accuracy": 0.5}])) == ["on what is trained on"]


def test_it_is_written(tmp_path):
    write_training_curves(HISTORY, tmp_path)
    assert {file.name for file in (tmp_path / "figures").iterdir()} == {"curves.svg", "curves.pdf"}
