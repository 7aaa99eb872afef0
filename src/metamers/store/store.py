"""A run's folder: the study as resolved, references, metamers, nulls, batch records and tables."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from metamers.errors import MetamersError
from metamers.store.cell import slug
from metamers.store.files import clear_disk_errors, is_temporary, read_json, sha256, write_json, write_whole
from metamers.store.lock import LOCK, locked

Record = dict[str, Any]

# What may differ between two calls that continue one study.
_INCIDENTAL = ("command", "created", "metamers", "versions", "device")


class Store:
    """The results of one study in one folder. Nothing is in it before it is whole."""

    def __init__(self, folder: Path | str) -> None:
        self.folder = Path(folder)

    @classmethod
    def open(cls, folder: Path | str) -> "Store":
        """The store of an existing run. Raises MetamersError where there is none."""
        store = cls(folder)
        store.study()
        return store

    def begin(self, study: Mapping[str, Any]) -> None:
        """Start or continue `study` here. Raises MetamersError where another study, or something else, is."""
        self.require_free()
        if (self.folder / "study.yaml").is_file():
            differing = _first_difference(self.study(), study)
            if differing:
                raise MetamersError(f"{self.folder}: holds another study (its {differing}); choose another --out")
            return
        text = yaml.safe_dump(dict(study), sort_keys=False, allow_unicode=True)
        write_whole(self.folder / "study.yaml", text.encode())

    def locked(self, say: Callable[[str], None] = lambda note: None) -> AbstractContextManager[None]:
        """Own the run while working on it: see `metamers.store.lock.locked`."""
        return locked(self.folder, say)

    def require_free(self) -> None:
        """Raises MetamersError where something is that is no run."""
        with clear_disk_errors(self.folder):
            if (self.folder / "study.yaml").is_file():
                return
            # What a killed process left of its first file, or its lock, is nothing.
            if self.folder.is_file() or (
                self.folder.is_dir()
                and any(not is_temporary(path) and path.name != LOCK for path in self.folder.iterdir())
            ):
                raise MetamersError(f"{self.folder}: exists and is not a run; choose a new or empty --out")

    def study(self) -> Record:
        """The study as resolved. Raises MetamersError where there is none, or a damaged one."""
        path = self.folder / "study.yaml"
        if not path.is_file():
            raise MetamersError(
                f"{self.folder}: not a run (it has no study.yaml); make one with `metamers make ... --out`"
            )
        try:
            study = yaml.safe_load(path.read_text(encoding="utf-8"))
        except OSError as error:
            raise MetamersError(f"{path}: cannot be read ({error.strerror}); repair its permissions") from error
        except (yaml.YAMLError, UnicodeDecodeError):
            study = None
        if not isinstance(study, dict):
            raise MetamersError(f"{path}: damaged; make the run anew under another --out")
        return study

    def path(self, relative: str) -> Path:
        """The file of a relative path. Raises MetamersError for one that leads out of the run."""
        path = self.folder / relative
        if not path.resolve().is_relative_to(self.folder.resolve()):
            raise MetamersError(f"{self.folder}: a record names {relative!r}, which lies outside the run; refused")
        return path

    def add_references(self, size: str, suffix: str, files: Iterable[tuple[str, bytes]]) -> dict[str, tuple[str, str]]:
        """Write references, as fitted to a model's input size, once: id -> (relative file, SHA-256 of its bytes)."""
        written = {}
        for reference, content in files:
            relative, digest = f"references/{size}/{slug(reference)}{suffix}", sha256(content)
            path = self.folder / relative
            if not path.is_file() or sha256(path.read_bytes()) != digest:
                write_whole(path, content)
            written[reference] = (relative, digest)
        return written

    def commit(self, record: Record, files: Mapping[str, bytes]) -> None:
        """Write a batch: its files first, its record last."""
        for relative, content in files.items():
            write_whole(self.path(relative), content)
        write_json(self.folder / "batches" / f"{record['id']}.json", record)

    def has_batch(self, batch_id: str) -> bool:
        """Whether the batch's record is there, and so its cells."""
        return (self.folder / "batches" / f"{batch_id}.json").is_file()

    def batches(self) -> list[Record]:
        """All batch records: models and their stages in the order of the study, then by id."""
        models = self.study().get("models") or []
        pairs = [(model.get("name"), stage) for model in models for stage in model.get("stages") or []]
        places = {pair: i for i, pair in enumerate(pairs)}
        records = self._records("batches")
        return sorted(records, key=lambda r: places.get((r.get("model"), r.get("stage")), len(places)))

    def commit_responses(self, record: Record) -> None:
        """Write a record of responses, in place of an older one of its id."""
        write_json(self.folder / "responses" / f"{record['id']}.json", record)

    def drop_responses(self, record_id: str) -> None:
        """Remove a record of responses."""
        with clear_disk_errors(self.folder):
            (self.folder / "responses" / f"{record_id}.json").unlink()

    def responses(self) -> list[Record]:
        """All response records, by id."""
        return self._records("responses")

    def commit_robustness(self, record: Record) -> None:
        """Write a record of how a model stands an attack, in place of an older one of its id."""
        write_json(self.folder / "robustness" / f"{record['id']}.json", record)

    def robustness(self) -> list[Record]:
        """All records of attacks, by id."""
        return self._records("robustness")

    def null_path(self, model: str, stage: str, key: str) -> Path:
        """Where the null distribution with this key is cached."""
        return self.folder / "null" / slug(model) / slug(stage) / f"{slug(key)}.json"

    def nulls(self) -> list[Record]:
        """All cached null distributions."""
        return [read_json(path) for path in sorted((self.folder / "null").glob("*/*/*.json"))]

    def _records(self, kind: str) -> list[Record]:
        return [read_json(path) for path in sorted((self.folder / kind).glob("*.json"))]


def record_id(parts: Sequence[str], readable: str) -> str:
    """A record's id: readable, with twelve digits of the hash of all that determines its content."""
    digest = sha256("\n".join(parts).encode())
    return f"{slug(readable)[:80]}-{digest[:12]}"


def _first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """Where two studies differ first, as `recipe steps is 20, not 400`."""
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old, 1)), dict(enumerate(new, 1))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [key for key in dict.fromkeys([*old, *new]) if where or key not in _INCIDENTAL]
        found = (_first_difference(old.get(key), new.get(key), f"{where} {key}".strip()) for key in keys)
        return next(filter(None, found), None)
    if isinstance(old, list) and isinstance(new, list):
        return f"number of {where} is {len(old)}, not {len(new)}"
    return None if old == new else f"{where} is {_short(old)}, not {_short(new)}"


def _short(value: Any) -> str:
    if isinstance(value, list | Mapping):
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= 40 else text[:37] + "..."
