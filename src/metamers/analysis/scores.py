"""Proportions correct of each participant: from single responses to the cell means of a design."""

from collections.abc import Iterable, Mapping

import pandas as pd

from metamers.analysis.designs import need_columns
from metamers.analysis.recognition import chance_level
from metamers.errors import MetamersError

NEEDED = ("cell", "model", "stage", "observer", "observer_kind", "correct")
COUNTED = ("model", "stage", "observer", "observer_kind", "participant", "n", "n_correct")
KEYS = ("model", "stage", "observer", "observer_kind", "participant")


def participant_scores(responses: pd.DataFrame) -> pd.DataFrame:
    """One row per model, stage and participant: `model, stage, observer, observer_kind, participant, n, proportion`.

    A model that observes is one participant of its own name. Natural stimuli keep the stage "natural" and an empty
    model. Unscored responses (`correct` empty) do not count; where none is left, n is 0 and the proportion NaN. Recipes
    and seeds are pooled.

    Raises MetamersError for a missing column, an unknown kind of observer, and a trial that is there twice: the same
    cell, observer and participant.
    """
    sums = tidy(responses).groupby(list(KEYS), sort=False, as_index=False)[["n", "n_correct"]].sum()
    sums["proportion"] = sums["n_correct"] / sums["n"].where(sums["n"] > 0)
    return sums[[*KEYS, "n", "proportion"]]


def chances_of(responses: pd.DataFrame, chance: float | Mapping[str, float] | None) -> dict[str, float]:
    """What guessing gives each observer: `chance`, or by observer; `chance_level(responses)` where it is not given."""
    names = dict.fromkeys(responses["observer"].dropna().astype(str))
    given = dict(chance) if isinstance(chance, Mapping) else {} if chance is None else dict.fromkeys(names, chance)
    missing = [name for name in names if name not in given]
    return given | (dict.fromkeys(missing, chance_level(responses)) if missing else {})


def is_metamer(table: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of a tidy table are of metamers; natural stimuli and start noise have no model."""
    return table["model"] != ""


def scored(table: pd.DataFrame) -> pd.DataFrame:
    """The rows of a tidy table that have a score."""
    return table[table["n"] > 0]


def require_kinds(kinds: Iterable[str]) -> None:
    """Raises MetamersError for a kind of observer that is none."""
    unknown = set(kinds) - {"model", "human"}
    if unknown:
        raise MetamersError(f"observer_kind {min(unknown)!r} is neither 'model' nor 'human'; correct the responses")


def tidy(responses: pd.DataFrame) -> pd.DataFrame:
    """`responses` with the types that analyses need: text without gaps, `correct` true, false or empty; with `n` and
    `n_correct`, which are 1 or 0 for whether a response is scored, and correct.

    A table with the columns `COUNTED` is one of many responses a row: `n` that are scored, `n_correct` of them correct.
    Whether a trial is there twice cannot be told of it.

    Raises what `participant_scores` does.
    """
    are_counted = "n_correct" in responses and "correct" not in responses
    need_columns(responses, COUNTED if are_counted else NEEDED, "the table of responses")
    table = responses.copy()
    for name in ("cell", "model", "stage", "observer", "observer_kind", "label", "response", "reference"):
        if name in table:
            table[name] = table[name].astype("string").fillna("").astype(object)
    if not are_counted:
        table["correct"] = table["correct"].astype("boolean")
        table["n"] = table["correct"].notna().astype(int)
        table["n_correct"] = table["correct"].fillna(False).astype(int)
    participant = table["participant"].astype("string") if "participant" in table else pd.Series("", table.index)
    table["participant"] = participant.fillna("").astype(object)
    require_kinds(table["observer_kind"])
    table["participant"] = table["participant"].where(table["participant"] != "", table["observer"])
    if are_counted:
        return table
    trial = [*(name for name in ("cell", "stage") if name in table), "observer", "participant"]
    twice = table.duplicated(trial)
    if twice.any():
        row = table[twice].iloc[0]
        more = f" (and {int(twice.sum()) - 1} more)" if twice.sum() > 1 else ""
        raise MetamersError(
            f"participant {row['participant']!r} of {row['observer']!r} answered {row['cell']} twice{more}; keep one"
        )
    return table
