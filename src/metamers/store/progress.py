"""How far a run is."""

import re
from collections import Counter
from typing import Any

from metamers.store.cell import UNUSABLE
from metamers.store.lock import owner
from metamers.store.store import Store

_NUMBER = re.compile(r" -?\d+\.\d+(e-?\d+)?")
_VERDICTS = ("passed", "failed", "no null", "error")


def progress_of(store: Store) -> dict[str, Any]:
    """Counts of the cells of a run: `cells` in all, `done`, of each verdict, `running`, `waiting`.

    Also `reasons` (without their numbers, of how many cells each); `seconds_left`, of one process at the speed of what
    is done; `owner`, who works on it.
    """
    study = store.study()
    per_stage = study["stimuli"]["n"] * len(study["seeds"]) * len(study["recipes"])
    cells = per_stage * sum(len(model["stages"]) for model in study["models"])
    working = owner(store.folder)
    verdicts: Counter[str] = Counter()
    reasons: Counter[str] = Counter()
    seconds = 0.0
    for batch in store.batches():
        seconds += batch["seconds"]
        for cell in batch["cells"]:
            verdicts[cell["verdict"]] += 1
            if cell["verdict"] in UNUSABLE:
                reasons[without_numbers(cell["reason"])] += 1
    done = verdicts.total()
    running = min((working or {}).get("running", 0), cells - done)
    return {
        **{"run": str(store.folder), "cells": cells, "done": done},
        **{verdict.replace(" ", "_"): verdicts[verdict] for verdict in _VERDICTS},
        **{"running": running, "waiting": cells - done - running},
        "reasons": dict(reasons.most_common()),
        "seconds_left": (cells - done) * seconds / done if done else None,
        "owner": working,
    }


def without_numbers(reason: str) -> str:
    """A reason as many cells share it.

    >>> without_numbers("snr_db 3.1 is not above the null's max 3.42")
    "snr_db is not above the null's max"
    """
    return _NUMBER.sub("", reason)
