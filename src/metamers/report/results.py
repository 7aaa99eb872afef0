"""What a run holds, read and put in order for the page."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from metamers.report.cells import Cells, collect
from metamers.store import Record, Store, read_table, robustness

if TYPE_CHECKING:
    import pandas as pd

NATURAL = "natural"


@dataclass(frozen=True)
class Batches:
    """How many there are, how long they took, and which versions and devices made them, each once."""

    n: int
    seconds: float
    versions: list[dict[str, Any]]
    devices: list[str]


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
    responses: "pd.DataFrame"
    controls: "pd.DataFrame"
    robustness: "pd.DataFrame"

    def without_failed(self, responses: "pd.DataFrame") -> "pd.DataFrame":
        """Responses to other stimuli than cells that are no metamers: those that failed or met an error."""
        kept = (self.cells.verdict(cell) not in ("failed", "error") for cell in responses["cell"])
        return responses[np.fromiter(kept, bool, len(responses))]


def read_results(folder: Path) -> Results:
    """Raises MetamersError where there is no run, or a damaged one."""
    store = Store.open(folder)
    study = store.study()
    studied = {model["name"]: model.get("stages") or () for model in study.get("models") or [] if model.get("name")}
    cells, stages = collect((cell for batch in store.batches() for cell in batch["cells"]), studied)
    return Results(
        store=store,
        name=folder.resolve().name,
        study=study,
        batches=_batches(store.batches()),
        cells=cells,
        stages=stages,
        nulls={(null["model"], null["stage"]): null for null in store.nulls(store.batches())},
        responses=read_table(store, "responses"),
        controls=read_table(store, "controls"),
        robustness=robustness(store),
    )


def _batches(records: Iterable[Record]) -> Batches:
    n, seconds, versions, devices = 0, 0.0, list[dict[str, Any]](), dict[str, None]()
    for record in records:
        n, seconds = n + 1, seconds + (record.get("seconds") or 0)
        if record.get("device") is not None:
            devices[str(record["device"])] = None
        if record.get("versions") and record["versions"] not in versions:
            versions.append(record["versions"])
    return Batches(n, seconds, versions, list(devices))
