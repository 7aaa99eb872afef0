"""The table of robustness: means over draws and their intervals."""

import numpy as np
import pytest
from scipy import stats

from metamers.analysis import robustness_table, wilson_interval


def test_several_draws_have_students_interval_over_them():
    accuracy = np.array([[0.9, 0.5, 0.02], [0.8, 0.4, 0.0], [1.0, 0.7, 0.0]])
    table = robustness_table("net", "linf", [0, 4 / 255, 0.5], accuracy, 20, 47)
    assert table["attack"].tolist() == ["linf 0", "linf 4/255", "linf 0.5"]
    assert table["robustness"].tolist() == pytest.approx(accuracy.mean(0))
    for i, row in enumerate(table.to_dict("records")):
        low, high = stats.t.interval(0.95, 2, accuracy[:, i].mean(), stats.sem(accuracy[:, i]))
        assert (row["ci_low"], row["ci_high"]) == pytest.approx((max(low, 0), min(high, 1)))
    assert set(table["n"]) == {47}


def test_a_single_draw_has_wilsons_interval_over_its_stimuli():
    table = robustness_table("net", "l2", [0, 1], [[0.95, 0.2]], 20, 20)
    low, high = wilson_interval([19, 4], [20, 20])
    assert table["ci_low"].tolist() == pytest.approx(low) and table["ci_high"].tolist() == pytest.approx(high)
