"""The traces of synthesis that the page draws, read once it is known which."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from metamers.report.cells import Cell, Cells
from metamers.store import Store

MAX_TRACES = 24
"""Traces drawn per stage; where there are more, as many spread evenly from the worst to the best final SNR."""


@dataclass(frozen=True)
class Trace:
    """SNR in dB over the steps of a cell's synthesis; NaN where there was none."""

    passed: bool
    step: NDArray[np.float64]
    snr_db: NDArray[np.float64]


def traced(cells: Cells | Sequence[Cell]) -> list[Cell]:
    """The cells of a stage whose traces are drawn: all that have one, or `MAX_TRACES`."""
    reached = np.fromiter((c.last_snr_db for c in cells if c.last_snr_db is not None), float)
    wanted = list(range(len(reached)))
    if len(reached) > MAX_TRACES:
        spread = np.linspace(0, len(reached) - 1, MAX_TRACES).round().astype(int)
        wanted = reached.argsort(kind="stable")[spread].tolist()
    withs = (c for c in cells if c.last_snr_db is not None)
    found = {i: cell for i, cell in enumerate(withs) if i in wanted}
    return [found[i] for i in wanted]


def read_traces(store: Store, cells: Sequence[Cell]) -> dict[str, Trace]:
    """The traces of cells by name; not of those that another process has replaced meanwhile."""
    if not cells:
        return {}
    passed = {c.cell: c.verdict == "passed" for c in cells}
    records = (record for batch in store.batches() for record in batch["cells"] if record["cell"] in passed)
    return {record["cell"]: _trace(record["trace"], passed[record["cell"]]) for record in records if record["trace"]}


def _trace(recorded: dict[str, Any], passed: bool) -> Trace:
    # None is NaN
    return Trace(passed, *(np.asarray(recorded[name], dtype=float) for name in ("step", "snr_db")))
