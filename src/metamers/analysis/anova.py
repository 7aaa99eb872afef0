"""Analysis of variance with repeated measures, with and without groups of subjects."""

from collections.abc import Sequence
from itertools import combinations
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike, NDArray
from scipy.linalg import helmert
from scipy.special import betainc

from metamers.analysis.designs import Design, design_of
from metamers.errors import MetamersError

INTERCEPT = "(Intercept)"
COLUMNS = (
    *("effect", "SumSq", "DF", "MeanSq", "F", "pValue", "pValueGG", "pValueHF", "pValueLB", "partial_eta_sq"),
    *("epsilon_GG", "epsilon_HF", "note"),
)
NO_ERROR = "F is undefined: the error term has no variance"

Array = NDArray[np.float64]


class Effect(NamedTuple):
    """An effect of a design: of which within factors (places), and whether the groups differ in it."""

    within: tuple[int, ...]
    grouped: bool


def repeated_measures_anova(table: pd.DataFrame, *, value: str, subject: str, within: Sequence[str]) -> pd.DataFrame:
    """Analysis of variance over one or two `within` factors, all of whose combinations every subject has once.

    One row per effect and error term, in the order and with the names of MATLAB's `ranova`: `effect, SumSq, DF, MeanSq,
    F, pValue, pValueGG, pValueHF, pValueLB, partial_eta_sq, epsilon_GG, epsilon_HF, note`. p-values are of the upper
    tail, exact down to 1e-300: as they are, and with the degrees of freedom times Greenhouse and Geisser's epsilon,
    Huynh and Feldt's, and its lower bound 1 / d (d: the effect's contrasts). Partial eta squared is SS / (SS + SS of
    its error term). Error terms have no F; where one has no variance, F is undefined (NaN) and `note` says so.

    Source: Girden, ANOVA: Repeated Measures (1992); Huynh and Feldt's epsilon in the form of Lecoutre, Journal of
    Educational Statistics 16, 371-372 (1991). Raises MetamersError as `design_of` does.
    """
    if not 1 <= len(within) <= 2:
        raise MetamersError(f"an analysis with {len(within)} within factors is not known; give one or two")
    return anova(design_of(table, value=value, subject=subject, within=within))


def mixed_anova(table: pd.DataFrame, *, value: str, subject: str, within: str, between: str) -> pd.DataFrame:
    """Analysis of variance with one factor `between` groups of subjects and one `within` subjects.

    Returns and raises what `repeated_measures_anova` does. Groups may differ in size: sums of squares are then of type
    III (the intercept weighs groups alike).
    """
    return anova(design_of(table, value=value, subject=subject, within=[within], between=between))


def anova(design: Design) -> pd.DataFrame:
    """The table of a design; see `repeated_measures_anova`."""
    rows = [row for stratum in _strata(design) for row in _stratum_rows(design, stratum)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"DF": int})


def effect_name(design: Design, effect: Effect) -> str:
    """The name of an effect as in the table's rows."""
    first = design.between.name if effect.grouped and design.between else INTERCEPT
    return ":".join([first, *(design.within[i].name for i in effect.within)])


def contrasts(design: Design, within: Sequence[int]) -> Array:
    """Orthonormal contrasts [cells, d] over these within factors (places), averaging over the others."""
    basis: Array = np.ones((1, 1))
    for i, factor in enumerate(design.within):
        k = len(factor.levels)
        rows = np.asarray(helmert(k) if i in within else np.full((1, k), k**-0.5), dtype=np.float64)
        basis = np.asarray(np.kron(basis, rows), dtype=np.float64)
    return basis.T


def sums_of_squares(z: Array, groups: Array) -> tuple[Array, Array, Array]:
    """Of the intercept, the groups and the error: of contrasts `z` [..., n, d] by `groups` [..., n, g] of 0 and 1.

    The leading axes are those of permutations.
    """
    n = groups.sum(axis=-2)  # [..., g]
    means = np.swapaxes(groups, -1, -2) @ z / n[..., None]  # [..., g, d]
    # Differences come before squares: differences of large sums would leave only what rounding makes of them.
    from_all = means - np.einsum("...g,...gd->...d", n / n.sum(axis=-1, keepdims=True), means)[..., None, :]
    between = np.einsum("...g,...gd,...gd->...", n, from_all, from_all)
    residuals = z - groups @ means
    error = np.einsum("...nd,...nd->...", residuals, residuals)
    intercept = (means.mean(axis=-2) ** 2).sum(axis=-1) * n.shape[-1] ** 2 / (1 / n).sum(axis=-1)
    return intercept, between, error


def has_no_variance(error: ArrayLike, total: ArrayLike) -> NDArray[np.bool_]:
    """Whether a sum of squares is only what rounding leaves of the `total` one."""
    return np.asarray(np.asarray(error) <= 1e-24 * np.asarray(total))


def upper_tail(f: float, df1: float, df2: float) -> float:
    """The probability that F of these degrees of freedom, whole or not, is larger; exact down to 1e-300.

    >>> round(upper_tail(4.0, 1, 1), 6), upper_tail(1e6, 10, 100) < 1e-200
    (0.295167, True)
    """
    return float(betainc(df2 / 2, df1 / 2, df2 / (df2 + df1 * f)))


def _strata(design: Design) -> list[tuple[int, ...]]:
    """The within effects: none, each factor, both."""
    places = range(len(design.within))
    return [chosen for size in range(len(design.within) + 1) for chosen in combinations(places, size)]


def _stratum_rows(design: Design, within: tuple[int, ...]) -> list[dict[str, object]]:
    n, r = len(design.values), design.n_groups
    values = design.values.reshape(n, -1)
    z = values @ contrasts(design, within)
    d = z.shape[1]
    groups = np.eye(r)[design.groups]
    intercept, between, error = (float(ss) for ss in sums_of_squares(z, groups))
    undefined = bool(has_no_variance(error, np.sum(values**2)))
    gg, hf = (np.nan, np.nan) if undefined else epsilons(z - _group_means(z, groups), n, r)
    rows: list[dict[str, object]] = []
    for grouped, ss, df in ((False, intercept, d), (True, between, d * (r - 1))):
        if grouped and design.between is None:
            continue
        row: dict[str, object] = {"effect": effect_name(design, Effect(within, grouped))}
        row |= {"SumSq": ss, "DF": df, "MeanSq": ss / df, "epsilon_GG": gg, "epsilon_HF": hf, "note": ""}
        if undefined:
            rows.append(row | {"note": NO_ERROR})
            continue
        f = ss / df / (error / (d * (n - r)))
        for name, epsilon in (("", 1.0), ("GG", gg), ("HF", hf), ("LB", 1 / d)):
            row[f"pValue{name}"] = upper_tail(f, epsilon * df, epsilon * d * (n - r))
        rows.append(row | {"F": f, "partial_eta_sq": ss / (ss + error)})
    name = ":".join(design.within[i].name for i in within)
    df = d * (n - r)
    rows.append({"effect": f"Error({name})" if name else "Error", "SumSq": error, "DF": df, "MeanSq": error / df})
    return [{"note": ""} | row for row in rows]


def epsilons(residuals: Array, n: int, r: int) -> tuple[float, float]:
    """Greenhouse and Geisser's epsilon, and Huynh and Feldt's, of residual contrasts [n, d] after `r` groups.

    Both are at most 1.
    """
    d = residuals.shape[1]
    covariance = residuals.T @ residuals
    gg = float(np.trace(covariance) ** 2 / (d * np.sum(covariance**2)))
    above, below = (n - r + 1) * d * gg - 2, d * (n - r - d * gg)
    if below < 1e-9:  # n - r is the rank of the residuals
        return gg, 1.0 if above > 1e-9 else gg
    return gg, min(1.0, above / below)


def _group_means(z: Array, groups: Array) -> Array:
    means: Array = groups.T @ z / groups.sum(axis=0)[:, None]
    return groups @ means
