"""Recognition by stage: counts, intervals, order, what is left out."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from metamers.analysis import (
    balanced_accuracy,
    balanced_accuracy_of_counts,
    chance_level,
    count_responses,
    recognition_by_stage,
    recognition_of_counts,
    wilson_interval,
)
from metamers.analysis.recognition import GROUPS
from metamers.errors import MetamersError

COLUMNS = ["cell", "model", "stage", "observer", "observer_kind", "label", "response", "correct"]


def responses(*rows: tuple[object, ...]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=COLUMNS)
    return table.astype({name: "boolean" if name == "correct" else "string" for name in COLUMNS})


def row(stage: str, observer: str, correct: bool | None, reference: str = "a", model: str = "m") -> tuple[object, ...]:
    natural = stage == "natural"
    cell = f"natural/{reference}" if natural else f"{model}/{stage}/fast/{reference}/s0"
    return (cell, None if natural else model, stage, observer, "model", "cat", "cat" if correct else "dog", correct)


@given(st.integers(0, 400), st.integers(1, 400))
def test_wilson_interval_is_scipys(successes: int, n: int) -> None:
    successes = min(successes, n)
    expected = binomtest(successes, n).proportion_ci(0.95, method="wilson")
    low, high = wilson_interval(successes, n)
    assert float(low) == pytest.approx(expected.low, abs=1e-12)
    assert float(high) == pytest.approx(expected.high, abs=1e-12)


def test_wilson_interval_of_no_responses_is_empty() -> None:
    low, high = wilson_interval([0, 1], [0, 1])
    assert np.isnan(low[0]) and np.isnan(high[0]) and high[1] == 1


def test_counts_proportions_and_natural_stimuli() -> None:
    table = recognition_by_stage(
        responses(
            row("layer1", "m", True),
            row("layer1", "m", True, "b"),
            row("layer1", "other", False),
            row("layer1", "other", True, "b"),
            row("natural", "m", True),
            row("natural", "other", True),
        )
    )
    assert table[["model", "stage", "observer", "n", "n_correct"]].to_numpy().tolist() == [
        ["", "natural", "m", 1, 1],
        ["", "natural", "other", 1, 1],
        ["m", "layer1", "m", 2, 2],
        ["m", "layer1", "other", 2, 1],
    ]
    assert table["proportion"].tolist() == [1, 1, 1, 0.5]
    assert ((table["ci_low"] <= table["proportion"]) & (table["proportion"] <= table["ci_high"])).all()
    assert (table["chance"] == 0.5).all()  # cat and dog


def test_unscored_and_excluded_responses_are_counted_apart() -> None:
    seen = responses(
        row("layer1", "m", True),
        row("layer1", "m", None, "b"),
        row("layer1", "m", False, "c"),
        row("layer2", "m", None),
    )
    table = recognition_by_stage(seen, exclude=["m/layer1/fast/c/s0"]).set_index("stage")
    counts = table[["n", "n_correct", "n_unscored", "n_excluded"]]
    assert counts.to_dict("index")["layer1"] == {"n": 1, "n_correct": 1, "n_unscored": 1, "n_excluded": 1}
    assert table["n"].to_dict() == {"layer1": 1, "layer2": 0}
    assert table["proportion"].isna().to_dict() == {"layer1": False, "layer2": True}


def test_stages_come_in_the_given_order_and_unlisted_ones_last() -> None:
    seen = responses(*(row(stage, "m", True) for stage in ("output", "extra", "layer2", "layer10", "natural")))
    table = recognition_by_stage(seen, stages={"m": ["layer2", "layer10", "output"]})
    assert table["stage"].tolist() == ["natural", "layer2", "layer10", "output", "extra"]


def test_stage_order_is_each_models_own() -> None:
    seen = responses(*(row(stage, "m", True, model=model) for model in ("p", "q") for stage in ("a", "b")))
    table = recognition_by_stage(seen, stages={"q": ["b", "a"], "p": ["a", "b"]})
    assert list(zip(table["model"], table["stage"], strict=True)) == [("q", "b"), ("q", "a"), ("p", "a"), ("p", "b")]


def test_chance_level_is_given_or_found() -> None:
    seen = responses(row("layer1", "m", True), row("layer1", "m", False, "b"))
    assert chance_level(seen) == 0.5
    assert recognition_by_stage(seen, 0.1)["chance"].tolist() == [0.1]


def test_no_responses_give_an_empty_table() -> None:
    table = recognition_by_stage(responses())
    assert len(table) == 0 and "proportion" in table


def test_missing_column_is_named() -> None:
    with pytest.raises(MetamersError, match="column 'observer'"):
        recognition_by_stage(responses(row("layer1", "m", True)).drop(columns="observer"))


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.sampled_from("ab"), st.sampled_from("xy"), st.none() | st.booleans()), min_size=1),
    st.data(),
)
def test_a_table_in_parts_is_counted_as_the_whole(
    drawn: list[tuple[str, str, bool | None]], data: st.DataObject
) -> None:
    rows = [row(stage, observer, correct, str(i)) for i, (stage, observer, correct) in enumerate(drawn)]
    cuts = sorted(data.draw(st.lists(st.integers(0, len(rows)), max_size=4)))
    table, ends = responses(*rows), [0, *cuts, len(rows)]
    parts = [table[first:last] for first, last in itertools.pairwise(ends)]
    excluded = {str(rows[0][0])}

    counts = count_responses(parts, excluded)

    whole = recognition_by_stage(table, 0.5, exclude=excluded)
    pd.testing.assert_frame_equal(recognition_of_counts(counts, 0.5), whole)
    balanced = balanced_accuracy_of_counts(counts).set_index(GROUPS).sort_index()
    expected = balanced_accuracy(table[~table["cell"].isin(excluded)]).set_index(GROUPS).sort_index()
    pd.testing.assert_frame_equal(balanced, expected, check_dtype=False)
