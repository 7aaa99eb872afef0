"""What a run holds, read and put in order for the page."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metamers.analysis import chance_level
from metamers.report.answers import COLUMNS, Answers
from metamers.report.cells import Cells, collect
from metamers.store import RESPONSES, UNUSABLE, Record, Store, chances, robustness, table_parts

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

    def responses(self) -> "Iterator[pd.DataFrame]":
        """The table of that name, some hundred rows at a time, without those to metamers by other recipes and to cells
        that failed or met an error."""
        for part in table_parts(self.store, "responses", list(RESPONSES)):
            chosen = np.fromiter((not self.is_failed(cell) for cell in part["cell"]), bool, len(part))
            if self.recipe is not None:
                chosen &= (part["recipe"].isna() | (part["recipe"] == self.recipe)).to_numpy(bool)
            yield part[chosen]

    def answers(self, table: str = "responses") -> Answers:
        """Those of a table (or `controls`), counted; of all recipes."""
        return Answers(table_parts(self.store, table, list(COLUMNS)), self.is_failed)

    def chances(self, answers: Answers) -> dict[str, float]:
        """What guessing gives each observer of all answers; where that is not recorded, what the labels tell."""
        models = self.study.get("models") or []
        sizes = {model.get("n_classes") or len(model.get("classes") or ()) for model in models}
        known = sizes.pop() if len(sizes) == 1 else 0
        level = 1 / known if known else chance_level(answers.labels())
        return dict.fromkeys(answers.observers(), level) | chances(self.store)

    def is_failed(self, cell: str) -> bool:
        """Whether a cell failed or met an error."""
        return self.cells.verdict(cell) in UNUSABLE


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
