"""What a run holds that its study does not refer to."""

from collections.abc import Iterator
from pathlib import Path

from metamers.store.files import clear_disk_errors, is_temporary
from metamers.store.lock import STALE_SECONDS, now
from metamers.store.store import Record, Store, is_asked, is_part, stages_of

_OF_CELLS = ("batches", "metamers", "unrounded", "references", "null", "controls/start")
"""Folders whose files belong to batches."""
_NESTED = "controls/untrained"
"""A run within the run."""


def unreferenced(store: Store) -> list[Path]:
    """The records of batches that are not of the study and the files that only those name; and, if they are older than
    ten minutes, so that no living process has them, files that no record names and those that were never finished."""
    study = store.study()
    kept, let_go = set[Path](), set[Path]()
    for batch in store.all_batches():
        (kept if is_part(batch, study) else let_go).update(_files(store, batch))
    for model, stage in stages_of(study):
        kept.update(store.null_path(model, stage, "").parent.glob("*.json"))
    old = now(store.folder) - STALE_SECONDS
    found = []
    for name in _OF_CELLS:
        for path in sorted((store.folder / name).rglob("*")):
            if path.is_file() and path not in kept and (path in let_go or path.stat().st_mtime < old):
                found.append(path)
    nested = unreferenced(Store(store.folder / _NESTED)) if (store.folder / _NESTED / "study.yaml").is_file() else []
    unfinished = [
        path for path in sorted(store.folder.rglob(".*")) if is_temporary(path) and path.stat().st_mtime < old
    ]
    return list(dict.fromkeys([*found, *nested, *unfinished]))


def remove(store: Store, files: list[Path]) -> None:
    """Delete files, and the responses of models, which can be had again, to cells that are not of the study.

    Raises MetamersError where the disk refuses.
    """
    study = store.study()
    for record in store.responses():
        asked = [row for row in record["responses"] if is_asked(row, study) or row["observer_kind"] == "human"]
        if not asked:
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
            own = cell["file"].removeprefix("metamers/")
            yield from (store.path(f"unrounded/{own}"), store.path(f"controls/start/{own}"))
