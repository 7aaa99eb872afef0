"""How often observers give a metamer the label of its reference, stage by stage."""

from collections.abc import Collection, Container, Hashable, Iterable, Mapping, Sequence
from functools import reduce
from typing import TypeVar

import numpy as np
import pandas as pd

from metamers.errors import MetamersError
from metamers.intervals import wilson_interval

NATURAL = "natural"
"""The stage under which responses to the natural stimuli are stored; their model is empty."""

_Name = TypeVar("_Name", bound=Hashable)

GROUPS = ["model", "stage", "observer", "observer_kind"]
_NEEDED = ("cell", "model", "stage", "observer", "label", "correct")


def recognition_by_stage(
    responses: pd.DataFrame,
    chance: float | None = None,
    *,
    stages: Mapping[str, Sequence[str]] | None = None,
    exclude: Collection[str] = (),
    confidence: float = 0.95,
) -> pd.DataFrame:
    """The proportion of correct responses per generating model, stage and observer.

    `responses` is the run's table of that name. `chance` is the proportion expected of guessing (None:
    `chance_level(responses)`). `stages` gives each model's stages in order; without it, and for stages that it lacks,
    the order is that of first appearance. `exclude` names cells to leave out, such as those whose match failed.

    One row per model, stage and observer, with the columns `model, stage, observer, observer_kind, n, n_correct,
    proportion, ci_low, ci_high, chance, n_unscored, n_excluded`. Natural stimuli keep the stage "natural" and an empty
    model: one row per observer, the left end of each of its curves. Recipes, seeds and participants are pooled.
    Responses without a score (`correct` empty) count in `n_unscored` only; where none remain, n is 0 and the proportion
    NaN. `ci_low` and `ci_high` are the Wilson score interval, which takes responses as independent.

    Raises MetamersError when a needed column is missing.
    """
    counts = count_responses([responses], exclude)
    return recognition_of_counts(
        counts, chance_level(responses) if chance is None else chance, stages=stages, confidence=confidence
    )


def recognition_of_counts(
    counts: pd.DataFrame,
    chance: float,
    *,
    stages: Mapping[str, Sequence[str]] | None = None,
    confidence: float = 0.95,
) -> pd.DataFrame:
    """What `recognition_by_stage` gives, from `count_responses`."""
    table = counts.drop(columns="label").groupby(GROUPS, sort=False, as_index=False).sum()
    scored = table["n"].to_numpy(dtype=float)
    right = table["n_correct"].to_numpy(dtype=float)
    low, high = wilson_interval(right, scored, confidence)
    table["proportion"] = np.divide(right, scored, out=np.full(len(table), np.nan), where=scored > 0)
    table["ci_low"], table["ci_high"], table["chance"] = low, high, chance
    order = ["n", "n_correct", "proportion", "ci_low", "ci_high", "chance", "n_unscored", "n_excluded"]
    table = table[["model", "stage", "observer", "observer_kind", *order]]
    return in_order(table, stages or {})


def count_responses(parts: Iterable[pd.DataFrame], exclude: Container[str] = ()) -> pd.DataFrame:
    """How many responses there are in a table that comes in parts, per model, stage, observer and label: `model, stage,
    observer, observer_kind, label, n, n_correct, n_unscored, n_excluded`, as in `recognition_by_stage`.

    Raises MetamersError when a needed column is missing.
    """
    exclude = set(exclude) if isinstance(exclude, Collection) else exclude
    return reduce(lambda one, other: _summed(pd.concat([one, other])), (_counts(part, exclude) for part in parts))


def chance_level(responses: pd.DataFrame) -> float:
    """What guessing gives where the number of possible responses is unknown: one over that of the different labels and
    responses seen. They are at most as many, so this is an upper bound. NaN without responses.

    >>> import pandas as pd
    >>> round(chance_level(pd.DataFrame({"label": ["cat", "cup"], "response": ["cat", "sun"]})), 3)
    0.333
    """
    labels = set(responses["label"].dropna())
    if "response" in responses:
        labels |= set(responses["response"].dropna())
    return 1 / len(labels) if labels else float("nan")


def _counts(responses: pd.DataFrame, exclude: Container[str]) -> pd.DataFrame:
    missing = [name for name in _NEEDED if name not in responses]
    if missing:
        raise MetamersError(f"responses lack the column {missing[0]!r}; needed are {', '.join(_NEEDED)}")
    correct = responses["correct"].astype("boolean")
    out = np.fromiter((cell in exclude for cell in responses["cell"]), bool, len(responses))
    scored = correct.notna().to_numpy(dtype=bool)
    kind = responses["observer_kind"] if "observer_kind" in responses else pd.Series("", index=responses.index)
    rows = pd.DataFrame(
        {
            "model": responses["model"].astype("string").fillna(""),
            "stage": responses["stage"].astype("string"),
            "observer": responses["observer"].astype("string"),
            "observer_kind": kind.astype("string").fillna(""),
            "label": responses["label"].astype("string").fillna(""),
            "n": (scored & ~out).astype(int),
            "n_correct": (correct.fillna(False).to_numpy(dtype=bool) & ~out).astype(int),
            "n_unscored": (~scored & ~out).astype(int),
            "n_excluded": out.astype(int),
        }
    )
    return _summed(rows)


def _summed(rows: pd.DataFrame) -> pd.DataFrame:
    return rows.groupby([*GROUPS, "label"], sort=False, as_index=False).sum()


def in_order(table: pd.DataFrame, stages: Mapping[str, Sequence[str]]) -> pd.DataFrame:
    """Rows of `model, stage` and, where they have one, `observer` by model, each after the natural stimuli and with its
    `stages` in their order; what is not listed comes as it appears."""
    models = _rank(["", *stages, *table["model"]])
    who = table["observer"] if "observer" in table else [""] * len(table)
    observers = _rank(who)
    seen = list(zip(table["model"], table["stage"], strict=True))
    listed = [(model, stage) for model, names in stages.items() for stage in names]
    places = _rank([*[pair for pair in seen if pair[1] == NATURAL], *listed, *seen])
    keys = [
        (models[model], places[model, stage], observers[observer])
        for model, stage, observer in zip(table["model"], table["stage"], who, strict=True)
    ]
    return table.iloc[sorted(range(len(keys)), key=keys.__getitem__)].reset_index(drop=True)


def _rank(names: Iterable[_Name]) -> dict[_Name, int]:
    return {name: i for i, name in enumerate(dict.fromkeys(names))}
