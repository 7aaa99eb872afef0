"""What is told of a study while it is made."""

import time
from collections import Counter
from collections.abc import Callable
from typing import Any

from metamers.store import Record, Store
from metamers.store.lock import Tell

Progress = Callable[[float, float, str], None]
"""Called with the work done, the work in all (in nulls and batches), and what is being done."""
OnEvent = Callable[[dict[str, Any]], None]
"""Called with the counts of cells each time that a batch is done."""


class Watch:
    """Counts the cells of a study as they come, and hands on how far it is.

    `done` of the `total` nulls and batches are done; `cells` are to be made in all.
    """

    def __init__(self, total: int, cells: int, progress: Progress, on_event: OnEvent, tell: Tell) -> None:
        self.total, self.cells, self.done = total, cells, 0
        self._progress, self._on_event, self._tell = progress, on_event, tell
        self._verdicts: Counter[str] = Counter()
        self._begun, self._made = time.monotonic(), 0

    def begin(self, store: Store) -> int:
        """Count the cells that are there already; how many."""
        for record in store.batches():
            self._count(record)
        return self._verdicts.total()

    @property
    def n_errors(self) -> int:
        """How many cells could not be made."""
        return self._verdicts["error"]

    def at(self, part: float, what: str) -> None:
        """Part of the next null or batch is done."""
        done, verdicts = self._verdicts.total(), self._verdicts
        counts = f"{done:,} of {self.cells:,} cells, {verdicts['passed']:,} verified, {verdicts['failed']:,} failed"
        if verdicts["error"]:
            counts += f", {verdicts['error']:,} could not be made"
        if self._made:
            counts += f", {self._rate():.2g} a second"
        self._progress(self.done + part, self.total, f"{counts}; {what}")

    def running(self, cells: int) -> None:
        """So many cells are being made now."""
        self._tell(cells)

    def finished(self, what: str, record: Record | None = None) -> None:
        """A null or, with its record, a batch is done."""
        self.done += 1
        if record is not None:
            self._made += self._count(record)
            self._on_event(self._counts(record))
        self.at(0, what)

    def _count(self, record: Record) -> int:
        self._verdicts.update(cell["verdict"] for cell in record["cells"])
        return len(record["cells"])

    def _rate(self) -> float:
        """Cells that are made in a second."""
        return self._made / max(time.monotonic() - self._begun, 1e-9)

    def _counts(self, record: Record) -> dict[str, Any]:
        done, rate = self._verdicts.total(), self._rate()
        return {
            **{"event": "batch", "batch": record["id"], "model": record["model"], "stage": record["stage"]},
            **{"recipe": record["recipe"], "seed": record["seed"]},
            **{"cells": self.cells, "done": done},
            **{v.replace(" ", "_"): self._verdicts[v] for v in ("passed", "failed", "no null", "error")},
            **{"cells_per_second": rate, "seconds_left": (self.cells - done) / rate},
        }
