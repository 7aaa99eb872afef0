"""People as observers: their responses, matched with the stimuli of a run."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path, PurePosixPath

from metamers.errors import MetamersError, nearest
from metamers.labels import LabelSpace
from metamers.observers.model_observer import some
from metamers.observers.shown import shown
from metamers.observers.trials import Trial, TrialFile, read_trials
from metamers.store import Record, Store, record_id
from metamers.store.current import UNTRAINED

HUMAN = "human"


def import_responses(
    store: Store,
    files: Sequence[Path],
    *,
    columns: Mapping[str, str] | None = None,
    rt_unit: str | None = None,
    space: LabelSpace | None = None,
    replace: bool = False,
) -> list[Record]:
    """Store the responses of people to what a run shows; the records, those that were there already included.

    With `replace`, what was imported from files of the same names goes; folders do not count, as they move.

    A trial's stimulus is named by its cell, its file or its reference; where that leaves several, its condition tells
    the stage: STAGE, MODEL/STAGE or "natural". `space` holds the labels that people could choose from; without it, all
    that are seen; where it lacks a stimulus's label, the trial's own label stands for it, and without one the response
    has no score. No answer is a wrong one (as in model-vs-human). Other arguments as of `read_trials`.

    Raises MetamersError, naming file, row and column and before anything is stored, as `read_trials` does and for a
    stimulus that the run does not show, labels that are not the run's or not in `space`, a person who saw one stimulus
    twice, responses none of which is a label of the stimuli, and a name to replace that several imported files have.
    """
    stimuli = list(shown(store, ("untrained",) if (store.path(UNTRAINED) / "study.yaml").is_file() else ()))
    if not stimuli:
        raise MetamersError(
            f"{store.folder}: shows nothing that people could have seen; make some with `metamers make`"
        )
    lookup = _Lookup(stimuli)
    people = [record for record in store.responses() if record.get("observer") == HUMAN]
    replaced = _of_names(store, people, {path.name for path in files}) if replace else []
    known = {record["id"]: record for record in people if record not in replaced}
    seen = {(row["participant"], row["cell"]): record for record in known.values() for row in record["responses"]}
    records = []
    for path in files:
        file = read_trials(path, columns, rt_unit)
        id_ = record_id([file.digest, space.name if space else ""], f"{HUMAN}.{path.stem}")
        records.append(known.get(id_) or _record(id_, file, lookup, space, seen))
        seen |= {(row["participant"], row["cell"]): records[-1] for row in records[-1]["responses"]}
    for record in records:
        if record["id"] not in known:
            store.commit_responses(record)
    for record in replaced:
        if record["id"] not in {new["id"] for new in records}:
            store.drop_responses(record["id"])
    return records


def _of_names(store: Store, people: Iterable[Record], names: Iterable[str]) -> list[Record]:
    """The record that was imported from each of these file names, where there is one."""
    found = {name: [record for record in people if record["source"] == name] for name in sorted(names)}
    for name, records in found.items():
        if len(records) > 1:
            files = " or ".join(f"responses/{record['id']}.json" for record in records)
            raise MetamersError(
                f"{store.folder}: {len(records)} files of the name {name!r} were imported, so it is unknown which to "
                f"replace; delete its {files} and import without --replace"
            )
    return [record for records in found.values() for record in records]


class _Lookup:
    """Finds stimuli by their cell or file or, if need be, by the name of their file or reference, and by condition."""

    def __init__(self, stimuli: Sequence[Record]) -> None:
        self.labels = tuple(dict.fromkeys(s["label"] for s in stimuli if s["label"] is not None))
        self._exact = {s[key]: s for s in stimuli for key in ("file", "cell")}
        self._named: dict[str, list[Record]] = {}
        self._conditions = {condition for s in stimuli for condition in _conditions(s)}
        for stimulus in stimuli:
            paths = [PurePosixPath(stimulus[key]) for key in ("file", "reference")]
            for name in {stimulus["reference"], *(path.name for path in paths), *(path.stem for path in paths)}:
                self._named.setdefault(name, []).append(stimulus)

    def find(self, trial: Trial, file: TrialFile) -> Record:
        if trial.stimulus in self._exact:
            return self._exact[trial.stimulus]
        path, found = PurePosixPath(trial.stimulus), list[Record]()
        for name in (trial.stimulus, path.name, path.stem):
            found = found or self._of_condition(self._named.get(name, []), trial.condition)
        if len(found) == 1:
            return found[0]
        where = f"{trial.stimulus!r}" + (f" in condition {trial.condition!r}" if trial.condition else "")
        if not found:
            hint = nearest(trial.stimulus, self._named)
            raise file.error(trial.row, "stimulus", f"the run shows no {where}{hint or '; give its file in the run'}")
        cells = some([stimulus["cell"] for stimulus in found], 2)
        raise file.error(
            trial.row, "stimulus", f"{where} may be {cells}; give its file, or a condition: MODEL/STAGE or natural"
        )

    def _of_condition(self, stimuli: list[Record], condition: str | None) -> list[Record]:
        if condition not in self._conditions:
            return stimuli
        return [stimulus for stimulus in stimuli if condition in _conditions(stimulus)]


def _conditions(stimulus: Record) -> tuple[str, ...]:
    """The conditions that name where a stimulus is from; one of an untrained model needs the model's name."""
    where = f"{stimulus['model']}/{stimulus['stage']}"
    return (where,) if stimulus["control"] else (where, stimulus["stage"])


def _record(
    id_: str,
    file: TrialFile,
    lookup: _Lookup,
    space: LabelSpace | None,
    seen: Mapping[tuple[str, str], Record],
) -> Record:
    rows: list[Record] = []
    row_of: dict[tuple[str, str], int] = {}
    for trial in file.trials:
        rows.append(_row(trial, file, lookup.find(trial, file), space))
        key = trial.participant, rows[-1]["cell"]
        twice = f"participant {trial.participant!r} has answered to {rows[-1]['cell']!r}"
        if key in seen:
            where = f"in {seen[key]['source']} already"
            raise file.error(
                trial.row, "stimulus", f"{twice} {where}; keep one, or import a corrected file with --replace"
            )
        if (first := row_of.setdefault(key, trial.row)) != trial.row:
            raise file.error(trial.row, "stimulus", f"{twice} in row {first} already; keep one")
    labels, responses = (_different(row[key] for row in rows) for key in ("label", "response"))
    if not set(labels) & set(responses):
        raise MetamersError(
            f"{file.path}: no response ({some(responses)}) is a label of the stimuli ({some(labels)}); mend them"
        )
    choices = space.labels if space else {*lookup.labels, *labels, *responses}
    return {
        **{"id": id_, "observer": HUMAN, "source": file.path.name, "labels": space.name if space else None},
        **{"n_labels": len(choices), "responses": rows},
    }


def _row(trial: Trial, file: TrialFile, stimulus: Record, space: LabelSpace | None) -> Record:
    label = stimulus["label"]
    if space is not None:
        for field, value in (("label", trial.label), ("response", trial.response)):
            if value is not None and value not in space.labels:
                hint = nearest(value, space.labels)
                raise file.error(trial.row, field, f"{value!r} is none of the labels '{space.name}'{hint}")
        label = space.known(label)
    label = label or trial.label
    if trial.label not in (None, label):
        raise file.error(
            trial.row,
            "label",
            f"{trial.label!r}, but in the run {stimulus['cell']!r} is {label!r}; correct one, or "
            "give the --labels that have both",
        )
    keys = ("cell", "model", "stage", "recipe", "reference", "seed", "sha256", "control")
    return {
        **{key: stimulus[key] for key in keys},
        **{"observer": HUMAN, "observer_kind": HUMAN, "participant": trial.participant},
        **{"label": label or stimulus["label"], "response": trial.response},
        **{"correct": None if label is None else trial.response == label, "rt_ms": trial.rt_ms},
    }


def _different(values: Iterable[str | None]) -> list[str]:
    return list(dict.fromkeys(value for value in values if value is not None))
