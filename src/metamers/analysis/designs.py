"""A tidy table of cell means as the balanced array that an analysis of variance needs."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from metamers.errors import MetamersError, nearest


@dataclass(frozen=True)
class Factor:
    """A factor and the names of its levels."""

    name: str
    levels: tuple[str, ...]


@dataclass(frozen=True)
class Design:
    """Values [subjects, levels of each within factor], and each subject's group (an index; all 0 without `between`)."""

    values: NDArray[np.float64]
    within: tuple[Factor, ...]
    groups: NDArray[np.int64]
    between: Factor | None = None

    @property
    def n_groups(self) -> int:
        """How many groups of subjects there are; 1 without a between factor."""
        return len(self.between.levels) if self.between else 1


def design_of(
    table: pd.DataFrame, *, value: str, subject: str, within: Sequence[str], between: str | None = None
) -> Design:
    """The design in `table`, which has one row per subject and combination of the `within` factors.

    `value`, `subject`, `within` and `between` name columns; levels are in the order of first appearance.

    Raises MetamersError for a missing column, a value that is no finite number, a combination that a subject lacks or
    has twice, a subject in two groups, fewer than two levels of a factor, and too few subjects to leave an error term.
    """
    table = _checked(table, value, [subject, *within, *([between] if between else [])])
    factors = tuple(Factor(name, tuple(dict.fromkeys(table[name]))) for name in within)
    for factor in factors:
        if len(factor.levels) < 2:
            raise MetamersError(f"factor {factor.name!r} has only the level {factor.levels[0]!r}; two are needed")
    subjects = tuple(dict.fromkeys(table[subject]))
    shape = (len(subjects), *(len(factor.levels) for factor in factors))
    places = [pd.Index(names).get_indexer(pd.Index(table[name])) for name, names in _axes(subject, subjects, factors)]
    flat = np.ravel_multi_index(places, shape)
    _refuse_holes(np.bincount(flat, minlength=int(np.prod(shape))), shape, _axes(subject, subjects, factors))
    values = np.empty(int(np.prod(shape)))
    values[flat] = table[value].to_numpy(dtype=np.float64)
    grouping, groups = _groups(table, subject, subjects, between)
    if len(subjects) <= (len(grouping.levels) if grouping else 1):
        raise MetamersError(
            f"{len(subjects)} {subject}{'s' * (len(subjects) != 1)} leave no error term; the analysis needs more"
        )
    return Design(values.reshape(shape), factors, groups, grouping)


def without_incomplete(
    table: pd.DataFrame, *, value: str, subject: str, within: Sequence[str]
) -> tuple[pd.DataFrame, list[str]]:
    """The rows of the subjects that have a value in each combination of the levels of the `within` factors, and the
    others' names. Raises MetamersError where none has."""
    need_columns(table, [value, subject, *within])
    known = table.dropna(subset=[value]).drop_duplicates([subject, *within])
    n_of = known.groupby(subject, sort=False).size().reindex(list(dict.fromkeys(table[subject])), fill_value=0)
    whole = n_of == prod(table[name].nunique() for name in within)
    if not whole.any():
        raise MetamersError(f"no {subject} has a value at each {' and '.join(within)}; leave levels out")
    return table[table[subject].map(whole)], [str(name) for name in n_of.index[~whole]]


def need_columns(table: pd.DataFrame, columns: Sequence[str], what: str = "the table") -> None:
    """Raises MetamersError for the first of `columns` that `table` lacks."""
    for name in columns:
        if name not in table:
            hint = nearest(name, map(str, table.columns)) or f"; it has {', '.join(map(str, table.columns))}"
            raise MetamersError(f"{what} lacks the column {name!r}{hint}")


def _checked(table: pd.DataFrame, value: str, names: Sequence[str]) -> pd.DataFrame:
    need_columns(table, [value, *names])
    if table.empty:
        raise MetamersError(f"the table of {value!r} has no rows; nothing can be compared")
    for name in names:
        if table[name].isna().any():
            raise MetamersError(f"column {name!r} is empty in row {int(table[name].isna().argmax()) + 1}; complete it")
    table = table.astype(dict.fromkeys(names, str)).astype(dict.fromkeys(names, object))
    numbers = pd.to_numeric(table[value], errors="coerce").astype(float)
    bad = ~np.isfinite(numbers.to_numpy())
    if bad.any():
        where = ", ".join(f"{name} {table[name].iloc[int(bad.argmax())]!r}" for name in names)
        raise MetamersError(
            f"{value!r} is missing or no finite number at {where}; complete the table or leave that out"
        )
    return table.assign(**{value: numbers})


def _axes(subject: str, subjects: tuple[str, ...], factors: tuple[Factor, ...]) -> list[tuple[str, tuple[str, ...]]]:
    return [(subject, subjects), *((factor.name, factor.levels) for factor in factors)]


def _refuse_holes(counts: NDArray[np.int64], shape: tuple[int, ...], axes: list[tuple[str, tuple[str, ...]]]) -> None:
    for wrong, problem in (
        (counts == 0, "missing: complete it, or leave out that level or who lacks it"),
        (counts > 1, "there twice"),
    ):
        if wrong.any():
            place = np.unravel_index(int(wrong.argmax()), shape)
            where = ", ".join(f"{name} {levels[i]!r}" for (name, levels), i in zip(axes, place, strict=True))
            more = f" (and {int(wrong.sum()) - 1} more)" if wrong.sum() > 1 else ""
            raise MetamersError(f"the design is not balanced: {where}{more} is {problem}")


def _groups(
    table: pd.DataFrame, subject: str, subjects: tuple[str, ...], between: str | None
) -> tuple[Factor | None, NDArray[np.int64]]:
    if between is None:
        return None, np.zeros(len(subjects), dtype=np.int64)
    pairs = table[[subject, between]].drop_duplicates()
    if len(pairs) > len(subjects):
        twice = pairs[subject][pairs[subject].duplicated()].iloc[0]
        raise MetamersError(f"{subject} {twice!r} is in two groups of {between!r}; name each one apart")
    factor = Factor(between, tuple(dict.fromkeys(table[between])))
    if len(factor.levels) < 2:
        raise MetamersError(f"factor {between!r} has only the level {factor.levels[0]!r}; two are needed")
    group = dict(zip(pairs[subject], pd.Index(factor.levels).get_indexer(pd.Index(pairs[between])), strict=True))
    return factor, np.asarray([group[name] for name in subjects], dtype=np.int64)
