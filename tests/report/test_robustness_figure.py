"""The figure of robustness curves."""

from typing import Any

import numpy as np
import pandas as pd
import pytest

from metamers.analysis import robustness_table
from metamers.report.drawing import styled, write_figure
from metamers.report.robustness import robustness_figure


@pytest.fixture
def table():
    eps = [0, 1 / 255, 4 / 255]
    return pd.concat(
        [
            robustness_table("robust", "linf", eps, [[0.9, 0.85, 0.6]], 50, 50),
            robustness_table("not $so$ <robust>", "linf", eps, [[1.0, 0.5, 0.0]], 50, 50),
        ]
    )


def test_each_model_has_its_curve_with_intervals(table):
    with styled("test"):
        figure = robustness_figure(table)
    (axes,) = figure.axes
    curves = {str(line.get_label()): np.asarray(line.get_ydata()).tolist() for line in axes.get_lines()}
    assert curves == {"robust": [0.9, 0.85, 0.6], "not $so$ <robust>": [1.0, 0.5, 0.0]}
    bars_of: Any = axes.collections
    ends = [[segment[:, 1].tolist() for segment in bars.get_segments()] for bars in bars_of]
    assert ends[0] == [[low, high] for low, high in table[["ci_low", "ci_high"]].to_numpy()[:3].tolist()]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1/255", "4/255"]
    assert axes.get_xscale() == "linear"


def test_sizes_of_several_decades_stand_on_a_logarithmic_scale(tmp_path):
    eps = [0, 0.001, 0.01, 0.1, 1.0]
    table = robustness_table("net", "l2", eps, [[1.0, 0.9, 0.5, 0.1, 0.0]], 50, 50)
    with styled("test"):
        assert robustness_figure(table).axes[0].get_xscale() == "symlog"
    write_figure(tmp_path, "curve", "a curve", lambda: robustness_figure(table))
    assert (tmp_path / "curve.svg").read_text().startswith("<?xml")
    assert (tmp_path / "curve.pdf").read_bytes().startswith(b"%PDF")
