"""What observers are shown: the written metamers of a run, their references, and controls."""

from collections.abc import Collection

from metamers.errors import MetamersError, nearest
from metamers.stimuli.playing import as_played
from metamers.stimuli.written import encode, written_set
from metamers.store import Cell, Record, Store, sha256, write_whole
from metamers.store.current import NATURAL, START, UNTRAINED, natural_cell, start_cell, start_file, start_key
from metamers.synthesis import Recipe
from metamers.synthesis.metamers import start_signals

CONTROLS = ("start", "reference", "untrained")

_FIELDS = ("cell", "model", "stage", "recipe", "reference", "seed", "label", "file", "sha256", "control")


def require_controls(names: Collection[str]) -> None:
    """Raises MetamersError for a control that there is not."""
    for name in names:
        if name not in CONTROLS:
            raise MetamersError(f"no control {name!r}; choose of {', '.join(CONTROLS)}{nearest(name, CONTROLS)}")


def shown(store: Store, controls: Collection[str] = ()) -> list[Record]:
    """The stimuli of a run: the keys of the table of responses, label, file, the file's SHA-256, and which control.

    References come first (stage "natural", no model): as they were written, so rounded, which is the control
    "reference". Then, with the control "start", what the searches started from (stage "start", no model), written where
    it is not yet; then the metamers; then, with "untrained", those of the untrained models in `UNTRAINED`.
    Raises MetamersError for an unknown control.
    """
    require_controls(controls)
    cells = _written(store)
    stimuli = [_reference(cell) for cell in {cell["reference_file"]: cell for cell in cells}.values()]
    if "start" in controls:
        stimuli += _starts(store, cells)
    stimuli += cells
    if "untrained" in controls:
        stimuli += [
            {**cell, "file": f"{UNTRAINED}/{cell['file']}", "control": "untrained"}
            for cell in _written(Store.open(store.path(UNTRAINED)))
        ]
    return [{field: stimulus.get(field) for field in _FIELDS} for stimulus in stimuli]


def _written(store: Store) -> list[Record]:
    fields = (*_FIELDS, "reference_file", "reference_sha256")  # without the traces, which are long
    cells = (cell for batch in store.batches() for cell in batch["cells"] if cell["file"] is not None)
    return [{field: cell.get(field) for field in fields} for cell in cells]


def _reference(cell: Record) -> Record:
    """The reference of a cell as a stimulus of its own."""
    return {
        **{"cell": natural_cell(cell["reference_file"]), "model": None, "stage": NATURAL, "recipe": None, "seed": None},
        **{"reference": cell["reference"], "label": cell["label"]},
        **{"file": cell["reference_file"], "sha256": cell["reference_sha256"]},
    }


def _starts(store: Store, cells: list[Record]) -> list[Record]:
    """One start for each reference as written, recipe and seed, of the first stage of the first model."""
    recipes = {recipe["name"]: Recipe(**recipe) for recipe in store.study()["recipes"]}
    first: dict[tuple[str, str, int], Record] = {}
    for cell in cells:
        first.setdefault(start_key(cell), cell)
    starts = []
    for cell in first.values():
        key = Cell(*(cell[name] for name in ("model", "stage", "recipe", "reference", "seed")))
        file = start_file(cell)
        path = store.path(file)
        if not path.is_file():
            like = written_set("", [""], [store.path(cell["reference_file"])])
            recipe, shape = recipes[cell["recipe"]], tuple(like.read().shape[1:])
            signal = start_signals(recipe, [key], shape, None, kind=like.kind)[0]
            if like.sample_rate is not None:
                signal = as_played(signal, like.sample_rate)
            write_whole(path, encode(signal, like.kind, like.sample_rate))
        starts.append(
            {
                **{name: cell[name] for name in ("recipe", "reference", "seed", "label")},
                **{"cell": start_cell(cell), "model": None, "stage": START, "file": file},
                "control": START,
                "sha256": sha256(path.read_bytes()),
            }
        )
    return starts
