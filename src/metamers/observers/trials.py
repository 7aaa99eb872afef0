"""Trials of people, read from CSV files and checked."""

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from metamers.errors import MetamersError, nearest
from metamers.store import read_csv_rows

FIELDS = ("participant", "stimulus", "response", "condition", "label", "rt", "session", "trial")
NEEDED = FIELDS[:3]
UNITS = {"s": 1000.0, "ms": 1.0}
"""Units of response times, in milliseconds."""

MODEL_VS_HUMAN = {
    **{"participant": "subj", "stimulus": "imagename", "response": "object_response", "condition": "condition"},
    **{"label": "category", "rt": "rt", "session": "session", "trial": "trial"},
}
"""The columns of github.com/bethgelab/model-vs-human (Geirhos et al., 2021); response times are in seconds."""
OWN = {"participant": "participant", "stimulus": "cell", "response": "response", "label": "label", "rt": "rt_ms"}
"""The columns of this package's table of responses; response times are in milliseconds."""

PREFERENCES = ({"first_cell", "second_cell"}, {"pair", "condition", "other", "chosen"})
"""Columns of the tables of an experiment in which candidates were compared and nothing was named."""

_NONE = ("", "na", "nan", "none", "null")
_LONGEST_S, _SHORTEST_MS = 100.0, 10.0


@dataclass(frozen=True)
class Trial:
    """What one person answered to one stimulus; `row` is the line in the file, whose header is row 1."""

    row: int
    participant: str
    stimulus: str
    condition: str | None
    label: str | None
    response: str | None
    rt_ms: float | None


@dataclass(frozen=True)
class TrialFile:
    """The trials of a file, the names of its columns by field, and the SHA-256 of its bytes and of how it was read."""

    path: Path
    trials: list[Trial]
    columns: Mapping[str, str]
    digest: str

    def error(self, row: int, field: str, problem: str) -> MetamersError:
        """The error that a cell of the file has a problem."""
        return MetamersError(f"{self.path}, row {row}, column '{self.columns[field]}': {problem}")


def read_trials(path: Path, columns: Mapping[str, str] | None = None, rt_unit: str | None = None) -> TrialFile:
    """The trials of a CSV file (commas, semicolons or tabs; UTF-8; the case of the header does not matter).

    `columns` names the column of each field of `FIELDS` that there is; None for a file of model-vs-human or of this
    package, told by its header. `rt_unit` is s or ms; None for theirs. "na" and empty cells hold nothing.

    Raises MetamersError, naming file, row and column, for preferences of an experiment with pairs, a column
    that is missing or named twice, a row of another
    length, a trial without participant or stimulus, a response time that is no number or not of the unit, and two rows
    of one trial.
    """
    names, rows = read_csv_rows(path, "responses", "trial")
    header = [name.lower() for name in names]
    if any(own <= set(header) for own in PREFERENCES):
        raise MetamersError(
            f"responses '{path}' are preferences between two candidates, which name nothing; import none"
        )
    columns, unit = _format(header, columns, rt_unit, path)
    places = {field: header.index(column.lower()) for field, column in columns.items()}
    how = "\n".join([unit or "", *(f"{field}={column}" for field, column in sorted(columns.items()))])
    file = TrialFile(path, [], columns, hashlib.sha256(path.read_bytes() + how.encode()).hexdigest())
    seen: dict[tuple[str, ...], int] = {}
    for number, row in rows:
        values = {field: _value(row[place]) for field, place in places.items()}
        file.trials.append(_trial(file, number, values, unit))
        key = (values["participant"] or "", values.get("session") or "", values.get("trial") or "")
        if key[2] and (first := seen.setdefault(key, number)) != number:
            raise file.error(
                number, "trial", f"trial {key[2]} of participant {key[0]!r} is in row {first} too; keep one"
            )
    return file


def _format(
    header: list[str], columns: Mapping[str, str] | None, rt_unit: str | None, path: Path
) -> tuple[Mapping[str, str], str | None]:
    """The column of each field, and the unit of the response times where there are any."""
    if columns is not None:
        unknown = next((field for field in columns if field not in FIELDS), None)
        if unknown is not None:
            raise MetamersError(f"no field {unknown!r}; there are {', '.join(FIELDS)}{nearest(unknown, FIELDS)}")
        unit = rt_unit
    elif {"subj", "object_response", "imagename"} <= set(header):
        columns = {field: column for field, column in MODEL_VS_HUMAN.items() if field in NEEDED or column in header}
        unit = rt_unit or "s"
    elif {"participant", "cell", "response"} <= set(header):
        columns = {field: column for field, column in OWN.items() if field in NEEDED or column in header}
        unit = rt_unit or "ms"
    else:
        raise MetamersError(
            f"responses '{path}' have the columns {', '.join(header)}, of no known kind; say which are which: "
            "--columns participant=NAME stimulus=NAME response=NAME"
        )
    for field in NEEDED:
        if field not in columns:
            raise MetamersError(f"the column of {field!r} is not named; add {field}=NAME to --columns")
    for field, column in columns.items():
        if header.count(column.lower()) != 1:
            there = "no" if column.lower() not in header else "more than one"
            raise MetamersError(
                f"responses '{path}' have {there} column '{column}' (for {field}){nearest(column, header)}; "
                f"there are {', '.join(header)}"
            )
    if "rt" not in columns:
        return columns, None
    if unit not in UNITS:
        given = "is not known" if unit is None else f"is {unit!r}"
        raise MetamersError(f"responses '{path}': the unit of column '{columns['rt']}' {given}; give --rt-unit s or ms")
    return columns, unit


def _trial(file: TrialFile, row: int, values: Mapping[str, str | None], unit: str | None) -> Trial:
    participant, stimulus = values["participant"], values["stimulus"]
    if participant is None:
        raise file.error(row, "participant", "empty; name the participant")
    if stimulus is None:
        raise file.error(row, "stimulus", "empty; name the stimulus")
    rt = values.get("rt")
    return Trial(
        *(row, participant, stimulus, values.get("condition"), values.get("label"), values["response"]),
        rt_ms=None if rt is None or unit is None else _milliseconds(file, row, rt, unit),
    )


def _milliseconds(file: TrialFile, row: int, text: str, unit: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value) or value < 0:
        raise file.error(row, "rt", f"{text!r} is no response time; give a number of {unit}, or nothing")
    # People need longer than 10 ms, and experiments with a time limit less than 100 s.
    if unit == "s" and value > _LONGEST_S:
        raise file.error(row, "rt", f"{text} s looks like milliseconds; give all in one unit and --rt-unit ms")
    if unit == "ms" and value < _SHORTEST_MS:
        raise file.error(row, "rt", f"{text} ms looks like seconds; give all in one unit and --rt-unit s")
    return round(value * UNITS[unit], 3)


def _value(cell: str) -> str | None:
    return None if cell.lower() in _NONE else cell
