"""A run's folder: the study as resolved, references, metamers, nulls, batch records and tables."""

import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import yaml

from metamers.errors import MetamersError
from metamers.store.cell import slug
from metamers.store.files import clear_disk_errors, is_temporary, read_json, sha256, write_json, write_whole
from metamers.store.identity import (
    Hashes,
    agree,
    changes,
    is_part,
    merged,
    require_names_free,
    stages_of,
    without_cells,
)
from metamers.store.lock import LOCK, Tell, locked

Record = dict[str, Any]

FORMAT = 5
"""Of a run's folder; of another, nothing is read."""

# What may differ between two calls that continue one study.
_INCIDENTAL = ("format", "command", "created", "metamers", "versions", "device", "criterion")

# libyaml's, where it is there, is some ten times as fast: a study may hold the names of a thousand classes.
_LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

STIMULI = "stimuli.json"
_MADE = ("batches", "metamers", "unrounded", "references", "null", "controls", "tables", "analyses", "figures")


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

    def begin(
        self, study: Mapping[str, Any], stimuli: Hashes | None = None, *, beside: bool = False, replace: bool = False
    ) -> bool:
        """Start or continue `study` here, and whether it is another state of it than before; `stimuli` gives the hashes
        of its stimuli.

        With `beside`, its models, stages, recipes and seeds may be others than before, whose cells stay beside the new.
        With `replace`, what cannot be continued is cleared.
        Raises MetamersError where another study, or something else, is, and where cells of another model or recipe of
        the same name are.
        """
        self.require_free()
        hashes = merged(self._stimuli(), stimuli or {})
        if (self.folder / "study.yaml").is_file():
            try:
                if _first_difference(self.study(), study) is None:
                    return False
                self.require_same(study, beside=beside)
            except MetamersError:
                if not replace:
                    raise
                self._clear()
                hashes = stimuli or {}
        write_json(self.folder / STIMULI, hashes)
        text = yaml.safe_dump({"format": FORMAT, **study}, sort_keys=False, allow_unicode=True)
        write_whole(self.folder / "study.yaml", text.encode())
        return True

    def changed_stimuli(self, study: Mapping[str, Any], stimuli: Hashes) -> list[str]:
        """Which stimuli of the sets that `study` names are no longer those of the run, as `'a.png' has changed`."""
        if not (self.folder / "study.yaml").is_file():
            return []
        before, old = self.study(), self._stimuli()
        same = [kind for kind in stimuli if (study.get(kind) or {}).get("spec") == (before.get(kind) or {}).get("spec")]
        found = [
            f"'{id_}' {what}"
            for kind in same
            for size, hashes in stimuli[kind].items()
            for id_, what in changes(old.get(kind, {}).get(size, hashes), hashes)
        ]
        return list(dict.fromkeys(found))

    def require_same(self, study: Mapping[str, Any], *, beside: bool) -> None:
        """Raises MetamersError where `begin` would."""
        if not (self.folder / "study.yaml").is_file():
            return
        old = self.study()
        compared = (without_cells(old, study), without_cells(study, old)) if beside else (old, study)
        if differing := _first_difference(*compared):
            raise MetamersError(f"{self.folder}: holds another study (its {differing}); choose another --out")
        require_names_free(str(self.folder), self.all_batches(), study)

    def _clear(self) -> None:
        """Delete what was made: records first, so that none names a file that is gone.

        What people answered, and how models stand attacks, stays, and so does what is not of the store. The study
        stays until another takes its place, so that whoever is killed here can begin again.
        """
        with clear_disk_errors(self.folder):
            for record in self.all_responses():
                if record.get("observer") != "human":
                    self.drop_responses(record["id"])
            for name in _MADE:
                shutil.rmtree(self.folder / name, ignore_errors=True)
            (self.folder / "report.html").unlink(missing_ok=True)

    def locked(self, say: Callable[[str], None] = lambda note: None) -> AbstractContextManager[Tell]:
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
                and any(not is_temporary(path) and path.name not in (LOCK, STIMULI) for path in self.folder.iterdir())
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
            study = yaml.load(path.read_text(encoding="utf-8"), _LOADER)
        except OSError as error:
            raise MetamersError(f"{path}: cannot be read ({error.strerror}); repair its permissions") from error
        except (yaml.YAMLError, UnicodeDecodeError):
            study = None
        if not isinstance(study, dict):
            raise MetamersError(f"{path}: damaged; make the run anew under another --out")
        if study.get("format") != FORMAT:
            raise MetamersError(
                f"{path}: written by metamers {study.get('metamers')} in format {study.get('format')}, not {FORMAT}; "
                "use that version, or make the run anew under another --out"
            )
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
        write_json(self.batch_path(record["model"], record["stage"], record["id"]), record)

    def batch_path(self, model: str, stage: str, id_: str) -> Path:
        """The file of a batch's record. Where it is, the batch's cells are."""
        return self.folder / "batches" / slug(model) / slug(stage) / f"{id_}.json"

    def batches(self) -> Iterator[Record]:
        """The batch records of the study, one after another: models and their stages in its order, then by id.

        Batches of other models, stages, recipes and seeds, which an earlier study made here, are left out.
        """
        study = self.study()
        belongs = is_part(study)
        for model, stage in stages_of(study):
            for path in sorted(self.batch_path(model, stage, "").parent.glob("*.json")):
                record = read_json(path)
                if belongs(record):
                    yield record

    def all_batches(self) -> Iterator[Record]:
        """All batch records, those of earlier studies too."""
        return map(read_json, sorted((self.folder / "batches").glob("*/*/*.json")))

    def commit_responses(self, record: Record) -> None:
        """Write a record of responses, in place of an older one of its id."""
        write_json(self.folder / "responses" / f"{record['id']}.json", record)

    def response_record(self, record_id: str) -> Record | None:
        """The record of responses with an id, None where there is none."""
        path = self.folder / "responses" / f"{record_id}.json"
        return read_json(path) if path.is_file() else None

    def drop_responses(self, record_id: str) -> None:
        """Remove a record of responses."""
        with clear_disk_errors(self.folder):
            (self.folder / "responses" / f"{record_id}.json").unlink()

    def responses(self) -> Iterator[Record]:
        """The response records, one after another, by id, but for those of a model that had the name of one of the
        study's and is another."""
        weights = {model["name"]: model.get("weights_hash") for model in self.study().get("models") or []}
        return (
            record
            for record in self.all_responses()
            if record.get("weights_hash") in (None, weights.get(record.get("observer"), record.get("weights_hash")))
        )

    def all_responses(self) -> Iterator[Record]:
        """All response records, one after another, by id."""
        return self._records("responses")

    def commit_robustness(self, record: Record) -> None:
        """Write a record of how a model stands an attack, in place of an older one of its id."""
        write_json(self.folder / "robustness" / f"{record['id']}.json", record)

    def robustness(self) -> Iterator[Record]:
        """All records of attacks, by id."""
        return self._records("robustness")

    def null_path(self, model: str, stage: str, key: str) -> Path:
        """Where the null distribution with this key is cached."""
        return self.folder / "null" / slug(model) / slug(stage) / f"{slug(key)}.json"

    def nulls(self, files: Iterable[str | None]) -> list[Record]:
        """The null distributions in the files that batches name."""
        return [read_json(self.path(file)) for file in dict.fromkeys(files) if file]

    def _records(self, kind: str) -> Iterator[Record]:
        return map(read_json, sorted((self.folder / kind).glob("*.json")))

    def _stimuli(self) -> Hashes:
        path = self.folder / STIMULI
        held: Hashes = read_json(path) if path.is_file() else {}
        return held


def record_id(parts: Sequence[str], readable: str) -> str:
    """A record's id: readable, with twelve digits of the hash of all that determines its content."""
    digest = sha256("\n".join(parts).encode())
    return f"{slug(readable)[:80]}-{digest[:12]}"


def _first_difference(old: Any, new: Any, where: str = "") -> str | None:
    """Where two studies differ first, as `recipe steps is 20, not 400`."""
    if where.endswith("null_hash") and old != new:
        return f"{where.removesuffix(' null_hash')} is judged by other null stimuli"
    if where.endswith("fingerprint"):
        return None if agree(old, new) else f"{where} differs: with the same weights it computes something else"
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = dict(enumerate(old, 1)), dict(enumerate(new, 1))
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        keys = [key for key in dict.fromkeys([*old, *new]) if where or key not in _INCIDENTAL]
        found = (_first_difference(old.get(key), new.get(key), f"{where} {key}".strip()) for key in keys)
        return next(filter(None, found), None)
    if isinstance(old, list) and isinstance(new, list):
        return f"number of {where} is {len(old)}, not {len(new)}"
    if old == new:
        return None
    texts = [f"{len(each)} entries" if isinstance(each, list | Mapping) else str(each) for each in (old, new)]
    alike = next((i for i, (a, b) in enumerate(zip(*texts, strict=False)) if a != b), min(map(len, texts)))
    return f"{where} is {_short(texts[0], alike)}, not {_short(texts[1], alike)}"


def _short(text: str, alike: int) -> str:
    """A text, of a long one what follows the part that is alike."""
    if len(text) <= 40:
        return text
    begin = max(0, min(alike - 10, len(text) - 40))
    return ("..." if begin else "") + text[begin : begin + 40] + ("..." if begin + 40 < len(text) else "")
