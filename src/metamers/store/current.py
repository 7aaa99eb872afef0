"""What a run shows now: the files that its study's tables are about."""

from collections.abc import Iterator
from pathlib import PurePosixPath

from metamers.store.cell import Cell
from metamers.store.files import sha256
from metamers.store.identity import Record, stages_of
from metamers.store.store import Store

_KEY = ("model", "stage", "recipe", "reference", "seed")

NATURAL, START = "natural", "start"
UNTRAINED = "controls/untrained"
"""Where within a run the run of its untrained models lies."""


def current_files(store: Store) -> dict[str, str]:
    """The SHA-256 of each file that a run shows, by the cell under which responses name it: references, metamers,
    starts that are written, and the metamers of untrained models."""
    found: dict[str, str] = {}
    first: dict[tuple[str, str, int], Record] = {}
    for cell in written_cells(store):
        found[cell["cell"]] = cell["sha256"]
        found[natural_cell(cell["reference_file"])] = cell["reference_sha256"]
        if (key := start_key(cell)) not in first:
            first[key] = {name: cell[name] for name in (*_KEY, "reference_file")}
    for cell in first.values():
        path = store.path(start_file(cell))
        if path.is_file():
            found[start_cell(cell)] = sha256(path.read_bytes())
    if (store.path(UNTRAINED) / "study.yaml").is_file():
        stages = set(stages_of(store.study()))
        for cell in written_cells(Store(store.path(UNTRAINED))):
            if (cell["model"].removeprefix("untrained-"), cell["stage"]) in stages:
                found[cell["cell"]] = cell["sha256"]
    return found


def natural_cell(reference_file: str) -> str:
    """Under what responses name a reference."""
    return f"{NATURAL}/{PurePosixPath(reference_file).relative_to('references').with_suffix('')}"


def start_key(cell: Record) -> tuple[str, str, int]:
    """The cells of one reference as written, recipe and seed share a start: that of the first of them."""
    return cell["reference_file"], cell["recipe"], cell["seed"]


def start_cell(cell: Record) -> str:
    """Under what responses name the start of a cell."""
    return f"{START}/{_key(cell).id}"


def start_file(cell: Record) -> str:
    """Where within a run the start of a cell is written."""
    suffix = PurePosixPath(cell["reference_file"]).suffix
    return f"controls/{START}/{_key(cell).file_stem.removeprefix('metamers/')}{suffix}"


def _key(cell: Record) -> Cell:
    return Cell(*(cell[name] for name in _KEY))


def written_cells(store: Store) -> Iterator[Record]:
    """The records of the cells of the study that have a metamer, one after another."""
    return (cell for batch in store.batches() for cell in batch["cells"] if cell["file"] is not None)
