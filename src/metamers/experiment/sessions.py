"""What happens to a session: each function is one transaction's work on its rows."""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex, token_urlsafe
from typing import Any

from sqlalchemy import Connection, delete, func, insert, select, update

from metamers.experiment import statements
from metamers.experiment.database import (
    ANSWER,
    AUDIT,
    CHECK,
    CONFLICT,
    CONSENT,
    EVENT,
    EXPERIMENT,
    IDENTITY,
    IDENTITY_HASH,
    RESPONSE,
    SESSION,
    TRIAL,
)
from metamers.experiment.gates import may_go_on, not_needed
from metamers.experiment.identities import identity_hash
from metamers.experiment.messages import Begin, Consent, Environment, Event
from metamers.experiment.scoring import scored
from metamers.experiment.trials import ADDRESSES, Design

Row = dict[str, Any]

_LAST = 1_000_000
LEASE_S = 40
"""A tab that was silent for so long may be replaced by another."""
ENDED = ("declined", "screened_out", "finished", "withdrawn", "expired", "purged")


class RefusedError(Exception):
    """A request that the state of its session does not allow; `told` is for the browser."""

    def __init__(self, status: int, **told: Any) -> None:
        super().__init__(told)
        self.status, self.told = status, told


@dataclass(frozen=True)
class Sessions:
    """The sessions of an experiment. mode: of those that are begun. identity_key: that of `identity_hash`."""

    design: Design
    experiment_hash: str
    mode: str
    identity_key: bytes
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def begin(self, db: Connection, message: Begin, mode: str | None = None) -> Row:
        """A new session, or that of the same participant: its id and token, which is kept as a hash only.

        Raises RefusedError where that is open in a browser.
        """
        token, recruited, digest = token_urlsafe(24), message.recruited, None
        if recruited.external_id is not None:
            digest = identity_hash(self.identity_key, recruited.source, recruited.external_id)
            known = select(IDENTITY_HASH.c.session_id).where(IDENTITY_HASH.c.digest == digest)
            if (session_id := db.execute(known).scalar()) is not None:
                self._require_silent(self.row(db, session_id))
                db.execute(_of(SESSION, update(SESSION), session_id).values(token_hash=hashed(token)))
                return {"session": session_id, "token": token}
        session_id = token_hex(16)
        db.execute(
            insert(SESSION).values(
                **{"session_id": session_id, "token_hash": hashed(token), "mode": mode or self.mode},
                **{"state": "created", "experiment_hash": self.experiment_hash, "created_at": self._now()},
                **{"last_seen_at": self._now(), "last_seq": 0, "n_resumes": 0},
                environment=message.environment.model_dump(),
            )
        )
        if recruited.source != "link" or recruited.external_id is not None:
            db.execute(insert(IDENTITY).values(session_id=session_id, **recruited.model_dump()))
        if digest is not None:
            db.execute(insert(IDENTITY_HASH).values(session_id=session_id, digest=digest))
        return {"session": session_id, "token": token}

    def consent(self, db: Connection, session_id: str, message: Consent) -> Row:
        """Take down the decision; who agrees is given a trial list. Once taken, it stands."""
        session = self.row(db, session_id)
        if session["state"] != "created":
            return self.describe(db, session_id)
        db.execute(insert(CONSENT).values(session_id=session_id, **message.model_dump(), at=self._now()))
        if message.decision == "declined":
            self._end(db, session_id, "declined")
            return self.describe(db, session_id)
        frozen = update(EXPERIMENT).where(EXPERIMENT.c.frozen_at.is_(None)).values(frozen_at=self._now())
        if session["mode"] == "live":
            db.execute(frozen)
        number = self.design.list_for(self._lists_in_use(db, session["mode"]))
        db.execute(insert(TRIAL), self.design.rows(session_id, number))
        changed = {"state": "running", "list_number": number, "consented_at": self._now(), "last_seen_at": self._now()}
        db.execute(_of(SESSION, update(SESSION), session_id).values(**changed))
        return self.describe(db, session_id)

    def open(
        self,
        db: Connection,
        session_id: str,
        lease: str | None,
        environment: Environment | None = None,
        next_lease: str | None = None,
    ) -> Row:
        """Give the session to the browser tab that has had `lease`, from now on under another: `next_lease`, which the
        tab may know before it is told. A trial that was shown and not answered is interrupted.

        Raises RefusedError where another tab has the session, and for one that was given up.
        """
        session = self.row(db, session_id)
        if session["state"] in ENDED or self._given_up(db, session):
            return self.describe(db, session_id)
        self._require_silent(session, lease, next_lease)
        held = session["lease"]
        changed: Row = {"last_seen_at": self._now(), "lease": next_lease or token_hex(16)}
        # Under the same lease a tab asks again, as it did not hear the reply. While a trial is shown it has heard it,
        # and asks with what it knew before it crashed.
        again = held == changed["lease"] and not db.execute(statements.SHOWN_OF, {"of_session": session_id}).first()
        if held is not None and not again and session["state"] == "running":
            changed["n_resumes"] = session["n_resumes"] + 1
            self._interrupt(db, session_id)
        if environment is not None:
            changed["environment"] = environment.model_dump()
        db.execute(_of(SESSION, update(SESSION), session_id).values(**changed))
        if not again:
            opened = {"actor": session_id, "action": "open", "detail": hashed(changed["lease"])}
            db.execute(insert(AUDIT).values(at=self._now(), **opened))  # what a tab saved as a file is known by it
        return {**self.describe(db, session_id), "lease": changed["lease"], "session": session_id}

    def take(self, db: Connection, session_id: str, lease: str, events: Sequence[Event]) -> Row:
        """Keep events: `ack` is the number of the last that is kept without a gap. `refused` tells of one that the
        state does not allow, `conflicts` of numbers that are taken by other events; `feedback` gives the labels of
        practice trials that were answered, `not_needed` the trials of further attempts at a gate that was passed.

        Raises RefusedError where another tab has the session.
        """
        session = self.row(db, session_id)
        if session["state"] in ENDED or self._given_up(db, session):
            state = self.row(db, session_id)["state"]  # nothing more is kept
            told = {"ack": max(event.seq for event in events), "state": state, "not_needed": []}
            return {**told, "feedback": {}, "conflicts": []}
        self._require_lease(session, lease)
        last, told, new, trials = session["last_seq"], Row(conflicts=[]), list[Row](), statements.Trials()
        digests = statements.digests(db, session_id, min(event.seq for event in events), last)
        for event in events:
            if event.seq > last + 1:
                break
            payload, digest = event.model_dump(exclude_none=True), digest_of(event)
            kept = {"session_id": session_id, "seq": event.seq, "sha256": digest, "payload": payload}
            kept["received_at"] = self._now()
            if event.seq <= last:
                if digests.get(event.seq) != digest:
                    db.execute(insert(CONFLICT).values(**kept))
                    told["conflicts"].append(event.seq)
                continue
            if (problem := self._apply(db, session, trials, event)) is not None:
                db.execute(insert(CONFLICT).values(**kept))
                told["refused"] = {"seq": event.seq, "reason": problem}
                break
            new.append({**kept, "type": event.type, "t_ms": event.t_ms})
            last, digests[event.seq] = event.seq, digest
        if new:
            db.execute(statements.ADD_EVENTS, new)
        db.execute(statements.ADVANCE, {"of_session": session_id, "last": last, "at": self._now()})
        answered = [e.trial for e in events if e.type == "answered" and e.trial and e.seq <= last]
        # Of the trials at hand, only those of practice have feedback.
        asked = [number for number in answered if trials.get(number, {"phase": "practice"})["phase"] == "practice"]
        told["not_needed"] = not_needed(db, session_id) if self.design.config.headphones.attempts > 1 else []
        return {"ack": last, "state": session["state"], "feedback": statements.feedback(db, session_id, asked), **told}

    def finish(self, db: Connection, session_id: str, lease: str, last_seq: int) -> Row:
        """End the session, once all is there; its code. Again, the same.

        Raises RefusedError with what is missing: events after `ack`, or the number of trials that are left.
        """
        session = self.row(db, session_id)
        if session["state"] in ENDED:
            return self.describe(db, session_id)
        self._require_lease(session, lease)
        if last_seq > session["last_seq"]:
            raise RefusedError(409, reason="missing", ack=session["last_seq"])
        if session["state"] == "running":
            waiting = select(func.count()).select_from(TRIAL)
            waiting = _of(TRIAL, waiting, session_id).where(TRIAL.c.state.in_(["waiting", "shown"]))
            if left := db.execute(waiting).scalar_one():
                raise RefusedError(409, reason="trials_left", trials_left=left)
            self._end(db, session_id, "finished")
            return self.describe(db, session_id)
        raise RefusedError(409, reason="not_begun")

    def withdraw(self, db: Connection, session_id: str, lease: str, keep: bool) -> Row:
        """End the session for good; without `keep`, delete all of it but that there was one."""
        session = self.row(db, session_id)
        self._require_lease(session, lease)
        if session["state"] != "withdrawn":
            self._end(db, session_id, "withdrawn")
        if not keep:
            forget(db, session_id)
        detail = "kept" if keep else "deleted"
        db.execute(insert(AUDIT).values(at=self._now(), actor=session_id, action="withdraw", detail=detail))
        return self.describe(db, session_id)

    def describe(self, db: Connection, session_id: str) -> Row:
        """What the browser may know: nothing that tells the answer of a trial."""
        session = self.row(db, session_id)
        told: Row = {key: session[key] for key in ("state", "mode", "last_seq", "reason")}
        if session["state"] in ENDED:
            code, url = session["outcome_code"], self.design.config.return_url
            return {**told, "code": code, "url": url.replace("{code}", code) if url and code else None}
        rows = db.execute(statements.WAITING_OF, {"of_session": session_id}).all()
        hidden = {"catch": "main"}
        forms = _of(ANSWER, select(ANSWER.c.form), session_id).distinct()
        return {
            **told,
            "forms": sorted(db.execute(forms).scalars()),
            "trials": [
                {
                    **{"trial": row.trial_no, "phase": hidden.get(row.phase, row.phase)},
                    # What is shown again comes after all else, so in blocks of its own.
                    **{"block": row.block + _LAST * row.attempts, "media": row.media},
                    "mask": row.mask_seed,
                    **({"candidates": [row.first_media, row.second_media]} if row.first_media else {}),
                }
                for row in rows
            ],
        }

    def media(self, db: Connection, session_id: str, media: str) -> str | None:
        """Which stimulus an address of this session leads to."""
        trial = db.execute(statements.MEDIA_OF, {"of_session": session_id, "name": media}).mappings().first()
        found = (trial[stimulus] for address, stimulus in ADDRESSES.items() if trial and trial[address] == media)
        return next(found, None)

    def row(self, db: Connection, session_id: str) -> Row:
        """The session's row. Raises RefusedError where there is none."""
        row = db.execute(statements.SESSION_OF, {"of_session": session_id}).mappings().first()
        if row is None:
            raise RefusedError(404, reason="unknown")
        return dict(row)

    def _silent(self, session: Row) -> timedelta:
        """For how long nothing was heard of it, whichever way the clock was set meanwhile."""
        return abs(self.clock() - datetime.fromisoformat(session["last_seen_at"]))

    def _given_up(self, db: Connection, session: Row) -> bool:
        """Whether a session was left for so long that its trial list is another's; it has ended, then."""
        over = self._silent(session) > timedelta(minutes=self.design.config.abandon_after_minutes)
        if session["state"] == "running" and over:
            self._end(db, session["session_id"], "expired")
            return True
        return False

    def _require_silent(self, session: Row, *leases: str | None) -> None:
        """Raises RefusedError where a tab without these leases has the session and was heard of just now."""
        held, going = session["lease"], session["state"] not in ENDED
        if going and held not in (None, *leases) and self._silent(session) < timedelta(seconds=LEASE_S):
            raise RefusedError(409, reason="in_use", seconds=LEASE_S)

    def _require_lease(self, session: Row, lease: str) -> None:
        if session["lease"] != lease:
            raise RefusedError(409, reason="in_use", seconds=LEASE_S)

    def _apply(self, db: Connection, session: Row, trials: statements.Trials, event: Event) -> str | None:
        """What an event does, to the session's row, too; why it cannot."""
        if event.type not in ("shown", "answered", "form"):
            return None
        if session["state"] != "running":
            return "the session has ended"
        session_id = session["session_id"]
        if event.type == "form":
            return self._fill(db, session_id, event)
        if event.trial is None:
            return "which trial?"
        if event.type == "shown":
            return self._show(db, session_id, event.trial, trials)
        trial = statements.trial(db, session_id, event.trial, trials)
        return "no such trial" if trial is None else self._answer(db, session, trial, event)

    def _show(self, db: Connection, session_id: str, number: int, trials: statements.Trials) -> str | None:
        current = db.execute(statements.CURRENT_OF, {"of_session": session_id}).mappings().first()
        if current is None or (current["trial_no"], current["state"]) != (number, "waiting"):
            if statements.trial(db, session_id, number, trials) is None:
                return "no such trial"
            return "no trial is left" if current is None else "not the next trial"
        trials[number] = {**current, "attempts": current["attempts"] + 1}
        statements.mark(db, trials[number], "shown")
        return None

    def _answer(self, db: Connection, session: Row, trial: Row, event: Event) -> str | None:
        if event.answer is None:
            return "no answer"
        if trial["state"] != "shown":
            return "the trial is not being shown"
        worth, problem = scored(self.design, trial, event.answer)
        if problem:
            return problem
        measured = event.answer.model_dump(exclude={"response"})
        keys = {"session_id": trial["session_id"], "trial_no": trial["trial_no"], "attempt": trial["attempts"]}
        row = {
            **{**keys, **measured, **worth, "response_raw": event.answer.response},
            **{"received_at": self._now(), "seq": event.seq},
        }
        db.execute(statements.ADD_RESPONSE, row)
        statements.mark(db, trial, "answered")
        if not self._pass_gate(db, trial):
            session["state"] = "screened_out"
        return None

    def _pass_gate(self, db: Connection, trial: Row) -> bool:
        """False after the last trial of a gate, if too few were right: the session has ended, then."""
        passed = may_go_on(db, self.design.config, trial["session_id"], trial["phase"], trial["block"])
        if not passed:
            self._end(db, trial["session_id"], "screened_out")
        return passed

    def _fill(self, db: Connection, session_id: str, event: Event) -> str | None:
        if not event.form or not event.items:
            return "an empty form"
        known = _of(ANSWER, delete(ANSWER), session_id).where(ANSWER.c.form == event.form)
        db.execute(known)
        rows = [{"session_id": session_id, "form": event.form, "item": k, "value": v} for k, v in event.items.items()]
        db.execute(insert(ANSWER), rows)
        return None

    def _interrupt(self, db: Connection, session_id: str) -> None:
        """A trial that was shown and not answered is over; by configuration it comes once more, at the end."""
        shown = _of(TRIAL, select(TRIAL), session_id).where(TRIAL.c.state == "shown")
        for trial in map(dict, db.execute(shown).mappings().all()):
            again = self.design.config.unanswered == "repeat" and trial["phase"] in ("main", "catch")
            statements.mark(db, trial, "waiting" if again and trial["attempts"] < 2 else "interrupted")
            self._pass_gate(db, trial)

    def _lists_in_use(self, db: Connection, mode: str) -> list[int]:
        """The trial lists of the sessions of a mode that are finished or going on."""
        since = self.clock() - timedelta(minutes=self.design.config.abandon_after_minutes)
        going = (SESSION.c.state == "running") & (SESSION.c.last_seen_at >= since.isoformat(timespec="milliseconds"))
        found = select(SESSION.c.list_number).where(
            SESSION.c.mode == mode, SESSION.c.list_number.is_not(None), (SESSION.c.state == "finished") | going
        )
        return [int(number) for number in db.execute(found).scalars()]

    def _end(self, db: Connection, session_id: str, state: str) -> None:
        codes = self.design.config.codes
        given = {
            "finished": codes.complete,
            "screened_out": codes.screened_out,
            **dict.fromkeys(("declined", "withdrawn"), codes.declined),
        }
        code = None if state == "expired" else given[state] or token_hex(4).upper()
        values = {"state": state, "finished_at": self._now(), "outcome_code": code}
        db.execute(_of(SESSION, update(SESSION), session_id).values(**values))

    def _now(self) -> str:
        return self.clock().isoformat(timespec="milliseconds")


def forget(db: Connection, session_id: str) -> None:
    """Delete all of a session but that there was one, and by what the participant is recognized."""
    for table in (RESPONSE, EVENT, ANSWER, CHECK, CONFLICT, CONSENT, IDENTITY, TRIAL):
        db.execute(_of(table, delete(table), session_id))
    db.execute(delete(AUDIT).where(AUDIT.c.actor == session_id, AUDIT.c.action == "open"))
    emptied = {"environment": None, "list_number": None, "outcome_code": None}
    db.execute(_of(SESSION, update(SESSION), session_id).values(**emptied))


def digest_of(event: Event) -> str:
    """The SHA-256 by which an event is known again."""
    return hashed(json.dumps(event.model_dump(exclude_none=True), sort_keys=True))


def hashed(token: str) -> str:
    """The SHA-256 under which a token is kept."""
    return hashlib.sha256(token.encode()).hexdigest()


def _of(table: Any, statement: Any, session_id: str) -> Any:
    return statement.where(table.c.session_id == session_id)
