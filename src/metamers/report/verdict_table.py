"""The verdicts of all cells, as the page's script reads them."""

from collections.abc import Iterator
from math import isfinite
from typing import Any

from metamers.report.cells import MEASURES, Cells
from metamers.store.progress import without_numbers

_NAMED = ("model", "stage", "recipe", "reference", "label")


class VerdictTable:
    """Rows of indices and rounded numbers, and the names that the indices are of, which are known after the rows. A
    reason with decimals, so that no other cell is likely to have it, stands in the row itself."""

    def __init__(self, cells: Cells) -> None:
        self._cells = cells
        self._names: dict[str, dict[str, int]] = {}

    def rows(self) -> Iterator[list[Any]]:
        """A row is model, stage, recipe, reference, label, seed, the three measures, their null maxima, same class
        (null where the model has no decision), verdict, reason, steps, seconds."""
        for cell in self._cells:
            yield [
                *(self._index(kind, getattr(cell, kind)) for kind in _NAMED),
                cell.seed,
                *(_rounded(cell.measure(name), 5) for name in MEASURES),
                *(_rounded(cell.null(name), 5) for name in MEASURES),
                cell.same_class,
                self._index("verdict", cell.verdict),
                self._reason(cell.reason),
                cell.n_steps,
                _rounded(cell.seconds, 1),
            ]

    def names(self) -> dict[str, list[str]]:
        """The names of each kind, in the order of their indices."""
        return {kind: list(known) for kind, known in self._names.items()}

    def _reason(self, reason: str | None) -> int | str | None:
        return self._index("reason", reason) if reason is None or reason == without_numbers(reason) else reason

    def _index(self, kind: str, value: str | None) -> int | None:
        known = self._names.setdefault(kind, {})
        return None if value is None else known.setdefault(value, len(known))


def _rounded(value: float | None, digits: int) -> float | None:
    return None if value is None or not isfinite(value) else round(value, digits)
