"""Analysis of variance: closed forms, properties, pingouin as an oracle, and what is refused."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from metamers.analysis import mixed_anova, repeated_measures_anova, without_incomplete
from metamers.analysis.anova import upper_tail
from metamers.errors import MetamersError

FIGURES = ["SumSq", "DF", "MeanSq", "F", "pValue", "pValueGG", "pValueHF", "pValueLB", "partial_eta_sq"]


def one_factor(values) -> pd.DataFrame:
    """Values [subjects, stages] as a tidy table."""
    s, k = np.indices(np.shape(values))
    return pd.DataFrame({"who": s.ravel(), "stage": [f"s{i}" for i in k.ravel()], "y": np.ravel(values)})


def two_factors(values) -> pd.DataFrame:
    s, a, b = (index.ravel() for index in np.indices(np.shape(values)))
    return pd.DataFrame({"who": s, "stage": a, "net": b, "y": np.ravel(values)})


def grouped(values, groups) -> pd.DataFrame:
    table = one_factor(values)
    return table.assign(kind=np.asarray(groups)[table["who"]])


def repeated(table, *within):
    return repeated_measures_anova(table, value="y", subject="who", within=within or ["stage"]).set_index("effect")


def mixed(table):
    return mixed_anova(table, value="y", subject="who", within="stage", between="kind").set_index("effect")


def random(seed, *shape):
    """Correlated normal values [subjects, levels...]."""
    rng = np.random.default_rng(seed)
    return rng.normal(size=shape) + rng.normal(size=(shape[0], 1, 1)[: len(shape)])


def test_two_stages_are_a_paired_t_test():
    values = random(0, 12, 2)
    t = stats.ttest_rel(values[:, 0], values[:, 1])
    row = repeated(one_factor(values)).loc["(Intercept):stage"]
    assert row["F"] == pytest.approx(t.statistic**2)
    assert [row[name] for name in FIGURES if name.startswith("p")][:-1] == pytest.approx([t.pvalue] * 4)
    assert (row.epsilon_GG, row.epsilon_HF) == (pytest.approx(1), pytest.approx(1))


def test_two_groups_are_a_t_test_of_the_means():
    values, kinds = random(1, 14, 5), ["human"] * 6 + ["model"] * 8
    means = values.mean(axis=1)
    t = stats.ttest_ind(means[:6], means[6:])
    row = mixed(grouped(values, kinds)).loc["kind"]
    assert (row.F, row.pValue) == (pytest.approx(t.statistic**2), pytest.approx(t.pvalue))


def test_a_small_design_by_hand():
    # Stage means 2, 3, 4; subject means 2, 3, 4; residuals 0 but for one exchange.
    values = np.array([[1.0, 2, 3], [2, 3, 4], [3, 5, 4]])
    table = repeated(one_factor(values))
    assert table.loc["(Intercept)", "SumSq"] == pytest.approx(9 * 3**2)
    assert table.loc["(Intercept):stage", "SumSq"] == pytest.approx(
        3 * ((2 - 3) ** 2 + (10 / 3 - 3) ** 2 + (11 / 3 - 3) ** 2)
    )
    assert table.loc["Error", "SumSq"] == pytest.approx(3 * (1 + 0 + 1))
    assert table["DF"].tolist() == [1, 2, 2, 4]
    total = np.sum(values**2)
    assert table["SumSq"].sum() == pytest.approx(total)


@pytest.mark.filterwarnings("ignore")  # pingouin's, of other packages
@pytest.mark.parametrize("seed", range(3))
def test_pingouin_agrees_on_repeated_measures(seed):
    pingouin = pytest.importorskip("pingouin", reason="pingouin is not installed: the oracle was NOT asked")
    table = two_factors(random(seed, 9, 4, 3))
    ours = repeated(table, "stage", "net")
    theirs = pingouin.rm_anova(table, dv="y", within=["stage", "net"], subject="who", effsize="np2").set_index("Source")
    for name, source in (("stage", "stage"), ("net", "net"), ("stage:net", "stage * net")):
        row, other = ours.loc[f"(Intercept):{name}"], theirs.loc[source]
        assert row.SumSq == pytest.approx(other["SS"])
        assert row["F"] == pytest.approx(other["F"])
        p, gg = other.filter(regex="^p.unc|^p_unc").iloc[0], other.filter(regex="GG").iloc[0]
        assert (row.pValue, row.pValueGG) == (pytest.approx(p), pytest.approx(gg))
        assert (row.epsilon_GG, row.partial_eta_sq) == (pytest.approx(other["eps"]), pytest.approx(other["np2"]))


@pytest.mark.filterwarnings("ignore")  # pingouin's, of other packages
@pytest.mark.parametrize("seed", range(3))
def test_pingouin_agrees_on_mixed(seed):
    pingouin = pytest.importorskip("pingouin", reason="pingouin is not installed: the oracle was NOT asked")
    table = grouped(random(seed, 12, 5), ["human", "model"] * 6)
    ours = mixed(table)
    theirs = pingouin.mixed_anova(table, dv="y", within="stage", subject="who", between="kind").set_index("Source")
    for name, source in (("kind", "kind"), ("(Intercept):stage", "stage"), ("kind:stage", "Interaction")):
        row, other = ours.loc[name], theirs.loc[source]
        p = other.filter(regex="^p.unc|^p_unc").iloc[0]
        assert (row.SumSq, row.F, row.pValue) == tuple(map(pytest.approx, (other["SS"], other["F"], p)))
        assert row.partial_eta_sq == pytest.approx(other["np2"])


def test_huynh_feldt_is_lecoutres_with_groups():
    table = mixed(grouped(random(3, 10, 4), ["a", "b"] * 5))
    gg, n, r, d = table.loc["kind:stage", "epsilon_GG"], 10, 2, 3
    assert table.loc["kind:stage", "epsilon_HF"] == pytest.approx(
        min(1, ((n - r + 1) * d * gg - 2) / (d * (n - r - d * gg)))
    )


values_2d = st.integers(3, 6).flatmap(
    lambda n: st.integers(2, 4).flatmap(
        lambda k: st.lists(
            st.lists(st.integers(0, 20).map(lambda i: i / 20), min_size=k, max_size=k), min_size=n, max_size=n
        )
    )
)


@settings(deadline=None, max_examples=40)
@given(values_2d, st.randoms(use_true_random=False))
def test_order_and_names_do_not_matter(values, shuffler):
    table = one_factor(values)
    expected = repeated(table)
    rows = list(range(len(table)))
    shuffler.shuffle(rows)
    renamed = table.iloc[rows].assign(
        who=lambda t: "p" + t["who"].astype(str),
        stage=lambda t: t["stage"].map({f"s{i}": f"x{9 - i}" for i in range(9)}),
    )
    again = repeated(renamed)
    assert again["note"].tolist() == expected["note"].tolist()
    np.testing.assert_allclose(again[FIGURES].astype(float), expected[FIGURES].astype(float), rtol=1e-7, atol=1e-12)


@settings(deadline=None, max_examples=40)
@given(values_2d)
def test_sums_of_squares_add_up_and_p_values_are_ordered(values):
    table = repeated(one_factor(values))
    assert table["SumSq"].sum() == pytest.approx(np.sum(np.square(values)), abs=1e-9)
    row = table.loc["(Intercept):stage"]
    if row.note:
        assert math.isnan(row.F) and "undefined" in row.note
    else:
        assert 1 / 3 - 1e-9 <= row.epsilon_GG <= row.epsilon_HF + 1e-9 <= 1 + 2e-9 or row.epsilon_HF < row.epsilon_GG


def test_a_stage_that_all_recognize_alike_is_no_obstacle():
    values = random(8, 9, 4)
    values[:, 1] = 1.0
    row = repeated(one_factor(values)).loc["(Intercept):stage"]
    assert np.isfinite(row[FIGURES].astype(float)).all()
    assert row["SumSq"] == pytest.approx(9 * np.sum((values.mean(axis=0) - values.mean()) ** 2))


def test_constant_data_leave_f_undefined_and_say_so():
    for table in (repeated(one_factor(np.full((4, 3), 0.7))), mixed(grouped(np.full((4, 3), 0.7), list("aabb")))):
        effects = table[~table.index.str.startswith("Error")]
        assert effects["F"].isna().all() and effects["pValue"].isna().all()
        assert (effects["note"] == "F is undefined: the error term has no variance").all()


@pytest.mark.parametrize("n", [5, 7, 20])
@pytest.mark.parametrize("stages", [(0.1, 0.7, 0.3), (0.9, 0.8, 0.35)])
def test_subjects_that_are_all_alike_leave_f_undefined(stages, n):
    values = np.tile(stages, (n, 1))
    for table in (repeated(one_factor(values)), mixed(grouped(values, ["a", *"b" * (n - 1)]))):
        assert table["F"].isna().all()


def test_a_large_mean_costs_no_digits():
    values, kinds = random(6, 8, 3), list("aaabbbbb")
    far = mixed(grouped(values + 2.0**20, kinds)).drop(index="(Intercept)")
    near = mixed(grouped(values, kinds)).drop(index="(Intercept)")
    np.testing.assert_allclose(far[FIGURES].astype(float), near[FIGURES].astype(float), rtol=1e-8)


@pytest.mark.parametrize(("f", "df1", "df2"), [(8484.4, 1, 38), (2e3, 9, 342), (3300.0, 9.37, 300.4), (1.3, 2.5, 7.7)])
def test_tails_are_exact_where_they_are_tiny(f, df1, df2):
    mpmath = pytest.importorskip("mpmath")
    mpmath.mp.dps = 50
    x = mpmath.mpf(df2) / (mpmath.mpf(df2) + mpmath.mpf(df1) * mpmath.mpf(f))
    exact = mpmath.betainc(mpmath.mpf(df2) / 2, mpmath.mpf(df1) / 2, 0, x, regularized=True)
    assert exact > 1e-300
    assert upper_tail(f, df1, df2) == pytest.approx(float(exact), rel=1e-9, abs=0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.iloc[1:], "not balanced: who '0', stage 's0' is missing"),
        (lambda t: t.iloc[3:].iloc[1:], "is missing"),
        (lambda t: pd.concat([t, t.iloc[:2]]), "who '0', stage 's0' (and 1 more) is there twice"),
        (lambda t: t[t["who"] == 0], "1 who leave no error term"),
        (lambda t: t[t["stage"] == "s0"], "factor 'stage' has only the level 's0'"),
        (lambda t: t.drop(columns="y"), "lacks the column 'y'"),
        (lambda t: t.rename(columns={"stage": "stages"}), "lacks the column 'stage'; did you mean 'stages'?"),
        (lambda t: t.iloc[:0], "has no rows"),
        (lambda t: t.assign(y=t["y"].where(t.index != 4)), "'y' is missing or no finite number at who '1', stage 's1'"),
        (lambda t: t.assign(y="high"), "no finite number"),
        (lambda t: t.assign(stage=t["stage"].where(t.index != 2)), "column 'stage' is empty in row 3"),
    ],
)
def test_what_is_no_balanced_design_is_refused(change, said):
    with pytest.raises(MetamersError) as refused:
        repeated(change(one_factor(random(0, 4, 3))))
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_groups_that_are_none_are_refused():
    table = grouped(random(0, 4, 3), list("aabb"))
    with pytest.raises(MetamersError, match="'0' is in two groups of 'kind'"):
        mixed(table.assign(kind=table["kind"].where(table.index != 1, "b")))
    with pytest.raises(MetamersError, match="only the level 'a'"):
        mixed(table.assign(kind="a"))
    with pytest.raises(MetamersError, match="3 within factors"):
        repeated(table, "stage", "kind", "who")


@pytest.mark.parametrize("n", [2, 3, 4])
def test_few_subjects_keep_epsilons_within_their_bounds(n):
    row = repeated(one_factor(random(5, n, 5))).loc["(Intercept):stage"]
    assert 0.25 - 1e-9 <= row.epsilon_GG <= 1 and 0.25 - 1e-9 <= row.epsilon_HF <= 1
    assert 0 <= row.pValue <= row.pValueHF <= row.pValueLB <= 1


def test_who_lacks_a_value_is_left_out():
    table = two_factors(random(3, 6, 3, 2))
    holes = table[(table["who"] != 2) | (table["stage"] != 1)].copy()
    holes.loc[(holes["who"] == 4) & (holes["net"] == 0), "y"] = np.nan
    kept, left_out = without_incomplete(holes, value="y", subject="who", within=["stage", "net"])
    assert left_out == ["2", "4"]
    pd.testing.assert_frame_equal(kept, table[~table["who"].isin([2, 4])])
    whole, none = without_incomplete(table, value="y", subject="who", within=["stage", "net"])
    assert none == [] and len(whole) == len(table)
    first, second = (holes["who"] < 3) & (holes["stage"] == 0), (holes["who"] > 2) & (holes["stage"] > 0)
    with pytest.raises(MetamersError, match="no who has a value at each stage and net"):
        without_incomplete(holes[first | second], value="y", subject="who", within=["stage", "net"])
