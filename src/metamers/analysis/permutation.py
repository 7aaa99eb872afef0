"""Permutation tests of the effects of an analysis of variance."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, islice, permutations, product

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.analysis.anova import (
    INTERCEPT,
    NO_ERROR,
    Array,
    Effect,
    contrasts,
    effect_name,
    has_no_variance,
    sums_of_squares,
)
from metamers.analysis.designs import Design, design_of
from metamers.errors import MetamersError, nearest

CONVENTIONS = {
    "plus one": "p = (1 + number of F* >= F) / (1 + n) (Phipson and Smyth, 2010)",
    "at least": "p = number of F* >= F / n, at least 1 / n (Feather and others, 2023)",
    "more": "p = number of F* > F / n, at least 1 / n (Feather and others, 2023)",
}
"""How p follows from n random permutations with F*, where F is observed."""

_BATCH_VALUES = 1 << 18  # a batch's permuted values stay in the cache
_TIE = 1e-9  # rounding lets the same F differ by less, relative to F

# Rearranges values [n, cells] and groups [n] into a batch of both.
_Batches = Iterator[tuple[Array, NDArray[np.int64]]]


@dataclass(frozen=True)
class PermutationTest:
    """A permutation test: the effect's F, and p from `n_permutations`; `exact` when these are all there are."""

    effect: str
    f: float
    p: float
    n_permutations: int
    exact: bool
    convention: str
    note: str = ""


def permutation_test(
    table: pd.DataFrame,
    effect: str,
    *,
    value: str,
    subject: str,
    within: Sequence[str],
    between: str | None = None,
    n_permutations: int = 10_000,
    seed: int = 0,
    convention: str = "plus one",
) -> PermutationTest:
    """Test one effect, named as in the table of the analysis of variance ("group:layer", "(Intercept):layer").

    Values are averaged over the within factors that the effect lacks. For each permutation, the remaining values of
    every subject are shuffled, independently of the other subjects', where the effect has within factors, and the
    subjects' groups are shuffled where it has the between factor; F* is the effect's F then. Where no more than
    `n_permutations` different rearrangements exist, each is taken once and p is exactly the share with F* >= F,
    whatever the `convention` (one of `CONVENTIONS`). Values of F that rounding sets apart are equal.

    Source: Feather and others, Nature Neuroscience 26, 2017-2034 (2023). Raises MetamersError as `design_of` does, for
    an unknown effect or convention, and for fewer than one permutation.
    """
    design = design_of(table, value=value, subject=subject, within=within, between=between)
    return permute(design, effect, n_permutations=n_permutations, seed=seed, convention=convention)


def permute(
    design: Design, effect: str, *, n_permutations: int = 10_000, seed: int = 0, convention: str = "plus one"
) -> PermutationTest:
    """`permutation_test` of a design."""
    if convention not in CONVENTIONS:
        raise MetamersError(f"no counting convention {convention!r}; choose {', '.join(CONVENTIONS)}")
    if n_permutations < 1:
        raise MetamersError(f"{n_permutations} permutations test nothing; give 1 or more")
    tested = _effect_named(design, effect)
    values = _averaged(design, tested)
    statistic = _statistic(values, design, tested)
    observed = float(statistic(values[None], design.groups[None])[0])
    if not math.isfinite(observed):
        return PermutationTest(effect, math.nan, math.nan, 0, False, convention, NO_ERROR)
    n_all = _n_arrangements(values.shape, design, tested)
    exact = n_all <= n_permutations
    n = n_all if exact else n_permutations
    batches = _all(values, design, tested, n) if exact else _random(values, design, tested, n, seed)
    f = np.concatenate([statistic(*batch) for batch in batches])
    # A rearrangement without error variance is as extreme as can be.
    f = np.where(np.isnan(f), np.inf, f)
    at_least, more = int(np.sum(f >= observed * (1 - _TIE))), int(np.sum(f > observed * (1 + _TIE)))
    if exact:
        p = at_least / n
    elif convention == "plus one":
        p = (1 + at_least) / (1 + n)
    else:
        p = max(1, at_least if convention == "at least" else more) / n
    return PermutationTest(effect, observed, p, n, exact, convention)


def _effect_named(design: Design, name: str) -> Effect:
    places = range(len(design.within))
    subsets = [(), *((i,) for i in places), *([tuple(places)] if len(places) > 1 else [])]
    known = {
        effect_name(design, effect): effect
        for grouped in ((False, True) if design.between else (False,))
        for effect in (Effect(within, grouped) for within in subsets)
        if effect.within or effect.grouped
    }
    if name not in known:
        hint = nearest(name, known) or f"; there are {', '.join(known)}"
        why = "; no permutation changes the intercept" if name == INTERCEPT else hint
        raise MetamersError(f"no effect {name!r} to permute{why}")
    return known[name]


def _averaged(design: Design, effect: Effect) -> Array:
    """Values [n, cells] over the effect's within factors."""
    others = tuple(1 + i for i in range(len(design.within)) if i not in effect.within)
    means: Array = design.values.mean(axis=others) if others else design.values
    return means.reshape(len(means), -1)


def _statistic(values: Array, design: Design, effect: Effect) -> Callable[[Array, NDArray[np.int64]], Array]:
    """F of rearranged `values` and groups."""
    n, r = len(design.values), design.n_groups
    within = tuple(design.within[i] for i in effect.within)
    basis = contrasts(Design(values, within, design.groups), range(len(within)))
    total = np.sum(values**2)  # no rearrangement changes it

    def f(shuffled: Array, groups: NDArray[np.int64]) -> Array:
        intercept, between, error = sums_of_squares(shuffled @ basis, np.eye(r)[groups])
        error = np.where(has_no_variance(error, total), np.nan, error)
        ratio: Array = (between / (r - 1) if effect.grouped else intercept) * (n - r) / error
        return ratio

    return f


def _n_arrangements(shape: tuple[int, ...], design: Design, effect: Effect) -> int:
    n, cells = shape
    count = math.factorial(cells) ** n if effect.within else 1
    if effect.grouped:
        count *= math.factorial(n)
        for size in np.bincount(design.groups):
            count //= math.factorial(int(size))
    return count


def _random(values: Array, design: Design, effect: Effect, n: int, seed: int) -> _Batches:
    rng = np.random.default_rng(seed)
    size = max(1, _BATCH_VALUES // values.size)
    for start in range(0, n, size):
        count = min(size, n - start)
        shuffled = np.tile(values, (count, 1))  # [count * n, cells]
        groups = np.tile(design.groups, (count, 1))
        if effect.within:
            rng.permuted(shuffled, axis=1, out=shuffled)
        if effect.grouped:
            rng.permuted(groups, axis=1, out=groups)
        yield shuffled.reshape(count, *values.shape), groups


def _all(values: Array, design: Design, effect: Effect, n: int) -> _Batches:
    orders = list(permutations(range(values.shape[1]))) if effect.within else [tuple(range(values.shape[1]))]
    groupings = list(_groupings(tuple(np.bincount(design.groups)))) if effect.grouped else [tuple(design.groups)]
    every = product(groupings, product(orders, repeat=len(values)))
    size = max(1, _BATCH_VALUES // values.size)
    for _ in range(0, n, size):
        groups, order = zip(*islice(every, size), strict=True)
        yield np.take_along_axis(values[None], np.asarray(order), axis=-1), np.asarray(groups)


def _groupings(sizes: tuple[int, ...]) -> Iterator[tuple[int, ...]]:
    """Every way to put subjects into groups of these sizes."""
    if not any(sizes):
        yield ()
    for i, size in enumerate(sizes):
        if size:
            left = (*sizes[:i], size - 1, *sizes[i + 1 :])
            yield from (tuple(chain((i,), rest)) for rest in _groupings(left))
