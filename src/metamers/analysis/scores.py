"""Proportions correct of each participant: from single responses to the cell means of a design."""

import pandas as pd

from metamers.analysis.designs import need_columns
from metamers.errors import MetamersError

NEEDED = ("cell", "model", "stage", "observer", "observer_kind", "correct")
KEYS = ("model", "stage", "observer", "observer_kind", "participant")


def participant_scores(responses: pd.DataFrame) -> pd.DataFrame:
    """One row per model, stage and participant: `model, stage, observer, observer_kind, participant, n, proportion`.

    A model that observes is one participant of its own name. Natural stimuli keep the stage "natural" and an empty
    model. Unscored responses (`correct` empty) do not count; where none is left, n is 0 and the proportion NaN. Recipes
    and seeds are pooled.

    Raises MetamersError for a missing column, an unknown kind of observer, and a trial that is there twice: the same
    cell, observer and participant.
    """
    table = tidy(responses)
    table["scored"] = table["correct"].notna()
    table["right"] = table["correct"].fillna(False).astype(float)
    sums = table.groupby(list(KEYS), sort=False, as_index=False)[["scored", "right"]].sum()
    sums["proportion"] = sums["right"] / sums["scored"].where(sums["scored"] > 0)
    return sums.rename(columns={"scored": "n"})[[*KEYS, "n", "proportion"]]


def is_metamer(table: pd.DataFrame) -> "pd.Series[bool]":
    """Which rows of a tidy table are of metamers; natural stimuli and start noise have no model."""
    return table["model"] != ""


def tidy(responses: pd.DataFrame) -> pd.DataFrame:
    """`responses` with the types that analyses need: text without gaps, `correct` true, false or empty.

    Raises what `participant_scores` does.
    """
    need_columns(responses, NEEDED, "the table of responses")
    table = responses.copy()
    for name in ("cell", "model", "stage", "observer", "observer_kind", "label", "response", "reference"):
        if name in table:
            table[name] = table[name].astype("string").fillna("").astype(object)
    table["correct"] = table["correct"].astype("boolean")
    participant = table["participant"].astype("string") if "participant" in table else pd.Series("", table.index)
    table["participant"] = participant.fillna("").astype(object)
    kinds = set(table["observer_kind"]) - {"model", "human"}
    if kinds:
        raise MetamersError(f"observer_kind {min(kinds)!r} is neither 'model' nor 'human'; correct the responses")
    table["participant"] = table["participant"].where(table["participant"] != "", table["observer"])
    trial = [*(name for name in ("cell", "stage") if name in table), "observer", "participant"]
    twice = table.duplicated(trial)
    if twice.any():
        row = table[twice].iloc[0]
        more = f" (and {int(twice.sum()) - 1} more)" if twice.sum() > 1 else ""
        raise MetamersError(
            f"participant {row['participant']!r} of {row['observer']!r} answered {row['cell']} twice{more}; keep one"
        )
    return table
