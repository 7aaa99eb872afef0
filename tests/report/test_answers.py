"""Answers counted on the disk give the statistics of the table that they were counted from."""

import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pandas.testing import assert_frame_equal

from metamers.analysis import (
    bootstrap_recognition,
    confusion,
    confusion_of_counts,
    figure_of_merit,
    idiosyncrasy,
    participant_scores,
    recognition_by_stage,
    recognition_of_counts,
)
from metamers.errors import MetamersError
from metamers.report.answers import Answers

OBSERVERS = (("m", "model", None), ("n", "model", None), ("human", "human", "p1"), ("human", "human", "p2"))
STAGES = (("", "natural"), ("m", "a"), ("m", "b"), ("n", "a"))
ORDER = {"m": ["a", "b"], "n": ["a"]}
GROUPS = ["model", "stage", "observer", "observer_kind"]
answers = st.tuples(
    st.sampled_from(STAGES),
    st.sampled_from(OBSERVERS),
    st.integers(0, 3),  # reference
    st.integers(0, 2),  # seed
    st.sampled_from(["x", "y", None]),  # response
)


def table_of(found):
    """A table of responses to the references 0 to 3, whose labels are x, y, x and unknown."""
    rows = [
        {
            **{"cell": f"{model}/{stage}/{reference}/s{seed}", "model": model or None, "stage": stage},
            **{"reference": str(reference), "observer": observer, "observer_kind": kind, "participant": person},
            **{"label": (label := ("x", "y", "x", None)[reference]), "response": response},
            "correct": None if label is None or response is None else label == response,
        }
        for (model, stage), (observer, kind, person), reference, seed, response in found
    ]
    text = ["model", "participant", "label", "response"]
    return pd.DataFrame(rows).astype({**dict.fromkeys(text, "string"), "correct": "boolean"})


# References that are first seen without a score.
LATE = [(0, 0, None), (1, 0, "x"), (2, 0, "x"), (0, 1, "x")]


@settings(deadline=None, max_examples=40)
@given(st.lists(answers, min_size=1, max_size=60, unique_by=lambda a: a[:4]), st.integers(1, 9))
@example([(STAGES[0], OBSERVERS[0], *rest) for rest in LATE], 9)
def test_counted_answers_have_the_statistics_of_single_ones(found, size):
    table = table_of(found)
    failed = {cell for cell in table["cell"] if cell.endswith("s2")}
    counted = Answers((table[i : i + size] for i in range(0, len(table), size)), failed.__contains__)
    kept = table[~table["cell"].isin(failed)]
    assert counted.n_failed == len(table) - len(kept)
    assert set(counted.observers()) == set(table["observer"])
    assert set(counted.people()) == set(kept["participant"].dropna())
    assert set(counted.labels()["label"].dropna()) == set(table["label"].dropna())
    if kept.empty:
        return
    expected = recognition_by_stage(kept, 0.5)
    assert_frame_equal(by_group(recognition_of_counts(counted.counts(), 0.5)), by_group(expected), check_dtype=False)
    parts = [part for model in ("", "m", "n") for part in counted.of(model) if len(part)]
    joined = pd.concat(parts)
    of_parts, whole = pd.concat([intervals(part) for part in parts]), intervals(kept)
    assert_frame_equal(by_group(of_parts), by_group(whole), check_dtype=False)
    assert_frame_equal(by_group(participant_scores(joined)), by_group(participant_scores(kept)), check_dtype=False)
    for statistic in (idiosyncrasy, lambda t: figure_of_merit(t, chance=0.5, stages=ORDER)):
        assert_same(statistic, joined, kept)


def intervals(table):
    return bootstrap_recognition(table, chance=0.5, n_resamples=7)


def assert_same(statistic, joined, kept):
    try:
        expected = statistic(kept)
    except MetamersError as error:
        with pytest.raises(MetamersError) as raised:
            statistic(joined)
        assert str(raised.value) == str(error)
    else:
        columns = [*expected.columns[expected.columns.isin(["model", "stage", "relation"])]]
        ours = statistic(joined).sort_values(columns, ignore_index=True)
        assert_frame_equal(ours, expected.sort_values(columns, ignore_index=True), check_dtype=False)


@settings(deadline=None, max_examples=40)
@given(st.lists(answers, min_size=1, max_size=60, unique_by=lambda a: a[:4]))
def test_confusions_are_those_of_scored_answers(found):
    table = table_of(found)
    of_m = table[(table["model"] == "m") | (table["stage"] == "natural")]
    expected = confusion(of_m[of_m["correct"].notna()])
    ours = confusion_of_counts(Answers([table]).confusions("m"))
    columns = [*GROUPS, "label", "response"]
    expected, ours = (each.sort_values(columns, ignore_index=True) for each in (expected, ours))
    assert_frame_equal(ours, expected, check_dtype=False)


def test_a_model_without_answers_has_an_empty_table():
    (part,) = Answers([table_of([(("m", "a"), OBSERVERS[0], 0, 0, "x")])]).of("n")
    assert part.empty and bootstrap_recognition(part, chance=0.5).empty


def by_group(table):
    keys = [name for name in (*GROUPS, "participant") if name in table]
    return table.sort_values(keys, ignore_index=True).astype(dict.fromkeys(keys, object))
