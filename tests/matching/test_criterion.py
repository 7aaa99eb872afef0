"""Criteria: what passes, in which order measures are asked for, and how criteria combine."""

import pytest
import torch

from metamers.errors import MetamersError
from metamers.matching import PUBLISHED, AboveNull, Criterion, NullDistribution, SameDecision
from metamers.matching.null import NullMeasure


def make_null(maximum=0.5):
    measure = NullMeasure(maximum, {"0.5": 0.0, "0.99": 0.4}, {"edges": [0, 1], "counts": [1]})
    measures = dict.fromkeys(("pearson_r", "spearman_rho", "snr_db"), measure)
    return NullDistribution("m", "s", "set", 200, 19_900, 0, 0, measures)


class Evidence:
    def __init__(self, pearson_r, snr_db, spearman_rho, same=(True, True, True)):
        self.values = {"pearson_r": pearson_r, "snr_db": snr_db, "spearman_rho": spearman_rho}
        self.same = torch.tensor(same)
        self.asked = {}

    def measure(self, name, rows):
        self.asked[name] = rows.tolist()
        return torch.tensor(self.values[name], dtype=torch.float64)[rows]

    def same_class(self, rows):
        self.asked["decision"] = rows.tolist()
        return self.same[rows]


def test_every_condition_must_hold_and_the_dear_ones_are_asked_last():
    evidence = Evidence([0.6, 0.4, 0.9], [0.6, 0.6, 0.2], [0.6, 0.6, 0.6])
    assert PUBLISHED.holds(evidence, make_null(), 3).tolist() == [True, False, False]
    assert evidence.asked == {"pearson_r": [0, 1, 2], "snr_db": [0, 2], "spearman_rho": [0], "decision": [0]}


def test_a_changed_decision_fails():
    evidence = Evidence([0.6] * 3, [0.6] * 3, [0.6] * 3, same=(True, False, True))
    assert PUBLISHED.holds(evidence, make_null(), 3).tolist() == [True, False, True]


def test_the_maximum_itself_and_undefined_measures_do_not_pass():
    evidence = Evidence([0.5, float("nan"), 0.51], [1.0] * 3, [1.0] * 3)
    assert AboveNull("pearson_r").holds(evidence, make_null(), 3).tolist() == [False, False, True]


def test_a_perfect_correlation_is_enough_where_the_null_has_one():
    evidence = Evidence([1.0, 1 - 1e-9, 0.9999], [1.0, 1.0, 1.0], [1.0] * 3)
    assert AboveNull("pearson_r").holds(evidence, make_null(1.0), 3).tolist() == [True, True, False]
    assert AboveNull("snr_db").holds(evidence, make_null(1.0), 3).tolist() == [False] * 3


def test_equal_rank_correlations_are_equal_however_they_were_rounded():
    tie = 1 - 6 * 2 / (16 * 255)  # of sixteen units, in 64 bits, and below it as a null in 32 bits may have it
    evidence = Evidence([1.0] * 3, [1.0] * 3, torch.tensor([tie, tie + 2e-6, tie - 2e-6], dtype=torch.float64).tolist())
    null = make_null(tie - 2e-7)
    assert AboveNull("spearman_rho").holds(evidence, null, 3).tolist() == [False, True, False]


def test_without_a_null_nothing_passes():
    evidence = Evidence([1.0] * 3, [1.0] * 3, [1.0] * 3)
    assert not PUBLISHED.holds(evidence, None, 3).any()
    assert SameDecision().holds(evidence, None, 3).all()


def test_combining_is_written_out_and_survives_json():
    combined = AboveNull("snr_db", "0.99") & AboveNull("pearson_r") & SameDecision()
    assert str(combined) == "pearson_r > null max & snr_db > null 0.99 & same decision"
    assert Criterion.from_json(combined.to_json()) == combined


def test_bad_names_are_refused():
    with pytest.raises(MetamersError, match="pearson_r"):
        AboveNull("pearson")
    with pytest.raises(MetamersError, match="choose max"):
        make_null().quantile("snr_db", "0.9999")
