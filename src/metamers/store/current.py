"""What a run shows now: the files that its study's tables are about."""

from collections.abc import Callable, Iterator
from pathlib import PurePosixPath

from metamers.store.cell import Cell
from metamers.store.files import sha256
from metamers.store.identity import Record, stages_of
from metamers.store.scratch import Lookup
from metamers.store.store import Store

_KEY = ("model", "stage", "recipe", "reference", "seed")

NATURAL, START = "natural", "start"
UNTRAINED = "controls/untrained"
"""Where within a run the run of its untrained models lies."""


def shown_by(store: Store) -> Callable[[Record], bool]:
    """Whether a response is to a file that the run shows as it is now: a reference, a metamer, a start that is written,
    or a metamer of an untrained model."""
    found = Lookup(_files_shown(store))
    return lambda response: found.holds(response["cell"], response["sha256"])


def _files_shown(store: Store) -> Iterator[tuple[str, str]]:
    """The files that a run shows: the cell under which responses name each, and its SHA-256."""
    starts, begun = store.path(f"controls/{START}").is_dir(), Lookup()
    for cell in written_cells(store):
        yield cell["cell"], cell["sha256"]
        yield natural_cell(cell["reference_file"]), cell["reference_sha256"]
        if starts and begun.add("\n".join(map(str, start_key(cell)))):
            path = store.path(start_file(cell))
            if path.is_file():
                yield start_cell(cell), sha256(path.read_bytes())
    if (store.path(UNTRAINED) / "study.yaml").is_file():
        stages = set(stages_of(store.study()))
        for cell in written_cells(Store(store.path(UNTRAINED))):
            if (cell["model"].removeprefix("untrained-"), cell["stage"]) in stages:
                yield cell["cell"], cell["sha256"]


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
