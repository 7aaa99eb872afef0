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
from metamers.store.lock import LOCK, Tell, locked

Record = dict[str, Any]

FORMAT = 2
"""Of a run's folder; of another, nothing is read."""

# What may differ between two calls that continue one study.
_INCIDENTAL = ("format", "command", "created", "metamers", "versions", "device")

_STIMULI = "stimuli.json"


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
        self, study: Mapping[str, Any], stimuli: Mapping[str, Mapping[str, str]] | None = None, *, beside: bool = False
    ) -> None:
        """Start or continue `study` here; `stimuli` gives the hashes of its sets of stimuli, by their ids.

        With `beside`, its models, stages, recipes and seeds may be others than before, whose cells stay beside the new.
        Raises MetamersError where another study, or something else, is, and where cells of another model or recipe of
        the same name are.
        """
        self.require_free()
        if (self.folder / "study.yaml").is_file():
            old = self.study()
            compared = (_without_cells(old, study), _without_cells(study, old)) if beside else (old, study)
            if differing := _first_difference(*compared):
                raise MetamersError(f"{self.folder}: holds another study (its {differing}); choose another --out")
            if not _first_difference(old, study):
                return
            self._require_names_free(study)
        write_json(self.folder / _STIMULI, stimuli or {})
        text = yaml.safe_dump({"format": FORMAT, **study}, sort_keys=False, allow_unicode=True)
        write_whole(self.folder / "study.yaml", text.encode())

    def changed_stimuli(self, study: Mapping[str, Any], stimuli: Mapping[str, Mapping[str, str]]) -> list[str]:
        """Which stimuli of the sets that `study` names are no longer those of the run, as `'a.png' has changed`."""
        path = self.folder / _STIMULI
        old = read_json(path) if path.is_file() else {}
        before = self.study() if old else {}
        return [
            f"'{id_}' {what}"
            for kind, hashes in stimuli.items()
            if (study.get(kind) or {}).get("spec") == (before.get(kind) or {}).get("spec")
            for id_, what in _changes(old.get(kind, {}), hashes)
        ]

    def clear(self) -> None:
        """Delete all that the run holds: its records first, so that none names a file that is gone, the study last."""
        with clear_disk_errors(self.folder):
            for name in ("responses", "robustness", "batches"):
                shutil.rmtree(self.folder / name, ignore_errors=True)
            for path in sorted(self.folder.iterdir(), key=lambda path: path.name == "study.yaml"):
                if path.is_dir():
                    shutil.rmtree(path)
                elif path.name != LOCK:
                    path.unlink()

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
        for model, stage in stages_of(study):
            for path in sorted(self.batch_path(model, stage, "").parent.glob("*.json")):
                record = read_json(path)
                if is_part(record, study):
                    yield record

    def all_batches(self) -> Iterator[Record]:
        """All batch records, those of earlier studies too."""
        return map(read_json, sorted((self.folder / "batches").glob("*/*/*.json")))

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
        """The cached null distributions of the study's models and stages."""
        folders = [self.null_path(model, stage, "").parent for model, stage in stages_of(self.study())]
        return [read_json(path) for folder in folders for path in sorted(folder.glob("*.json"))]

    def _records(self, kind: str) -> list[Record]:
        return [read_json(path) for path in sorted((self.folder / kind).glob("*.json"))]

    def _require_names_free(self, study: Mapping[str, Any]) -> None:
        """Raises MetamersError where cells of an earlier study would have the names, and so the files, of others."""
        recipes = {recipe["name"] for recipe in study["recipes"]}
        pairs = set(stages_of(study))
        for record in self.all_batches():
            same = (record["model"], record["stage"]) in pairs and record["recipe"] in recipes
            if same and record["seed"] in study["seeds"] and not is_part(record, study):
                raise MetamersError(
                    f"{self.folder}: holds cells of another model {record['model']!r} or recipe {record['recipe']!r}; "
                    "remove them with `metamers clean`, or choose another --out"
                )


def stages_of(study: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The models of a study with each of their stages."""
    return [(model["name"], stage) for model in study["models"] for stage in model["stages"]]


def is_part(record: Record, study: Mapping[str, Any]) -> bool:
    """Whether a batch's cells are among those of a study: of its models, as they are, stages, recipes and seeds."""
    weights = {model["name"]: model["weights_hash"] for model in study["models"]}
    return (
        (record["model"], record["stage"]) in stages_of(study)
        and record["weights_hash"] == weights[record["model"]]
        and record["settings"] in study["recipes"]
        and record["seed"] in study["seeds"]
    )


def record_id(parts: Sequence[str], readable: str) -> str:
    """A record's id: readable, with twelve digits of the hash of all that determines its content."""
    digest = sha256("\n".join(parts).encode())
    return f"{slug(readable)[:80]}-{digest[:12]}"


def is_asked(response: Record, study: Mapping[str, Any]) -> bool:
    """Whether a response is to a stimulus of a study: a reference, a start or metamer, or an untrained model's."""
    stages = set(stages_of(study))
    of = response["model"]
    if response.get("control") == "untrained":
        of = of.removeprefix("untrained-")
    return (
        (of is None or (of, response["stage"]) in stages)
        and (response["recipe"] is None or response["recipe"] in {recipe["name"] for recipe in study["recipes"]})
        and (response["seed"] is None or response["seed"] in study["seeds"])
    )


def _without_cells(study: Mapping[str, Any], other: Mapping[str, Any]) -> Record:
    """A study but for what its cells are of: what it and the other have in common of models and recipes remains."""
    models = {model["name"] for model in other["models"]}
    recipes = {recipe["name"] for recipe in other["recipes"]}
    return {
        **study,
        "seeds": None,
        "recipes": {recipe["name"]: recipe for recipe in study["recipes"] if recipe["name"] in recipes},
        "models": {m["name"]: {**m, "stages": None} for m in study["models"] if m["name"] in models},
    }


def _changes(old: Mapping[str, str], new: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for id_ in dict.fromkeys([*old, *new]):
        if old.get(id_) != new.get(id_):
            yield id_, "is new" if id_ not in old else "is gone" if id_ not in new else "has changed"


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
