"""The cells of a run in the order of the page, on the disk, as there may be very many."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from typing import Any

from metamers.store import temporary_database
from metamers.store.scratch import TemporaryDatabase

VERDICTS = ("passed", "failed", "no null", "error")
MEASURES = ("pearson_r", "spearman_rho", "snr_db")


@dataclass(frozen=True, slots=True)
class Cell:
    """What the page needs of a cell's record. `last_snr_db` ends its trace."""

    cell: str
    model: str
    stage: str
    recipe: str
    reference: str
    seed: int
    label: str | None
    file: str | None
    reference_file: str | None
    pearson_r: float | None
    spearman_rho: float | None
    snr_db: float | None
    null_pearson_r: float | None
    null_spearman_rho: float | None
    null_snr_db: float | None
    same_class: bool | None
    verdict: str
    reason: str | None
    n_steps: int | None
    seconds: float | None
    last_snr_db: float | None

    def measure(self, name: str) -> float | None:
        """One of `MEASURES`."""
        value: float | None = getattr(self, name)
        return value

    def null(self, name: str) -> float | None:
        """The null's maximum of one of `MEASURES`."""
        value: float | None = getattr(self, f"null_{name}")
        return value


_NAMES = [field.name for field in fields(Cell)]
_COLUMNS = ", ".join(_NAMES)


class Cells:
    """Cells of a run by model, reference, recipe, seed and stage: all, or those that `of` chose. Each time that they
    are asked for they are read anew."""

    def __init__(self, database: TemporaryDatabase, chosen: Mapping[str, str] | None = None) -> None:
        self._database, self._chosen = database, dict(chosen or {})

    def __iter__(self) -> Iterator[Cell]:
        for found in self.values(*_NAMES):
            values = dict(zip(_NAMES, found, strict=True))
            if values["same_class"] is not None:
                values["same_class"] = bool(values["same_class"])  # of which the disk makes numbers
            yield Cell(**values)

    def __len__(self) -> int:
        return int(next(self._select("COUNT(*)"))[0])

    def of(self, **chosen: str) -> "Cells":
        """Those of a `model`, `stage` or `recipe`."""
        return Cells(self._database, self._chosen | chosen)

    def values(self, *names: str) -> Iterator[tuple[Any, ...]]:
        """Some fields of each; `same_class` is a number."""
        return self._select(", ".join(names), "ORDER BY rowid")

    def count(self, *names: str) -> dict[tuple[Any, ...], int]:
        """How many there are of each combination of fields, in the order of their first."""
        columns = ", ".join(names)
        found = self._select(f"COUNT(*), {columns}", f"GROUP BY {columns} ORDER BY MIN(rowid)")
        return {tuple(key): n for n, *key in found}

    def verdict(self, cell: str) -> str | None:
        """That of the cell of a name, whichever were chosen."""
        found = next(self._database.select("SELECT verdict FROM cells WHERE cell = ?", (cell,)), None)
        return None if found is None else str(found[0])

    def _select(self, columns: str, more: str = "") -> Iterator[tuple[Any, ...]]:
        where = "".join(f" AND {name} = ?" for name in self._chosen)
        # The rows of a model lie in order, which its part of the index would undo.
        table = "cells" if "stage" in self._chosen else "cells NOT INDEXED"
        return self._database.select(
            f"SELECT {columns} FROM {table} WHERE TRUE{where} {more}", [*self._chosen.values()]
        )


def collect(
    records: Iterable[Mapping[str, Any]], studied: Mapping[str, Sequence[str]]
) -> tuple[Cells, dict[str, tuple[str, ...]]]:
    """The cells of records, and which stages of each model they are of; of two records of one name the later counts.

    `studied` gives the models in order, each with its stages in order; what it lacks comes behind, as it appears.
    """
    database, marks = temporary_database(), ", ".join("?" * len(_NAMES))
    database.execute(f"CREATE TABLE found ({_COLUMNS}, PRIMARY KEY (cell))")
    database.executemany(f"INSERT OR REPLACE INTO found VALUES ({marks})", map(_values, records))
    stages = _stages(studied, database.select("SELECT model, stage FROM found GROUP BY 1, 2 ORDER BY MIN(rowid)"))
    references = [name for (name,) in database.select("SELECT DISTINCT reference FROM found")]
    references.sort(key=lambda name: (natural_key(name), name))  # "1" and "01" have one key
    places = {
        "place_of_model": {(model,): i for i, model in enumerate(stages)},
        "place_of_stage": {(model, stage): i for model, names in stages.items() for i, stage in enumerate(names)},
        "place_of_reference": {(name,): i for i, name in enumerate(references)},
    }
    for name, place in places.items():
        database.create_function(name, -1, lambda *key, place=place: place[key], deterministic=True)
    database.execute(
        f"CREATE TABLE cells AS SELECT {_COLUMNS} FROM found ORDER BY place_of_model(model), "
        "place_of_reference(reference), recipe, seed, place_of_stage(model, stage)"
    )
    for name in places:
        database.create_function(name, -1, None)  # which would keep the places
    database.execute("DROP TABLE found")
    database.execute("CREATE INDEX of_stage ON cells (model, stage)")
    database.execute("CREATE INDEX of_name ON cells (cell)")
    return Cells(database), stages


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """A sort key by which "img2" comes before "img10".

    >>> sorted(["img10", "img2"], key=natural_key)
    ['img2', 'img10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def _values(record: Mapping[str, Any]) -> list[Any]:
    reached = (record.get("trace") or {}).get("snr_db") or []
    last = next((db for db in reversed(reached) if db is not None and isfinite(db)), None)
    return [last if name == "last_snr_db" else record.get(name) for name in _NAMES]


def _stages(studied: Mapping[str, Sequence[str]], found: Iterable[tuple[str, str]]) -> dict[str, tuple[str, ...]]:
    used: dict[str, list[str]] = {}
    for model, stage in found:
        used.setdefault(model, []).append(stage)
    models = [*(model for model in studied if model in used), *(model for model in used if model not in studied)]
    return {
        model: tuple(dict.fromkeys([*(s for s in studied.get(model, ()) if s in used[model]), *used[model]]))
        for model in models
    }
