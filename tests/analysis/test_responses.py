"""Analyses of responses: known answers, properties, and what is refused."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from metamers import analysis
from metamers.analysis.consistency import kappa
from metamers.analysis.idiosyncrasy import ANOTHER_SEED, OTHER, OTHER_ARCHITECTURE, OTHER_BOTH, OTHER_TRAINING
from metamers.errors import MetamersError

PEOPLE = ("people", "human")
THREE = (("net", "model"), ("a", "model"), ("b", "model"))


def row_of(table: pd.DataFrame, **where) -> Any:
    """The one row, or the first, with these values."""
    for name, value in where.items():
        table = table[table[name] == value]
    return table.iloc[0]


def falls(model, stage, observer, i):
    """All is right but late metamers of others."""
    return {"output": 0.25, "layer2": 0.5}.get(stage, 1.0) if observer != model else 1.0


def test_participant_scores_have_one_row_for_each_person(make_responses):
    table = analysis.participant_scores(
        make_responses(observers=[PEOPLE, ("other", "model")], participants=3, right=falls)
    )
    assert len(table) == 4 * (3 + 1)
    assert set(table["participant"]) == {"p0", "p1", "p2", "other"}
    assert table[table["stage"] == "natural"]["proportion"].eq(1).all()
    assert (table["model"] == "").sum() == 4


def test_observers_without_a_common_label_are_unscored(make_responses):
    responses = make_responses()
    responses["correct"] = responses["correct"].astype("boolean").where(responses["observer"] != "other")
    row = row_of(analysis.participant_scores(responses), observer="other")
    assert row["n"] == 0 and np.isnan(row["proportion"])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: pd.concat([t, t.iloc[:1]]), "participant 'net' of 'net' answered natural/r0 twice; keep one"),
        (lambda t: t.drop(columns="correct"), "lacks the column 'correct'"),
        (lambda t: t.assign(observer_kind="person"), "'person' is neither 'model' nor 'human'"),
    ],
)
def test_responses_that_are_none_are_refused(make_responses, change, said):
    for function in (analysis.participant_scores, analysis.error_consistency, analysis.balanced_accuracy):
        with pytest.raises(MetamersError) as refused:
            function(change(make_responses()))
        assert said in str(refused.value)


def test_bootstrap_over_stimuli_is_the_binomial_error(make_responses):
    table = analysis.bootstrap_recognition(make_responses(n=400, right=falls), over="stimuli")
    row = row_of(table, stage="layer2", observer="other")
    p = row["proportion"]
    assert row["sem"] == pytest.approx(np.sqrt(p * (1 - p) / 400), rel=0.15)
    assert row["ci_low"] == pytest.approx(p - 1.96 * row["sem"], abs=0.01)
    assert (row["n"], row["n_references"], row["n_participants"]) == (400, 400, 1)


def test_bootstrap_over_people_sees_how_they_differ(make_responses):
    responses = make_responses(observers=[PEOPLE], participants=8, n=40)
    # Half of the people are always wrong: they differ, the stimuli do not.
    responses["correct"] = responses["participant"].isin(["p0", "p1", "p2", "p3"])
    sems = {
        over: analysis.bootstrap_recognition(responses, over=over)["sem"].iloc[0]
        for over in ("stimuli", "participants", "both")
    }
    assert sems["stimuli"] == pytest.approx(0, abs=1e-12)
    assert sems["participants"] == pytest.approx(0.5 / np.sqrt(8), rel=0.15)
    assert sems["both"] >= sems["participants"] * 0.9
    one = analysis.bootstrap_recognition(responses[responses["participant"] == "p0"], over="participants")
    assert one[["sem", "ci_low", "ci_high"]].isna().all().all()


bits = st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40)


@given(bits)
def test_kappa_is_cohens_and_within_its_bounds(pairs):
    a, b = (np.array(side) for side in zip(*pairs, strict=True))
    figures = kappa(len(a), int(a.sum()), int(b.sum()), int((a == b).sum()))
    if figures["note"]:
        assert np.isnan(figures["kappa"]) and len(set(a)) == len(set(b)) == 1
        return
    both, neither = np.mean(a & b), np.mean(~a & ~b)
    expected = a.mean() * b.mean() + (1 - a.mean()) * (1 - b.mean())
    assert figures["kappa"] == pytest.approx((both + neither - expected) / (1 - expected))
    assert figures["kappa_min"] - 1e-9 <= figures["kappa"] <= figures["kappa_max"] + 1e-9


def test_a_kappa_of_nothing_is_exactly_0():
    figures = kappa(7, 7, 4, 4)
    assert (figures["kappa_min"], figures["kappa"], figures["kappa_max"]) == (0, 0, 0)


def test_error_consistency_pairs_all_observers_on_what_they_share(make_responses):
    responses = make_responses(observers=[PEOPLE, *THREE[1:]], participants=2, right=falls)
    table = analysis.error_consistency(responses)
    assert set(table["observer_a"]) | set(table["observer_b"]) == {"people p0", "people p1", "a", "b"}
    assert len(table) == 4 * 6 and (table["n"] == 16).all()
    apart = responses[(responses["observer"] == "a") == (responses["cell"].str.endswith("/s0"))]
    with pytest.raises(MetamersError, match="no two observers saw the same stimulus"):
        analysis.error_consistency(apart[apart["observer"].isin(["a"])])


def test_reliability_is_high_where_people_agree_and_low_where_they_guess(make_responses):
    steep = make_responses(observers=[PEOPLE], participants=8, right=falls, n=40)
    row = row_of(analysis.split_half_reliability(steep, n_splits=200))
    assert row["reliability"] > 0.97 and row["n_items"] == 4 and row["n_participants"] == 8
    assert row["r"] < row["reliability"]
    guessed = make_responses(observers=[PEOPLE], participants=8, right=lambda *_: 0.5, n=40)
    by_cell = row_of(analysis.split_half_reliability(guessed, items=["cell"], n_splits=200))
    assert abs(by_cell["r"]) < 0.3
    with pytest.raises(MetamersError, match="needs 4 human participants; the responses have 2"):
        analysis.split_half_reliability(make_responses(observers=[PEOPLE], participants=2))


def test_reliability_is_spearman_and_browns_and_undefined_of_opposites(make_responses):
    responses = make_responses(observers=[PEOPLE], participants=6, right=lambda *_: 0.5, n=4)
    row = row_of(analysis.split_half_reliability(responses, n_splits=50))
    assert row["reliability"] == pytest.approx(2 * row["r"] / (1 + row["r"]))
    assert row["ci_low"] <= row["reliability"] <= row["ci_high"]
    four = make_responses(observers=[PEOPLE], participants=4, n=4)
    # Whoever is right at the first stage is wrong elsewhere: some halves are each other's opposites.
    four["correct"] = four["participant"].isin(["p0", "p1"]) == (four["stage"] == "natural")
    row = row_of(analysis.split_half_reliability(four, n_splits=50))
    assert row["r"] == pytest.approx(-1) and np.isnan(row["reliability"])


def test_idiosyncrasy_is_own_minus_other_by_relation(make_responses):
    table = analysis.idiosyncrasy(make_responses(observers=THREE, right=falls, n=100))
    row = row_of(table, stage="output")
    assert (row["relation"], row["n_observers"], row["own"]) == (OTHER, 2, 1.0)
    assert row["idiosyncrasy"] == pytest.approx(0.75, abs=0.1)
    assert row["ci_low"] < row["idiosyncrasy"] < row["ci_high"]
    observers = [("net", "model"), ("twin", "model"), ("deep", "model"), ("robust", "model"), ("both", "model")]
    models = pd.DataFrame(
        {
            "model": ["net", "twin", "deep", "robust", "both"],
            "architecture": ["r18", "r18", "r50", "r18", "r50"],
            "training": ["s", "s", "s", "adv", "adv"],
        }
    )
    responses = make_responses(observers=observers)
    split = analysis.idiosyncrasy(responses, models)
    assert split[split["stage"] == "layer1"]["relation"].tolist() == [
        *(ANOTHER_SEED, OTHER_ARCHITECTURE, OTHER_TRAINING, OTHER_BOTH),
    ]
    with pytest.raises(MetamersError, match="lacks 'twin'"):
        analysis.idiosyncrasy(responses, models[models["model"] != "twin"])
    with pytest.raises(MetamersError, match="no model saw its own metamers"):
        analysis.idiosyncrasy(make_responses(observers=THREE[1:]))


def test_seeds_agree_as_often_as_the_observer_answers_alike(make_responses):
    table = analysis.seed_agreement(make_responses(seeds=(0, 1, 2)))
    assert (table["agreement"] == 1).all() and (table["n_pairs"] == 16 * 3).all() and (table["expected"] == 0.25).all()
    with pytest.raises(MetamersError, match="no reference has metamers from two seeds"):
        analysis.seed_agreement(make_responses())


def test_seed_distances_are_root_mean_squares():
    rows = [
        ("net", "layer1", "fast", "r0", seed, np.full(4, value), np.zeros(4)) for seed, value in ((0, 0.1), (1, 0.4))
    ]
    columns = ["model", "stage", "recipe", "reference", "seed", "signal", "reference_signal"]
    row = row_of(analysis.seed_distances(pd.DataFrame(rows, columns=columns)))
    assert (row["between_seeds"], row["to_reference"]) == (pytest.approx(0.3), pytest.approx(0.25))


def test_merit_is_1_for_perfect_metamers_and_the_area_below_otherwise(make_responses):
    assert analysis.figure_of_merit(make_responses())["merit"].tolist() == [pytest.approx(1)]

    def exact(model, stage, observer, i):
        share = {"layer1": 1.0, "layer2": 0.5, "output": 0.25}.get(stage, 1.0)
        return float(i % 16 < 16 * share)

    row = row_of(analysis.figure_of_merit(make_responses(right=exact), chance=0.25))
    # Scaled: 1, 1, 1/3, 0 at depths 0, 1/3, 2/3, 1.
    assert row["merit"] == pytest.approx((1 + 2 / 3 + 1 / 6) / 3)
    assert row["ci_low"] < row["merit"] < row["ci_high"]
    assert (row["n_stages"], row["n_observers"], row["n_references"]) == (3, 1, 16)


def test_merit_is_against_what_the_observers_of_a_stage_reach(make_responses):
    # The weak observer is right as often about metamers as about natural stimuli, but saw the first stage only.
    def right(model, stage, observer, i):
        return None if observer == "weak" and stage in ("layer2", "output") else float(observer != "weak" or i % 2)

    observers = [("strong", "model"), ("weak", "model")]
    for chance in (0.25, {"strong": 0.25, "weak": 0.1}):
        row = row_of(analysis.figure_of_merit(make_responses(observers=observers, right=right), chance=chance))
        assert row["merit"] == pytest.approx(1) and row["n_observers"] == 2


def test_a_stage_seen_only_by_who_saw_no_natural_stimuli_is_no_part_of_the_merit(make_responses):
    def right(model, stage, observer, i):
        blind = observer == "blind" and stage != "output"
        return None if blind or (observer == "seeing" and stage == "output") else 1.0

    table = make_responses(observers=[("seeing", "model"), ("blind", "model")], right=right)
    row = row_of(analysis.figure_of_merit(table))
    assert row["merit"] == pytest.approx(1)
    assert (row["n_stages"], row["n_observers"]) == (2, 1)


def test_merit_tells_the_references_of_the_stage_that_has_the_least(make_responses):
    table = make_responses()
    few = table[(table["stage"] != "layer2") | table["reference"].isin(["r0", "r1"])]
    for responses, least in ((table, 16), (few, 2)):
        row = row_of(analysis.figure_of_merit(responses))
        assert (row["n_references"], row["n_references_least"]) == (16, least)


def test_merit_needs_other_observers_above_chance(make_responses):
    with pytest.raises(MetamersError, match="no other observer saw both"):
        analysis.figure_of_merit(make_responses(observers=[("net", "model")]))
    with pytest.raises(MetamersError, match="no person saw both"):
        analysis.figure_of_merit(make_responses(), observer_kind="human")
    row = row_of(analysis.figure_of_merit(make_responses(right=lambda *_: 0.0)))
    assert np.isnan(row["merit"]) and "not above chance" in row["note"]


def test_runs_are_compared_by_merit(make_responses):
    table = analysis.compare_runs({"one": make_responses(), "two": make_responses(right=falls)}, chance=0.25)
    assert table["run"].tolist() == ["one", "two"]
    assert table["difference"].tolist() == [0, pytest.approx(table["merit"][1] - table["merit"][0])]
    assert table["difference_high"][1] < 0
    with pytest.raises(MetamersError, match="^two: no other observer"):
        analysis.compare_runs({"one": make_responses(), "two": make_responses(observers=[("net", "model")])})


def test_chance_is_that_of_each_run(make_responses):
    runs = {"two": make_responses(right=falls), "many": make_responses(right=falls)}
    chance = {"two": {"other": 0.5}, "many": {"other": 0.01}}
    merits = analysis.compare_runs(runs, chance=chance)["merit"].tolist()
    assert merits == [analysis.figure_of_merit(runs[name], chance=chance[name])["merit"].item() for name in runs]
    assert merits[0] < merits[1]


def test_confusions_and_balanced_accuracy(make_responses):
    responses = make_responses(right=lambda m, s, o, i: float(i % 4 != 0), n=16)
    responses = responses[responses["reference"].isin(["r0", "r1", "r2", "r5"])]  # cat once, cup twice, star once
    row = row_of(analysis.balanced_accuracy(responses))
    assert (row["accuracy"], row["n_labels"]) == (0.75, 3)
    assert row["balanced_accuracy"] == pytest.approx(2 / 3)
    table = analysis.confusion(responses)
    cat = row_of(table, label="cat", stage="natural")
    assert (cat["response"], cat["n"], cat["proportion"]) == ("cup", 1, 1.0)
    assert table.groupby(["model", "stage", "observer", "label"])["proportion"].sum().eq(1).all()


def test_people_against_other_models(make_responses):
    responses = make_responses(observers=[PEOPLE, *THREE], participants=4, right=falls, n=60)
    points = analysis.human_model_points(responses)
    assert points["stage"].tolist() == ["layer1", "layer2", "output"]
    assert points["n_people"].tolist() == [4] * 3 and points["n_models"].tolist() == [2] * 3
    row = row_of(analysis.human_model_relation(points))
    assert row["r_squared"] > 0.9 and row["spearman_rho"] == pytest.approx(1) and row["n"] == 3
    with pytest.raises(MetamersError, match="no model-stage was shown to both"):
        analysis.human_model_relation(analysis.human_model_points(make_responses()))


@settings(deadline=None)  # the first call imports scipy
@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=12))
def test_correlations_are_symmetric_and_bounded(pairs):
    x, y = [p[0] for p in pairs], [p[1] for p in pairs]
    figures, swapped = analysis.correlations(x, y), analysis.correlations(y, x)
    if figures["note"]:
        assert len(pairs) < 3 or len(set(x)) == 1 or len(set(y)) == 1
        return
    for name in ("pearson_r", "spearman_rho", "kendall_tau"):
        assert -1 - 1e-9 <= figures[name] <= 1 + 1e-9
        assert figures[name] == pytest.approx(swapped[name])


def test_means_that_rounding_sets_apart_are_ties():
    apart = [0.1 + 0.2, 0.3, 0.5, 0.7]
    assert apart[0] != apart[1]
    equal = analysis.correlations([0.3, 0.3, 0.5, 0.7], [1, 2, 4, 3])
    figures = analysis.correlations(apart, [1, 2, 4, 3])
    for name in ("spearman_rho", "kendall_tau", "kendall_p"):
        assert figures[name] == pytest.approx(equal[name], abs=1e-12)
    assert "does not vary" in analysis.correlations([0.1 + 0.2, 0.3, 0.3], [1, 2, 4])["note"]


def test_robustness_against_recognizability():
    recognizability = pd.DataFrame({"model": list("abcd"), "recognizability": [0.1, 0.4, 0.3, 0.8]})
    robustness = pd.DataFrame(
        {"model": list("abc") * 2, "attack": ["linf"] * 3 + ["l2"] * 3, "robustness": [1, 2, 3, 3, 2, 1]}
    )
    points, relation = analysis.robustness_relation(recognizability, robustness)
    assert len(points) == 6
    assert relation.set_index("attack")["spearman_rho"].to_dict() == {"linf": 0.5, "l2": -0.5}
    with pytest.raises(MetamersError, match="model 'a' is there twice"):
        analysis.robustness_relation(recognizability, robustness.drop(columns="attack"))
    with pytest.raises(MetamersError, match="no model has both"):
        analysis.robustness_relation(recognizability.assign(model=list("wxyz")), robustness)


def test_designs_of_a_run(make_responses):
    responses = make_responses(observers=[PEOPLE, *THREE], participants=3, right=falls)
    scores = analysis.participant_scores(responses)
    table = analysis.kind_by_stage(scores, "net")
    result = analysis.mixed_anova(
        table, value="proportion", subject="subject", within="stage", between="observer_kind"
    ).set_index("effect")
    assert result["DF"].tolist() == [1, 1, 3, 3, 3, 9]  # 3 people and 2 other models, 4 stages
    with pytest.raises(MetamersError, match="no responses of people"):
        analysis.kind_by_stage(analysis.participant_scores(make_responses(observers=THREE)), "net")
    two = make_responses(models=("net", "twin"), observers=[PEOPLE], participants=5, right=lambda *_: 0.5)
    table = analysis.stage_by_model(analysis.participant_scores(two), "human")
    result = analysis.repeated_measures_anova(table, value="proportion", subject="subject", within=["stage", "model"])
    assert result["DF"].tolist() == [1, 4, 3, 12, 1, 4, 3, 12]
    with pytest.raises(MetamersError, match="no model observers other than"):
        analysis.stage_by_model(analysis.participant_scores(two), "model")


def test_row_order_does_not_matter(make_responses):
    responses = make_responses(observers=[PEOPLE, *THREE], participants=4, right=falls, seeds=(0, 1))
    shuffled = responses.sample(frac=1, random_state=0)
    for function in (analysis.error_consistency, analysis.balanced_accuracy, analysis.seed_agreement):
        numbers = function(responses).select_dtypes("number")
        for name in numbers:
            if name not in ("accuracy_a", "accuracy_b"):  # which of a pair is first
                assert sorted(function(shuffled)[name].dropna()) == pytest.approx(sorted(numbers[name].dropna()))


def test_controls_without_a_model_are_no_metamers(make_responses):
    responses = make_responses(observers=[PEOPLE, *THREE], participants=4, right=falls)
    noise = responses[responses["stage"] == "natural"].assign(stage="start", correct=False)
    noise["cell"] = "start/" + noise["reference"]
    with_noise = pd.concat([noise, responses])
    pd.testing.assert_frame_equal(analysis.figure_of_merit(with_noise), analysis.figure_of_merit(responses))
    pd.testing.assert_frame_equal(analysis.human_model_points(with_noise), analysis.human_model_points(responses))
    pd.testing.assert_frame_equal(analysis.idiosyncrasy(with_noise), analysis.idiosyncrasy(responses))
    scores = analysis.participant_scores(with_noise)
    assert "start" not in set(analysis.kind_by_stage(scores, "net")["stage"])
    assert analysis.stage_by_model(scores, "human")["stage"].tolist().count(0) == 4


def test_chance_may_differ_between_observers(make_responses):
    responses = make_responses(observers=THREE, right=falls)
    table = analysis.bootstrap_recognition(responses, chance={"a": 0.1}, n_resamples=10)
    assert set(table["chance"][table["observer"] == "a"]) == {0.1}
    assert set(table["chance"][table["observer"] == "b"]) == {0.25}
    both, mean = ({"a": 0.1, "b": 0.2}, 0.15)
    merits = [analysis.figure_of_merit(responses, chance=chance)["merit"][0] for chance in (both, mean)]
    assert merits[0] == pytest.approx(merits[1])
