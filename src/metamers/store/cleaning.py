"""What a run holds that its study does not refer to."""

from collections.abc import Iterator
from pathlib import Path

from metamers.store.files import clear_disk_errors, is_temporary
from metamers.store.store import Record, Store, is_part

_OF_CELLS = ("batches", "metamers", "unrounded", "references", "null")
"""Folders whose files belong to batches."""


def unreferenced(store: Store) -> list[Path]:
    """The files of cells that are of no model, stage, recipe or seed of the study, of references and nulls that no
    batch uses, and those that killed processes did not finish writing."""
    study = store.study()
    kept = {file for batch in store.batches() if is_part(batch, study) for file in _files(batch)}
    in_use = {store.folder / file for file in kept}
    files = [path for name in _OF_CELLS for path in sorted((store.folder / name).rglob("*")) if path.is_file()]
    left = [path for path in files if path not in in_use]
    unfinished = [path for path in sorted(store.folder.rglob(".*")) if path.is_file() and is_temporary(path)]
    return list(dict.fromkeys([*left, *unfinished]))


def remove(files: list[Path]) -> None:
    """Delete files. Raises MetamersError where the disk refuses."""
    # Records first, so that no record ever names a file that is gone.
    for path in sorted(files, key=lambda path: path.parent.name != "batches"):
        with clear_disk_errors(path):
            path.unlink(missing_ok=True)


def _files(batch: Record) -> Iterator[str]:
    yield f"batches/{batch['id']}.json"
    if batch["null_file"]:
        yield batch["null_file"]
    for cell in batch["cells"]:
        for file in filter(None, (cell["reference_file"], cell["file"])):
            yield file
            yield f"{file.removesuffix('.wav')}.png"  # of a sound, its cochleagram
            yield f"unrounded/{file.removeprefix('metamers/')}"
