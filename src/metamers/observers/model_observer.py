"""A model as an observer: it names what it sees in the written files."""

from collections.abc import Sequence
from pathlib import PurePosixPath
from typing import Any

from metamers.labels import LabelSpace
from metamers.matching import decide
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet, read_image
from metamers.store import Record, Store, record_id


def recognize(store: Store, observer: StagedModel) -> int:
    """Let `observer` name all metamers of a run and their references, and store its responses; how many are new.

    The files are read as written and fitted to the observer's input. What was answered before is not asked again.
    Raises MetamersError for an observer without a decision.
    """
    cells = [cell for batch in store.batches() for cell in batch["cells"] if cell["file"] is not None]
    natural = {cell["reference_file"]: _natural(cell) for cell in cells}
    groups: dict[tuple[str, ...], list[dict[str, Any]]] = {}
    for file, reference in natural.items():
        groups.setdefault(("", "natural", str(PurePosixPath(file).parent)), []).append(reference)
    for cell in cells:
        groups.setdefault((cell["model"], cell["stage"], cell["recipe"], str(cell["seed"])), []).append(cell)
    return sum(_recognize_group(store, observer, key, group) for key, group in groups.items())


def _recognize_group(store: Store, observer: StagedModel, key: Sequence[str], cells: list[dict[str, Any]]) -> int:
    hashes = [cell["sha256"] for cell in cells]
    identity = record_id(
        [*key, observer.name, observer.weights_hash(), *hashes], f"{'.'.join(key[:2])}.{observer.name}"
    )
    if store.has_responses(identity):
        return 0
    space = LabelSpace(observer.classes)
    rows: list[Record] = []
    for cell, index in zip(cells, _decisions(store, observer, cells), strict=True):
        row = {name: cell[name] for name in ("cell", "model", "stage", "recipe", "reference", "seed", "label")}
        row |= {"observer": observer.name, "observer_kind": "model", "participant": None, "rt_ms": None}
        rows.append(row | {"response": space.label(index), "correct": space.is_correct(index, cell["label"])})
    store.commit_responses({"id": identity, "weights_hash": observer.weights_hash(), "responses": rows})
    return len(rows)


def _decisions(store: Store, observer: StagedModel, cells: list[dict[str, Any]], batch_size: int = 64) -> list[int]:
    stimuli = StimulusSet(
        name=str(store.folder),
        ids=[cell["file"] for cell in cells],
        source=lambda i: read_image(store.path(cells[i]["file"])),
        channels=read_image(store.path(cells[0]["file"])).shape[2],
    )
    if observer.input_size is None:
        first = stimuli.pixels(0).shape
        observer = observer.with_input_size((first[0], first[1]))
    assert observer.input_size is not None
    fitted = stimuli.fit(observer.input_size, observer.channels)
    starts = range(0, len(cells), batch_size)
    return [d for i in starts for d in decide(observer, fitted[i : i + batch_size].read(), batch_size).tolist()]


def _natural(cell: dict[str, Any]) -> dict[str, Any]:
    """The reference of a cell as a stimulus of its own."""
    return {
        **{"cell": f"natural/{cell['reference']}", "model": None, "stage": "natural", "recipe": None, "seed": None},
        **{"reference": cell["reference"], "label": cell["label"]},
        **{"file": cell["reference_file"], "sha256": cell["reference_sha256"]},
    }
