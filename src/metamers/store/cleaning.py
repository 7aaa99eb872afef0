"""What a run holds that its study does not refer to."""

from collections.abc import Iterator
from pathlib import Path

from metamers.store.current import UNTRAINED, shown_by, start_file
from metamers.store.files import clear_disk_errors, is_temporary
from metamers.store.identity import is_part, stages_of
from metamers.store.lock import STALE_SECONDS, now
from metamers.store.store import Record, Store

_OF_CELLS = ("batches", "metamers", "unrounded", "references", "null", "controls/start")
"""Folders whose files belong to batches."""


def unreferenced(store: Store) -> list[Path]:
    """The records of batches that are not of the study and the files that only those name; and, if they are older than
    ten minutes, so that no living process has them, files that no record names and those that were never finished."""
    study = store.study()
    belongs, kept, let_go, judged = is_part(study), set[Path](), set[Path](), set[tuple[str, str]]()
    for batch in store.all_batches():
        (kept if belongs(batch) else let_go).update(_files(store, batch))
        if belongs(batch):
            judged.add((batch["model"], batch["stage"]))
    for model, stage in set(stages_of(study)) - judged:  # of a stage that has no batch yet
        kept.update(store.null_path(model, stage, "").parent.glob("*.json"))
    old = now(store.folder) - STALE_SECONDS
    found = []
    for name in _OF_CELLS:
        for path in sorted((store.folder / name).rglob("*")):
            if path.is_file() and path not in kept and (path in let_go or path.stat().st_mtime < old):
                found.append(path)
    nested = (
        unreferenced(Store(store.folder / UNTRAINED)) if (store.folder / UNTRAINED / "study.yaml").is_file() else []
    )
    unfinished = [
        path for path in sorted(store.folder.rglob(".*")) if is_temporary(path) and path.stat().st_mtime < old
    ]
    return list(dict.fromkeys([*found, *nested, *unfinished]))


def remove(store: Store, files: list[Path]) -> None:
    """Delete files, and the responses of models, which can be had again, to what the run no longer shows.

    Raises MetamersError where the disk refuses.
    """
    shown, of_study = shown_by(store), {record["id"] for record in store.responses()}
    for record in store.all_responses():
        if record.get("observer") == "human":
            continue
        asked = [row for row in record["responses"] if shown(row)]
        if not asked or record["id"] not in of_study:
            store.drop_responses(record["id"])
        elif len(asked) < len(record["responses"]):
            store.commit_responses(record | {"responses": asked})
    # Records first, so that none ever names a file that is gone.
    for path in sorted(files, key=lambda path: path.suffix != ".json"):
        with clear_disk_errors(path):
            path.unlink(missing_ok=True)


def _files(store: Store, batch: Record) -> Iterator[Path]:
    yield store.batch_path(batch["model"], batch["stage"], batch["id"])
    if batch["null_file"]:
        yield store.path(batch["null_file"])
    for cell in batch["cells"]:
        for file in filter(None, (cell["reference_file"], cell["file"])):
            yield store.path(file)
            yield store.path(file).with_suffix(".png")  # of a sound, its cochleagram
        if cell["file"]:
            yield store.path(f"unrounded/{cell['file'].removeprefix('metamers/')}")
            yield store.path(start_file(cell))
