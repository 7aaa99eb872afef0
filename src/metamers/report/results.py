"""What a run holds, read and put in order for the page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metamers.report.answers import COLUMNS, Answers
from metamers.report.cells import Cells, collect
from metamers.store import UNUSABLE, Record, Store, read_table, robustness, table_parts

if TYPE_CHECKING:
    import pandas as pd

NATURAL = "natural"


@dataclass
class Batches:
    """How many there are, how long they took, and which versions, devices and nulls they are of, each once."""

    n: int = 0
    seconds: float = 0.0
    versions: list[dict[str, Any]] = field(default_factory=list)
    devices: list[str] = field(default_factory=list)
    null_files: list[str] = field(default_factory=list)

    def cells_of(self, records: Iterable[Record]) -> Iterator[Record]:
        """The cells of batches, one after another, each batch being counted."""
        for record in records:
            self.n, self.seconds = self.n + 1, self.seconds + (record.get("seconds") or 0)
            for known, name in ((self.versions, "versions"), (self.devices, "device"), (self.null_files, "null_file")):
                if record.get(name) and record[name] not in known:
                    known.append(record[name])
            yield from record["cells"]


@dataclass(frozen=True)
class Results:
    """A run as the page needs it.

    `stages` gives each generating model's stages in the order of study.yaml; `nulls` holds the null distribution of
    each (model, stage) that has one; `robustness` the accuracy of models under attack (`model, attack, robustness`).
    """

    store: Store
    name: str
    study: dict[str, Any]
    batches: Batches
    cells: Cells
    stages: dict[str, tuple[str, ...]]
    nulls: dict[tuple[str, str], dict[str, Any]]
    robustness: "pd.DataFrame"
    recipe: str | None = None
    """Where `cells` are those of one recipe."""

    @property
    def responses(self) -> "pd.DataFrame":
        """The table of that name, without those to metamers by other recipes."""
        table = read_table(self.store, "responses")
        return table if self.recipe is None else table[table["recipe"].isna() | (table["recipe"] == self.recipe)]

    def answers(self, table: str = "responses") -> Answers:
        """Those of a table (or `controls`), counted; of all recipes."""
        return Answers(table_parts(self.store, table, list(COLUMNS)), self.is_failed)

    def is_failed(self, cell: str) -> bool:
        """Whether a cell failed or met an error."""
        return self.cells.verdict(cell) in UNUSABLE

    def without_failed(self, responses: "pd.DataFrame") -> "pd.DataFrame":
        """Responses but for those to cells that failed or met an error."""
        kept = (not self.is_failed(cell) for cell in responses["cell"])
        return responses[np.fromiter(kept, bool, len(responses))]


def read_results(folder: Path) -> Results:
    """Raises MetamersError where there is no run, or a damaged one."""
    store = Store.open(folder)
    study = store.study()
    studied = {model["name"]: model.get("stages") or () for model in study.get("models") or [] if model.get("name")}
    batches = Batches()
    cells, stages = collect(batches.cells_of(store.batches()), studied)
    return Results(
        store=store,
        name=folder.resolve().name,
        study=study,
        batches=batches,
        cells=cells,
        stages=stages,
        nulls={(null["model"], null["stage"]): null for null in store.nulls(batches.null_files)},
        robustness=robustness(store),
    )
