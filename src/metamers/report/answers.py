"""The answers of observers, counted on the disk, as there may be very many."""

from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from sys import intern
from typing import TYPE_CHECKING, Any

from metamers.store import temporary_database

if TYPE_CHECKING:
    import pandas as pd

TEXTS = ("model", "stage", "observer", "observer_kind", "participant", "reference", "label", "response")
COLUMNS = ("cell", *TEXTS, "correct")
"""The columns that are counted."""

_GROUP = "model, stage, observer, observer_kind"
_KEY = ", ".join((*TEXTS, "failed"))


class Answers:
    """Answers of a table that comes in parts, those alike as one: seeds and recipes are pooled.

    Natural stimuli have an empty model, and what is not known is empty. `is_failed` tells of a cell whether it failed:
    its answers are left out of everything but `n_failed`, `observers` and `labels`. A trial that is there twice counts
    twice.
    """

    def __init__(self, parts: "Iterable[pd.DataFrame]", is_failed: Callable[[str], bool] = lambda cell: False) -> None:
        self._database = temporary_database()
        self._database.execute(f"CREATE TABLE answers ({_KEY}, n, n_scored, n_correct, PRIMARY KEY ({_KEY}))")
        self._database.executemany(
            f"INSERT INTO answers VALUES ({', '.join('?' * 12)}) ON CONFLICT ({_KEY}) DO UPDATE SET n = n + 1, "
            "n_scored = n_scored + excluded.n_scored, n_correct = n_correct + excluded.n_correct",
            (row for part in parts for row in _rows(part, is_failed)),
        )

    def counts(self, by_label: bool = False) -> "pd.DataFrame":
        """As `metamers.analysis.count_responses` gives; else labels are pooled."""
        by = f"{_GROUP}, {'label' if by_label else repr('')}"
        sums = "SUM(n_scored), SUM(n_correct), SUM(n - n_scored), 0"
        return self._table(
            f"{_GROUP}, label, n, n_correct, n_unscored, n_excluded",
            f"SELECT {by}, {sums} FROM answers WHERE NOT failed GROUP BY {by} ORDER BY MIN(rowid)",
        )

    def of(self, model: str) -> "Iterator[pd.DataFrame]":
        """A counted table (`metamers.analysis.scores.COUNTED`, and the reference) for each stage of a model, or of the
        natural stimuli and other things without a model, where it is empty; one without rows where there is none."""
        sums = {"n": "SUM(n_scored)", "n_correct": "SUM(n_correct)"}
        # Ordered as references are resampled.
        return self._by_stage(model, "participant, reference", sums, "MIN(CASE WHEN n_scored THEN rowid END)")

    def given(self, model: str) -> "Iterator[pd.DataFrame]":
        """How often which response was given, as `of` gives it: `model, stage, observer, observer_kind, participant,
        reference, label, response, n`; those without a score, too."""
        return self._by_stage(model, "participant, reference, label, response", {"n": "SUM(n)"}, "MIN(rowid)")

    def references(self, observer_kind: str) -> list[str]:
        """Those of which an observer of a kind gave an answer that is scored."""
        command = "SELECT DISTINCT reference FROM answers WHERE NOT failed AND n_scored AND observer_kind = ?"
        return [name for (name,) in self._database.select(command, (observer_kind,))]

    def with_natural(self, model: str) -> "Iterator[pd.DataFrame]":
        """Those of the natural stimuli and other things without a model, then those of a model."""
        return chain(self.of(""), self.of(model))

    def confusions(self, model: str) -> "pd.DataFrame":
        """How often which label of the natural stimuli, and of a model's metamers, got which response, where they are
        scored: `model, stage, observer, observer_kind, label, response, n`."""
        by = f"{_GROUP}, label, response"
        return self._table(
            f"{by}, n",
            f"SELECT {by}, SUM(n_scored) FROM answers WHERE NOT failed AND n_scored AND label != '' AND response != '' "
            f"AND (model = ? OR stage = 'natural') GROUP BY {by} ORDER BY MIN(rowid)",
            (model,),
        )

    def labels(self) -> "pd.DataFrame":
        """The pairs of `label, response` that are there; empty ones are missing values."""
        command = "SELECT DISTINCT NULLIF(label, ''), NULLIF(response, '') FROM answers"
        return self._table("label, response", command)

    def observers(self) -> list[str]:
        """Their names."""
        return [name for (name,) in self._database.select("SELECT DISTINCT observer FROM answers")]

    def people(self) -> list[str]:
        """The participants' names, of those who have one."""
        human = "NOT failed AND observer_kind = 'human' AND participant != observer"
        command = f"SELECT DISTINCT participant FROM answers WHERE {human}"
        return [name for (name,) in self._database.select(command)]

    @property
    def n_failed(self) -> int:
        """How many are to cells that failed."""
        return int(next(self._database.select("SELECT COALESCE(SUM(n), 0) FROM answers WHERE failed"))[0])

    def _by_stage(self, model: str, by: str, sums: dict[str, str], order: str) -> "Iterator[pd.DataFrame]":
        stages = "SELECT stage FROM answers WHERE NOT failed AND model = ? GROUP BY stage ORDER BY MIN(rowid)"
        for (stage,) in list(self._database.select(stages, (model,))) or [("",)]:
            yield self._table(
                f"{_GROUP}, {by}, {', '.join(sums)}",
                f"SELECT {_GROUP}, {by}, {', '.join(sums.values())} FROM answers "
                f"WHERE NOT failed AND model = ? AND stage = ? GROUP BY {_GROUP}, {by} ORDER BY {order}",
                (model, stage),
            )

    def _table(self, columns: str, *command: Any) -> "pd.DataFrame":
        import pandas as pd

        found = self._database.select(*command)
        rows = [[intern(value) if isinstance(value, str) else value for value in row] for row in found]
        table = pd.DataFrame(rows, columns=columns.split(", "))
        return table.astype({name: int if name.startswith("n") else object for name in columns.split(", ")})


def _rows(part: "pd.DataFrame", is_failed: Callable[[str], bool]) -> Iterator[tuple[Any, ...]]:
    columns = part.assign(participant=part["participant"].fillna(part["observer"]))[[*TEXTS]].fillna("")
    correct = part["correct"]
    scores = correct.notna().tolist(), correct.fillna(False).tolist()
    for cell, scored, right, *row in zip(part["cell"], *scores, *(columns[name] for name in TEXTS), strict=True):
        yield *row, is_failed(cell), 1, scored, right
