"""What participants answered on JATOS: its text is read, and goes through what our own server would have done with it,
so that it is scored, judged and exported alike."""

import csv
import io
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from secrets import token_hex
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from sqlalchemy import Connection, insert

from metamers.errors import MetamersError
from metamers.experiment.database import SESSION, VERSION, open_database
from metamers.experiment.export import collect, export
from metamers.experiment.jatos import Key, read_key
from metamers.experiment.messages import Consent, Environment, Event, Lease
from metamers.experiment.opened import Opened
from metamers.experiment.sessions import RefusedError, Row, Sessions
from metamers.experiment.trials import Design
from metamers.store import write_whole

BEGUN = datetime(2000, 1, 1, tzinfo=UTC)
"""JATOS's text has no times of the day; sessions need some, in their order."""


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Begun(_Line):
    """The decision on the consent form; `list` is that which was dealt, None for who declined."""

    study: str
    list: Annotated[int, Field(ge=0)] | None
    consent: Consent
    environment: Environment


class Reopened(_Line):
    """The page was loaded again; `after`: the number of the last event that was saved."""

    after: Annotated[int, Field(ge=0)]


class Finished(_Line):
    """All was done; `last_seq` as in `Finish`."""

    last_seq: Annotated[int, Field(ge=0)]


class Left(_Line):
    """The participant left for good; `keep`: whether the data may be kept."""

    keep: bool


class Line(_Line):
    """A line of results: one thing of a run, which is a participant's way through the study."""

    run: Lease
    begin: Begun | None = None
    event: Event | None = None
    reopen: Reopened | None = None
    finish: Finished | None = None
    withdraw: Left | None = None

    @model_validator(mode="after")
    def _holds_one_thing(self) -> Self:
        if len(self.model_fields_set) != 2:
            raise ValueError("a line holds a run and one thing that happened")
        return self


@dataclass
class Run:
    """The lines of a run, each kept once. `where` names the first."""

    where: str
    begin: Begun | None = None
    events: dict[int, tuple[Event, str]] = field(default_factory=dict)
    reopened: set[int] = field(default_factory=set)
    last_seq: int | None = None
    keep: bool | None = None
    conflicts: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Scored:
    """A table of the main trials that count, which `import-responses` reads; the number of participants, and of those
    among them who had their data deleted; who does not count and why; lines that differ from what the same run had said
    before, of which the first stands."""

    table: Path
    participants: int
    deleted: int
    excluded: dict[str, str]
    conflicts: list[str]


@dataclass(frozen=True)
class _Dealt(Design):
    """The design behind a key, for a session whose list was dealt by JATOS."""

    key: Key
    number: int

    def list_for(self, in_use: Sequence[int]) -> int:
        return self.number

    def rows(self, session_id: str, number: int) -> list[Row]:
        state = {"session_id": session_id, "state": "waiting", "attempts": 0}
        shown = (trial.model_dump(exclude={"file"}) for trial in self.key.lists[number])
        return [{**trial, **state, "media": token_hex(16)} for trial in shown]


def score(files: Sequence[Path], key_file: Path, out: Path) -> Scored:
    """Read JATOS's plain text of results, all files together, and write what counts to a table in the folder `out`.

    A participant is called as the run is; one with events that the state of their session does not allow does not
    count. Raises MetamersError, naming file and line, for text that no page of the key's archive wrote, and for results
    of which nothing counts.
    """
    key = read_key(key_file)
    runs = _runs(files, key, key_file)
    names = {f"p{i:04d}": run for i, run in enumerate(runs, 1)}
    with tempfile.TemporaryDirectory() as scratch:
        design = Design(key.config, key.stimuli)
        reasons: dict[str, str] = {}
        row = {"hash": key.study, "name": key.config.name, "version": VERSION, "config": {}}
        opened = Opened(key_file, design, key.study, open_database(str(Path(scratch) / "data.sqlite"), row))
        try:
            with opened.engine.begin() as db:
                for i, (name, (run, begin)) in enumerate(runs.items()):
                    if problem := _replay(db, key, name, run, begin, BEGUN + timedelta(seconds=i)):
                        reasons[name] = problem
                if not collect(db, design, ["live"])[0]:
                    raise MetamersError(f"{files[0]}: all {len(runs)} participants had their data deleted; import none")
            export(opened, Path(scratch) / "data", modes=["live"])
        finally:
            opened.engine.dispose()
        answers = list(_rows(Path(scratch) / "data/responses.csv"))
        for reason in _rows(Path(scratch) / "data/exclusions.csv"):
            told = f"{reason['rule']} {reason['value']}"
            name = names[reason["participant"]]
            reasons[name] = f"{reasons[name]}, {told}" if name in reasons else told
    if not answers:
        told = "; ".join(f"{name}: {why}" for name, why in reasons.items())
        raise MetamersError(
            f"{files[0]}: none of its {len(runs)} participants counts ({told}); there is nothing to import"
        )
    # So that a later export with more participants can take its place.
    table = out / f"jatos-{key.study}.csv"
    _write(table, [{**row, "participant": names[row["participant"].partition("-")[0]]} for row in answers])
    deleted = sum(run.keep is False for run, _ in runs.values())
    return Scored(table, len(runs), deleted, reasons, [where for run, _ in runs.values() for where in run.conflicts])


def _runs(files: Sequence[Path], key: Key, key_file: Path) -> dict[str, tuple[Run, Begun]]:
    """The runs by their names, in the order of these, and how each began."""
    runs: dict[str, Run] = {}
    for where, line in (found for path in files for found in _lines(path)):
        _add(runs.setdefault(line.run, Run(where)), line, where)
    if not runs:
        raise MetamersError(f"{files[0]}: holds no results; export them from JATOS as plain text")
    return {name: (run, _begun(run, key, key_file)) for name, run in sorted(runs.items())}


def _begun(run: Run, key: Key, key_file: Path) -> Begun:
    begin = run.begin
    if begin is None:
        raise MetamersError(f"{run.where}: how its run began is missing; export all results of the participant")
    if begin.study != key.study:
        raise MetamersError(f"{run.where}: is of another archive than {key_file}; give the key of its archive")
    agreed = begin.consent.decision == "agreed"
    if agreed != (begin.list is not None) or (begin.list or 0) >= len(key.lists):
        raise MetamersError(f"{run.where}: has no list of the {len(key.lists)} of {key_file}; delete the result")
    return begin


def _lines(path: Path) -> Iterator[tuple[str, Line]]:
    try:
        text = path.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        told = getattr(error, "strerror", None) or "it is no text"
        raise MetamersError(f"{path}: cannot be read ({told}); export the results from JATOS as plain text") from error
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            yield f"{path}, line {number}", Line.model_validate_json(line.strip())
        except ValidationError as error:
            first = error.errors(include_input=False, include_url=False)[0]
            at, problem = ".".join(map(str, first["loc"])), first["msg"].removeprefix("Value error, ")
            told = f"{at}: {problem}" if at else problem
            raise MetamersError(f"{path}, line {number}: {told}; export the results anew, or delete the line") from None


def _add(run: Run, line: Line, where: str) -> None:
    """JATOS may have kept a line twice, as the page sends it again where the reply was lost."""
    same = True
    if line.begin is not None:
        same = run.begin in (None, line.begin)
        run.begin = run.begin or line.begin
    elif line.event is not None:
        same = run.events.setdefault(line.event.seq, (line.event, where))[0] == line.event
    elif line.reopen is not None:
        run.reopened.add(line.reopen.after)
    elif line.finish is not None:
        run.last_seq = max(run.last_seq or 0, line.finish.last_seq)
    elif line.withdraw is not None:
        run.keep = line.withdraw.keep and run.keep is not False
    if not same:
        run.conflicts.append(where)


def _replay(db: Connection, key: Key, name: str, run: Run, begin: Begun, at: datetime) -> str | None:
    """Do with a run's events what our own server does, up to one that cannot be: which, and why."""
    dealt = _Dealt(key.config, key.stimuli, key, begin.list or 0)
    sessions = Sessions(dealt, key.study, "live", b"", lambda: at)  # without identities, nobody is recognized
    when = at.isoformat(timespec="milliseconds")
    row = {"session_id": name, "token_hash": "", "mode": "live", "state": "created", "experiment_hash": key.study}
    db.execute(insert(SESSION).values(**row, created_at=when, last_seen_at=when, last_seq=0, n_resumes=0))
    lease = sessions.open(db, name, None, begin.environment)["lease"]
    if sessions.consent(db, name, begin.consent)["state"] != "running":
        return None
    events = [run.events[seq][0] for seq in sorted(run.events)]
    # Between one opening of the page and the next.
    for after, until in pairwise([0, *sorted(run.reopened - {0}), float("inf")]):
        if after:
            lease = sessions.open(db, name, lease, begin.environment).get("lease", lease)
        part = [event for event in events if after < event.seq <= until]
        told = sessions.take(db, name, lease, part) if part else {}
        # Who fails a gate goes on there, as nothing on JATOS may know what is right; what follows does not count.
        if "refused" in told and told["state"] == "running":
            seq, reason = told["refused"]["seq"], told["refused"]["reason"]
            return f"{run.events[seq][1]}: event {seq} cannot be: {reason}"
    _finish(db, sessions, name, lease, run)
    return None


def _finish(db: Connection, sessions: Sessions, name: str, lease: str, run: Run) -> None:
    if run.keep is not None:
        sessions.withdraw(db, name, lease, run.keep)
    elif run.last_seq is not None:
        # Where not all is there, it does not count as finished.
        with suppress(RefusedError):
            sessions.finish(db, name, lease, run.last_seq)


def _rows(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    write_whole(path, text.getvalue().encode())
