"""What a run holds, read and put in order for the page."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from math import isfinite
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Any

from metamers.store import Store, read_table, robustness

if TYPE_CHECKING:
    import pandas as pd

VERDICTS = ("passed", "failed", "no null", "error")
MEASURES = ("pearson_r", "spearman_rho", "snr_db")
NATURAL = "natural"
_RECURRING = ("model", "stage", "recipe", "reference", "label", "reference_file", "verdict", "reason")
"""Texts that many cells share."""


@dataclass(frozen=True, slots=True)
class Cell:
    """What the page needs of a cell's record, in little memory, as there are many. `last_snr_db` ends its trace."""

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


@dataclass(frozen=True)
class Results:
    """A run as the page needs it.

    `batches` are its records without their cells; `stages` gives each generating model's stages in the order of
    study.yaml; `cells` come by model, reference, recipe, seed and stage; `nulls` holds the null distribution of each
    (model, stage) that has one; `robustness` the accuracy of models under attack (`model, attack, robustness`).
    """

    store: Store
    name: str
    study: dict[str, Any]
    batches: list[dict[str, Any]]
    cells: list[Cell]
    stages: dict[str, tuple[str, ...]]
    nulls: dict[tuple[str, str], dict[str, Any]]
    responses: "pd.DataFrame"
    controls: "pd.DataFrame"
    robustness: "pd.DataFrame"

    def of(self, model: str, stage: str | None = None) -> list[Cell]:
        """The cells of a model, or of one of its stages."""
        return [c for c in self.cells if c.model == model and stage in (None, c.stage)]

    @property
    def failed(self) -> set[str]:
        """The cells that are no metamers: those that failed or met an error."""
        return {c.cell for c in self.cells if c.verdict in ("failed", "error")}


def read_results(folder: Path) -> Results:
    """Raises MetamersError where there is no run, or a damaged one."""
    store = Store.open(folder)
    study, batches, found = store.study(), list[dict[str, Any]](), dict[str, Cell]()
    for batch in store.batches():
        # A batch that was cut anew holds cells of an older one; the later record counts.
        found.update((cell["cell"], _compact(cell)) for cell in batch.pop("cells"))
        batches.append(batch)
    cells = list(found.values())
    stages = _stages(study, cells)
    return Results(
        store=store,
        name=folder.resolve().name,
        study=study,
        batches=batches,
        cells=_in_order(cells, stages),
        stages=stages,
        nulls={(null["model"], null["stage"]): null for null in store.nulls(batches)},
        responses=read_table(store, "responses"),
        controls=read_table(store, "controls"),
        robustness=robustness(store),
    )


def natural_key(text: str) -> tuple[tuple[int, str], ...]:
    """A sort key by which "img2" comes before "img10".

    >>> sorted(["img10", "img2"], key=natural_key)
    ['img2', 'img10']
    """
    parts = re.findall(r"[0-9]+|[^0-9]+", text)
    return tuple((int(part), "") if part[0] in "0123456789" else (-1, part) for part in parts)


def _compact(record: dict[str, Any]) -> Cell:
    reached = (record.get("trace") or {}).get("snr_db") or []
    found = record | {"last_snr_db": next((db for db in reversed(reached) if db is not None and isfinite(db)), None)}
    values: dict[str, Any] = {field.name: found.get(field.name) for field in fields(Cell)}
    values |= {name: intern(values[name]) for name in _RECURRING if values[name] is not None}
    return Cell(**values)


def _stages(study: dict[str, Any], cells: Iterable[Cell]) -> dict[str, tuple[str, ...]]:
    found: dict[str, list[str]] = {}
    used: dict[str, set[str]] = {}
    for cell in cells:
        used.setdefault(cell.model, set()).add(cell.stage)
    for model in study.get("models") or []:
        if model.get("name") in used:
            found[model["name"]] = [s for s in model.get("stages") or [] if s in used[model["name"]]]
    for cell in cells:
        known = found.setdefault(cell.model, [])
        if cell.stage not in known:
            known.append(cell.stage)
    return {model: tuple(stages) for model, stages in found.items()}


def _in_order(cells: Sequence[Cell], stages: dict[str, tuple[str, ...]]) -> list[Cell]:
    models = {model: i for i, model in enumerate(stages)}
    places = {(model, stage): i for model, names in stages.items() for i, stage in enumerate(names)}

    def key(cell: Cell) -> tuple[Any, ...]:
        where = places[cell.model, cell.stage]
        reference = natural_key(cell.reference), cell.reference  # "1" and "01" have one key
        return models[cell.model], reference, cell.recipe, cell.seed, where

    return sorted(cells, key=key)
