"""Two hundred participants whose connection, browser and disk of the server fail."""

import asyncio
import json
import random
from collections import Counter
from datetime import UTC, datetime

from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError
from tests.experiment.conftest import LABELS, asked, write_experiment

from metamers.experiment import server
from metamers.experiment.database import CONFLICT, EVENT, IDENTITY, RESPONSE, SESSION, TRIAL, Writer, connect
from metamers.experiment.messages import Event
from metamers.experiment.opened import DATABASE, open_experiment
from metamers.experiment.sessions import Sessions

PARTICIPANTS, SEED = 200, 5
ENDED = ("finished", "screened_out")


class Person:
    """A participant at a browser that does what the page does. `kept` are the events that were acknowledged."""

    def __init__(self, app, labels, number, counts):
        self.app, self.labels, self.counts = app, labels, counts
        self.rng, self.name = random.Random(f"{SEED} {number}"), f"person{number}"
        self.cookie, self.lease, self.seq, self.outbox, self.kept = "", None, 0, [], {}
        self.state, self.codes, self.whole = "created", set(), False

    def happens(self, fault, p):
        happens = self.rng.random() < p
        self.counts[fault] += happens
        return happens

    async def ask(self, path, message):
        """Ask until an answer comes through."""
        while True:
            copies = 2 if path != "/api/sessions" and self.happens("doubled", 0.1) else 1
            headers = {"content-type": "application/json", "cookie": self.cookie}
            sent = (asked(self.app, "POST", path, json.dumps(message).encode(), headers) for _ in range(copies))
            replies = [(status, given, json.loads(body)) for status, given, body in await asyncio.gather(*sent)]
            for status, _, told in replies:
                assert status in (200, 201, 409, 503), told
                if told.get("code"):
                    assert self.whole or told["state"] == "screened_out"
                    self.codes.add(told["code"])
            status, given, told = replies[-1]
            if status == 503:
                self.counts["disk"] += 1
            elif not self.happens("lost", 0.1):
                self.cookie = given.get("set-cookie", self.cookie).partition(";")[0]
                return status, told

    async def open(self):
        next_lease = f"{self.rng.getrandbits(128):032x}"
        status, told = await self.ask("/api/open", {"lease": self.lease, "next_lease": next_lease})
        assert status == 200, told  # whatever answers were lost
        self.lease, self.state = told.get("lease"), told["state"]
        shown = {e["trial"] for e in self.kept.values() if e["type"] == "shown"}
        assert not shown & {trial["trial"] for trial in told.get("trials", [])}
        return told

    def note(self, kind, **more):
        self.seq += 1
        self.outbox.append({"seq": self.seq, "type": kind, "t_ms": float(self.seq), **more})

    async def send(self, events):
        status, told = await self.ask("/api/events", {"lease": self.lease, "events": events})
        assert status == 200 and "refused" not in told and not told["conflicts"], told
        self.state = told["state"]
        return told["ack"]

    async def flush(self):
        while self.outbox and self.state == "running":
            n = self.rng.randint(1, len(self.outbox))
            if n < len(self.outbox) and self.happens("reordered", 0.2):
                assert await self.send(self.outbox[n:]) == len(self.kept)  # nothing is kept after a gap
            ack = await self.send(self.outbox[:n])
            assert ack == self.outbox[n - 1]["seq"]
            self.kept |= {e["seq"]: e for e in self.outbox[:n]}
            self.outbox = self.outbox[n:]

    async def reload(self):
        if self.happens("forgotten", 0.3):  # what the browser held is gone with it
            self.outbox = []
        else:
            await self.flush()
        told = await self.open()
        self.seq = told["last_seq"]
        return told.get("trials", [])

    def look(self, trial):
        if self.rng.random() < 0.1:
            self.note("blur")
        self.note("shown", trial=trial["trial"])

    def answer(self, trial):
        right = self.labels[self.cookie.partition("=")[2].partition(".")[0]][trial["trial"]]
        response = right if self.rng.random() < 0.7 else self.rng.choice(LABELS)
        self.note("answered", trial=trial["trial"], answer={"response": response, "rt_ms": 400.0})

    async def begin(self):
        await self.ask("/api/sessions", {"recruited": {"source": "prolific", "external_id": self.name}})
        await self.open()
        consent = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
        _, told = await self.ask("/api/consent", consent)
        self.state = told["state"]
        return told["trials"]

    async def visit(self):
        trials = await self.begin()
        while trials and self.state == "running":
            if self.happens("left", 0.04):
                return
            if self.happens("early", 0.05):
                status, told = await self.ask("/api/finish", {"lease": self.lease, "last_seq": self.seq})
                assert status == 409 and "code" not in told
            part = [t for t in trials[: self.rng.randint(1, 3)] if t["phase"] == trials[0]["phase"]]
            trials = trials[len(part) :]
            broken = self.happens("reloaded", 0.1)
            for trial in part:
                self.look(trial)
                if not (broken and trial is part[-1]):
                    self.answer(trial)
            if broken:
                trials = await self.reload()
            else:
                await self.flush()
        if self.state == "running":
            self.whole = not self.outbox
            status, told = await self.ask("/api/finish", {"lease": self.lease, "last_seq": self.seq})
            assert status == 200 and told["code"], told
            self.state = told["state"]


class Labels(dict):
    """What people know by looking: the labels of a session's trials."""

    def __init__(self, engine):
        self.engine = engine

    def __missing__(self, session_id):
        with self.engine.connect().execution_options(reading=True) as db:
            found = select(TRIAL.c.trial_no, TRIAL.c.label).where(TRIAL.c.session_id == session_id)
            self[session_id] = {row.trial_no: row.label for row in db.execute(found)}
        return self[session_id]


def failing(engine, rng):
    """Let the disk fail now and then, within a transaction and at its end."""

    def fail(*_):
        if rng.random() < 0.02:
            raise OperationalError("COMMIT", {}, Exception("database or disk is full"))

    event.listen(engine, "commit", fail)
    event.listen(engine, "before_cursor_execute", lambda *_: fail() if rng.random() < 0.05 else None)


def test_whatever_fails_what_was_acknowledged_is_there_once(tmp_path, monkeypatch, clock):
    monkeypatch.setattr(server, "BURST", 1e9)
    opened = open_experiment(write_experiment(tmp_path / "exp", abandon_after_minutes=100_000))
    clock.now = datetime(2026, 1, 1, tzinfo=UTC)
    writer, counts = Writer(opened.engine), Counter[str]()
    app = server.create_app(
        opened, Sessions(opened.design, opened.hash, "live", b"k" * 64, clock), writer, secure=False
    )
    labels = Labels(connect(str(opened.folder / DATABASE)))  # not of the disk that fails
    people = [Person(app, labels, number, counts) for number in range(PARTICIPANTS)]

    async def all_() -> None:
        await asyncio.gather(*(person.visit() for person in people))

    failing(opened.engine, random.Random(SEED))
    asyncio.run(all_())
    writer.close()
    for fault in ("doubled", "lost", "disk", "reordered", "reloaded", "forgotten", "left", "early"):
        assert counts[fault] > 10, counts
    assert min(Counter(person.state for person in people)[state] for state in (*ENDED, "running")) > 5
    opened.engine.dispose()
    compare(open_experiment(opened.folder).engine, people)


def compare(engine, people):
    """What the database holds is what was acknowledged, each once."""
    with engine.begin() as db:
        sessions = {row.session_id: row for row in db.execute(select(SESSION))}
        names = {row.external_id: row.session_id for row in db.execute(select(IDENTITY))}
        tables = [[dict(row) for row in db.execute(select(t)).mappings()] for t in (EVENT, RESPONSE, TRIAL)]
        assert not db.execute(select(CONFLICT)).all()
    assert len(names) == len(sessions) == len(people)  # who lost the first answer did not get a second session
    events, responses, trials = tables
    for person in people:
        session = sessions[names[person.name]]
        own = [
            [row for row in table if row["session_id"] == session.session_id] for table in (events, responses, trials)
        ]
        expected = {n: Event.model_validate(e).model_dump(exclude_none=True) for n, e in person.kept.items()}
        assert [row["seq"] for row in own[0]] == list(range(1, session.last_seq + 1))
        assert {row["seq"]: row["payload"] for row in own[0]} == expected
        answered = {e["trial"]: e["answer"]["response"] for e in person.kept.values() if e["type"] == "answered"}
        assert len(own[1]) == len(answered) and {row["trial_no"]: row["response"] for row in own[1]} == answered
        assert all(row["attempts"] <= 1 for row in own[2])
        assert (session.state, session.outcome_code) == (person.state, next(iter(person.codes), session.outcome_code))
        assert len(person.codes) <= 1
        if session.state == "finished":
            assert {row["state"] for row in own[2]} <= {"answered", "interrupted"}
        elif session.state == "running":
            assert session.outcome_code is None
