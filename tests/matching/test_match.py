"""Verdicts: passed, failed, no null and error, each for its reason."""

import json
from typing import Any

import pytest
import torch
from torch import nn

from metamers.matching import (
    PUBLISHED,
    AboveNull,
    Criterion,
    Match,
    NullDistribution,
    Representation,
    SameDecision,
    decide,
    judge,
    match,
)
from metamers.matching.null import NullMeasure
from metamers.models import StagedModel

MEASURES = ("pearson_r", "spearman_rho", "snr_db")
REFERENCE = torch.randn(1, 50, generator=torch.Generator().manual_seed(0))
NOISE = torch.randn(1, 50, generator=torch.Generator().manual_seed(1))


def make_null(pearson_r=0.5, spearman_rho=0.5, snr_db=3.0):
    limits = {"pearson_r": pearson_r, "spearman_rho": spearman_rho, "snr_db": snr_db}
    measures = {n: NullMeasure(v, {"0.99": v - 0.1}, {"edges": [0, 1], "counts": [1]}) for n, v in limits.items()}
    return NullDistribution("net", "relu", "set", 200, 19_900, 0, 0, measures)


def judge_pairs(*others, null, criterion=PUBLISHED, same=True):
    other = torch.cat(others)
    decisions = None if same is None else (lambda rows: torch.full((len(rows),), same))
    return judge(Match(REFERENCE.expand(len(other), -1), other, decisions), criterion, null)


def test_what_is_above_the_null_passes():
    (one,) = judge_pairs(REFERENCE + 0.1 * NOISE, null=make_null())
    assert (one.verdict, one.reason, one.same_class) == ("passed", None, True)
    assert one.measures["snr_db"] == pytest.approx(10, abs=1)
    assert one.measures["pearson_r"] > 0.98


def test_each_row_is_judged_by_itself():
    verdicts = judge_pairs(NOISE, REFERENCE, REFERENCE * 0 + 1, REFERENCE + 0.1 * NOISE, null=make_null())
    assert [j.verdict for j in verdicts] == ["failed", "passed", "error", "passed"]


def test_failures_name_each_measure_that_fell_short():
    (one,) = judge_pairs(NOISE, null=make_null())
    assert one.verdict == "failed"
    assert [part.split()[0] for part in one.reason.split("; ")] == ["pearson_r", "snr_db", "spearman_rho"]
    (one,) = judge_pairs(REFERENCE + 0.1 * NOISE, null=make_null(snr_db=20.0))
    assert one.reason.startswith("snr_db ")
    assert one.reason.endswith("is not above the null's max 20")
    assert ";" not in one.reason


def test_a_quantile_is_named():
    null = make_null(snr_db=10.0)
    close = REFERENCE + 0.1 * NOISE
    value = judge_pairs(close, null=null)[0].measures["snr_db"]
    null = make_null(snr_db=value + 0.05)
    assert judge_pairs(close, null=null)[0].verdict == "failed"
    assert judge_pairs(close, null=null, criterion=AboveNull("snr_db", "0.99"))[0].verdict == "passed"
    null = make_null(snr_db=value + 1)
    assert "the null's 0.99" in judge_pairs(close, null=null, criterion=AboveNull("snr_db", "0.99"))[0].reason


def test_another_decision_fails():
    (one,) = judge_pairs(REFERENCE, null=make_null(), same=False)
    assert (one.verdict, one.same_class) == ("failed", False)
    assert one.reason == "the model's decision differs from the reference's"


def test_without_a_decision_only_the_measures_count():
    (one,) = judge_pairs(REFERENCE, null=make_null(), same=None)
    assert (one.verdict, one.same_class) == ("passed", None)


@pytest.mark.parametrize("same", [True, False])
def test_without_a_null_the_verdict_says_so(same):
    (one,) = judge_pairs(REFERENCE, null=None, same=same)
    assert (one.verdict, one.reason) == ("no null", None)
    assert one.measures["pearson_r"] == pytest.approx(1)


def test_the_decision_alone_needs_no_null():
    assert judge_pairs(REFERENCE, null=None, criterion=SameDecision())[0].verdict == "passed"
    assert judge_pairs(REFERENCE, null=None, criterion=SameDecision(), same=False)[0].verdict == "failed"


@pytest.mark.parametrize("other", [REFERENCE * 0, REFERENCE * 0 + 0.1, REFERENCE * torch.nan])
@pytest.mark.parametrize("null", [None, make_null()])
def test_where_a_measure_is_undefined_the_match_is_an_error(other, null):
    (one,) = judge_pairs(other, null=null)
    assert one.verdict == "error"
    assert one.reason == "pearson_r is undefined: an activation is constant or not finite"
    assert one.measures["pearson_r"] is None


def test_a_silent_reference_is_an_error():
    silent = Match(torch.zeros(1, 50), REFERENCE, None)
    assert judge(silent, Criterion((("snr_db", "max"),)), make_null())[0].verdict == "error"


def test_an_exact_match_passes_and_fits_into_json():
    (one,) = judge_pairs(REFERENCE, null=make_null())
    assert one.verdict == "passed"
    assert one.measures["snr_db"] == 999
    json.dumps(one.measures, allow_nan=False)


def test_the_verdict_and_its_reason_agree_where_the_null_is_perfect():
    (one,) = judge_pairs(REFERENCE, null=make_null(pearson_r=1.0, snr_db=2000.0))
    assert one.verdict == "failed" or one.reason is None
    (one,) = judge_pairs(REFERENCE + 0.1 * NOISE, null=make_null(pearson_r=1.0, spearman_rho=1.0))
    assert one.reason.count("is not above the null's max 1") == 2


def test_match_runs_the_model_on_both(model, make_stimuli):
    a, b = make_stimuli(5).read(), make_stimuli(5, seed=1).read()
    found: Any = match(model, Representation(("relu",)), a, b, batch_size=2)
    assert torch.allclose(found.reference, model.activations(a, ["relu"])["relu"].flatten(1), atol=1e-6)
    assert torch.allclose(found.other, model.activations(b, ["relu"])["relu"].flatten(1), atol=1e-6)
    rows = torch.tensor([4, 1])
    assert torch.equal(found.same_class(rows), (model.decide(a) == model.decide(b))[rows])
    assert torch.equal(found.measure("pearson_r", rows), found.measure("pearson_r", torch.arange(5))[rows])
    assert found.same_class(rows[:0]).tolist() == []


def test_decisions_in_batches_are_the_models(model, make_stimuli):
    signals = make_stimuli(7).read()
    assert torch.equal(decide(model, signals, batch_size=3), model.decide(signals))


def test_a_model_without_classes_has_no_decision(make_stimuli):
    a = make_stimuli(2).read()
    model = StagedModel(nn.Conv2d(3, 2, 3), input_size=8)
    assert match(model, Representation(("output",)), a, a).same_class(torch.arange(2)) is None


def test_the_decision_is_asked_of_the_model_once(model, make_stimuli, monkeypatch):
    a, asked = make_stimuli(3).read(), []
    decide_once = model.decide

    def deciding(x):
        asked.append(len(x))
        return decide_once(x)

    monkeypatch.setattr(model, "decide", deciding)
    judge(match(model, Representation(("relu",)), a, a), PUBLISHED, make_null())
    assert asked == [3, 3]
