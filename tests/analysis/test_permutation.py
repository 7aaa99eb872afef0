"""Permutation tests: exact enumeration by hand, conventions, agreement with scipy, and what is refused."""

import re
from itertools import permutations, product

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from metamers.analysis import Design, Factor, anova, permutation_test, permute
from metamers.errors import MetamersError


def random(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def tidy(values, groups) -> pd.DataFrame:
    """Values [subjects, stages] and each subject's group as a tidy table."""
    s, k = (index.ravel() for index in np.indices(np.shape(values)))
    return pd.DataFrame({"who": s, "stage": k, "y": np.ravel(values), "kind": np.asarray(groups)[s]})


def p_of(table, effect, n_permutations=50):
    return permutation_test(
        *(table, effect), value="y", subject="who", within=["stage"], between="kind", n_permutations=n_permutations
    )


def design(values, groups=None):
    values = np.asarray(values, dtype=float)
    within = tuple(
        Factor(n, tuple(map(str, range(k)))) for n, k in zip(("stage", "net"), values.shape[1:], strict=False)
    )
    if groups is None:
        return Design(values, within, np.zeros(len(values), dtype=np.int64))
    return Design(values, within, np.asarray(groups), Factor("kind", ("human", "model")))


def test_f_is_that_of_the_analysis_of_variance():
    for d in (design(random(0, 8, 4, 3)), design(random(1, 8, 4), [0, 1] * 4)):
        table = anova(d).set_index("effect")
        for effect in table.index[table["F"].notna() & (table.index != "(Intercept)")]:
            assert permute(d, effect, n_permutations=10).f == pytest.approx(table.at[effect, "F"])


def test_all_splits_of_two_groups_are_those_of_scipy():
    values, groups = random(2, 8, 3), np.repeat([0, 1], 4)
    ours = permute(design(values, groups), "kind")
    means = values.mean(axis=1)
    theirs = stats.permutation_test(
        (means[:4], means[4:]),
        lambda a, b, axis: np.abs(a.mean(axis) - b.mean(axis)),
        vectorized=True,
        alternative="greater",
    )
    assert (ours.exact, ours.n_permutations) == (True, 70)
    assert ours.p == pytest.approx(theirs.pvalue)


def test_all_orders_within_subjects_by_brute_force():
    values = random(3, 3, 3)
    ours = permute(design(values), "(Intercept):stage")
    f = [
        anova(design([row[list(order)] for row, order in zip(values, orders, strict=True)]))
        .set_index("effect")
        .at["(Intercept):stage", "F"]
        for orders in product(permutations(range(3)), repeat=3)
    ]
    assert (ours.exact, ours.n_permutations) == (True, 216)
    assert ours.p == pytest.approx(np.mean(np.asarray(f) >= ours.f * (1 - 1e-9)))


def test_groups_and_orders_together_are_enumerated():
    ours = permute(design(random(4, 4, 2), [0, 0, 1, 1]), "kind:stage")
    assert (ours.exact, ours.n_permutations) == (True, 6 * 2**4)


def test_random_p_values_are_near_the_exact_one():
    d = design(random(5, 4, 3), [0, 1] * 2)
    exact = permute(d, "kind:stage").p
    drawn = permute(d, "kind:stage", n_permutations=6000)
    assert not drawn.exact
    assert drawn.p == pytest.approx(exact, abs=4 * np.sqrt(exact * (1 - exact) / 6000))


def test_conventions_count_ties_as_they_say():
    # F depends on how many of 16 differences of one size are positive: 12 here.
    signs = np.array([1] * 12 + [-1] * 4)
    p = {
        c: permute(design(signs[:, None] * [[0.0, 1.0]]), "(Intercept):stage", n_permutations=4000, convention=c).p
        for c in ("plus one", "at least", "more")
    }
    at_least, more = (2 * stats.binom.sf(k, 16, 0.5) for k in (11, 12))
    for c, expected in (("at least", at_least), ("more", more)):
        assert p[c] == pytest.approx(expected, abs=4 * np.sqrt(expected / 4000))
    assert p["plus one"] == pytest.approx((1 + 4000 * p["at least"]) / 4001)


def test_a_p_is_never_zero():
    d = design(np.tile([[0.0, 1.0]], (16, 1)) + 0.1 * random(0, 16, 2))
    for c, p in (("plus one", 1 / 101), ("at least", 1 / 100), ("more", 1 / 100)):
        assert permute(d, "(Intercept):stage", n_permutations=100, convention=c).p == p


def test_the_seed_alone_decides():
    d = design(random(6, 10, 5))
    assert permute(d, "(Intercept):stage", seed=1) == permute(d, "(Intercept):stage", seed=1)
    assert permute(d, "(Intercept):stage", seed=1).f == permute(d, "(Intercept):stage", seed=2).f


def test_row_order_and_names_do_not_change_f():
    table = tidy(random(7, 6, 3), list("aabbab"))
    assert p_of(table[::-1], "kind:stage").f == pytest.approx(p_of(table, "kind:stage").f)


def test_constant_data_have_no_p():
    test = permute(design(np.ones((5, 3))), "(Intercept):stage")
    assert np.isnan(test.p) and "undefined" in test.note


def test_subjects_that_are_all_alike_have_no_p():
    for effect in ("kind", "kind:stage"):
        test = permute(design(np.tile([0.9, 0.8, 0.35], (20, 1)), [0, 1] * 10), effect, n_permutations=100)
        assert np.isnan(test.p) and "undefined" in test.note


def test_what_cannot_be_permuted_is_refused():
    d = design(random(0, 6, 3), [0, 1] * 3)
    for effect, said in (
        ("(Intercept)", "changes the intercept"),
        ("kind:stages", "did you mean 'kind:stage'"),
        ("x", "there are (Intercept):stage, kind"),
    ):
        with pytest.raises(MetamersError, match=re.escape(said)):
            permute(d, effect)
    with pytest.raises(MetamersError, match="0 permutations"):
        permute(d, "kind", n_permutations=0)
    with pytest.raises(MetamersError, match="no counting convention"):
        permute(d, "kind", convention="most")
    with pytest.raises(MetamersError, match="is missing"):
        p_of(tidy(random(0, 4, 3), list("aabb"))[1:], "kind:stage")
