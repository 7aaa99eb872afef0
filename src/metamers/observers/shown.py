"""What observers are shown: the written metamers of a run, their references, and controls."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from pathlib import PurePosixPath

from metamers.errors import MetamersError, nearest
from metamers.stimuli.playing import as_played
from metamers.stimuli.written import encode, written_set
from metamers.store import Cell, Lookup, Record, Store, sha256, sorted_on_disk, write_whole
from metamers.store.current import (
    NATURAL,
    START,
    UNTRAINED,
    natural_cell,
    start_cell,
    start_file,
    start_key,
    written_cells,
)
from metamers.synthesis import Recipe
from metamers.synthesis.metamers import start_signals

CONTROLS = ("start", "reference", "untrained")

_FIELDS = ("cell", "model", "stage", "recipe", "reference", "seed", "label", "file", "sha256", "control")


def require_controls(names: Collection[str]) -> None:
    """Raises MetamersError for a control that there is not."""
    for name in names:
        if name not in CONTROLS:
            raise MetamersError(f"no control {name!r}; choose of {', '.join(CONTROLS)}{nearest(name, CONTROLS)}")


def shown(store: Store, controls: Collection[str] = ()) -> Iterator[Record]:
    """The stimuli of a run, one after another: the keys of the table of responses, label, file, the file's SHA-256, and
    which control.

    References come first (stage "natural", no model), folder by folder: as they were written, so rounded, which is the
    control "reference". Then, with the control "start", what the searches started from (stage "start", no model),
    written where it is not yet; then the metamers, stage by stage; then, with "untrained", those of the untrained
    models in `UNTRAINED`.
    Raises MetamersError for an unknown control.
    """
    require_controls(controls)
    return ({field: stimulus.get(field) for field in _FIELDS} for stimulus in _all_shown(store, controls))


def _all_shown(store: Store, controls: Collection[str]) -> Iterator[Record]:
    # In as many passes over the batches as there are kinds, so that none holds all cells.
    references = _first_by(written_cells(store), lambda cell: (cell["reference_file"],))
    yield from _by_folder(map(_reference, references))
    if "start" in controls:
        recipes = {recipe["name"]: Recipe(**recipe) for recipe in store.study()["recipes"]}
        yield from _by_folder(_start(store, recipes, cell) for cell in _first_by(written_cells(store), start_key))
    yield from written_cells(store)
    if "untrained" in controls:
        for cell in written_cells(Store.open(store.path(UNTRAINED))):
            yield {**cell, "file": f"{UNTRAINED}/{cell['file']}", "control": "untrained"}


def _by_folder(stimuli: Iterable[Record]) -> Iterator[Record]:
    return sorted_on_disk(stimuli, lambda stimulus: str(PurePosixPath(stimulus["file"]).parent))


def _first_by(cells: Iterable[Record], key: Callable[[Record], tuple[object, ...]]) -> Iterator[Record]:
    """Of the cells with one key, the first."""
    known = Lookup()
    return (cell for cell in cells if known.add("\n".join(map(str, key(cell)))))


def _reference(cell: Record) -> Record:
    """The reference of a cell as a stimulus of its own."""
    return {
        **{"cell": natural_cell(cell["reference_file"]), "model": None, "stage": NATURAL, "recipe": None, "seed": None},
        **{"reference": cell["reference"], "label": cell["label"]},
        **{"file": cell["reference_file"], "sha256": cell["reference_sha256"]},
    }


def _start(store: Store, recipes: Mapping[str, Recipe], cell: Record) -> Record:
    """What the search of a cell started from, as a stimulus of its own; written where it is not yet."""
    file = start_file(cell)
    path = store.path(file)
    if not path.is_file():
        key = Cell(*(cell[name] for name in ("model", "stage", "recipe", "reference", "seed")))
        like = written_set("", [""], [store.path(cell["reference_file"])])
        recipe, shape = recipes[cell["recipe"]], tuple(like.read().shape[1:])
        signal = start_signals(recipe, [key], shape, None, kind=like.kind)[0]
        if like.sample_rate is not None:
            signal = as_played(signal, like.sample_rate)
        write_whole(path, encode(signal, like.kind, like.sample_rate))
    return {
        **{name: cell[name] for name in ("recipe", "reference", "seed", "label")},
        **{"cell": start_cell(cell), "model": None, "stage": START, "file": file},
        "control": START,
        "sha256": sha256(path.read_bytes()),
    }
