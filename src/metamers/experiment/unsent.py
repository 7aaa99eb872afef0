"""Taking in a file that a participant's page made of what it could not send."""

from hmac import compare_digest
from pathlib import Path
from secrets import token_hex
from typing import Any

from sqlalchemy import Connection, delete, insert, select

from metamers.errors import MetamersError
from metamers.experiment.database import AUDIT, CONFLICT, EVENT, SESSION, TRIAL, now
from metamers.experiment.gates import judge_anew
from metamers.experiment.messages import MOST_EVENTS, Event, Unsent, read_file
from metamers.experiment.opened import Opened
from metamers.experiment.sessions import RefusedError, Row, Sessions, digest_of, hashed

MOST_MEGABYTES = 64
LEFT = ("withdrawn", "declined", "purged")


def take_in(opened: Opened, path: Path) -> Row:
    """Keep the events of a file as if the page had sent them, and finish the session if it is whole then. How long ago
    that was, and whether another tab had the session since, does not matter.

    Returns the session's state and code, how many events are new, were known, are in conflict (their numbers are other
    events'), and are left out, and why. Again, nothing changes. Raises MetamersError, before anything is kept, for
    another file, a session that is not in the database or whose participant left, and a file that is not its own.
    """
    unsent = read_unsent(path)
    sessions = Sessions(opened.design, opened.hash, "live", b"")  # no session is begun, so none is recognized
    with opened.engine.begin() as db:
        try:
            session = sessions.row(db, unsent.session)
        except RefusedError:
            raise MetamersError(
                f"{path}: its session is not in this database; give the --database of the server that it came from"
            ) from None
        if session["state"] in LEFT:
            raise MetamersError(f"{path}: its participant has left ({session['state']}); nothing more is kept of it")
        if not _is_of(db, session, unsent):
            raise MetamersError(f"{path}: was not made by a page of its session; ask the participant for the file")
        told = _taken(db, sessions, session, unsent)
        if told["new"] or told["state"] != session["state"]:
            detail = f"{told['new']} of {len(unsent.events)} events"
            db.execute(insert(AUDIT).values(at=now(), actor=unsent.session, action="import", detail=detail))
    return told


def read_unsent(path: Path) -> Unsent:
    """The content of a file. Raises MetamersError, with the place, where it is none that a page made."""
    if path.is_file() and path.stat().st_size > MOST_MEGABYTES * 1_000_000:
        raise MetamersError(f"{path}: is larger than {MOST_MEGABYTES} MB; no page makes such a file")
    return read_file(path, Unsent, "give the participant's file as it was")


def _is_of(db: Connection, session: Row, unsent: Unsent) -> bool:
    """Whether one of the session's tabs had the file's lease."""
    if session["lease"] is not None and compare_digest(session["lease"], unsent.lease):
        return True
    opened = select(AUDIT.c.audit_id).where(
        AUDIT.c.actor == unsent.session, AUDIT.c.action == "open", AUDIT.c.detail == hashed(unsent.lease)
    )
    return db.execute(opened).first() is not None


def _taken(db: Connection, sessions: Sessions, session: Row, unsent: Unsent) -> Row:
    taken = _marks(db, unsent.session)
    marks = {event.seq: digest_of(event) for event in unsent.events}
    known = [seq for seq, digest in marks.items() if taken.get(seq) == digest]
    conflicts = [seq for seq, digest in marks.items() if taken.get(seq, digest) != digest]
    told = {"state": session["state"], "code": session["outcome_code"], "why": None}
    if session["state"] in ("running", "expired"):
        told = _sent(db, sessions, session, unsent, [event for event in unsent.events if event.seq not in known])
    new = len(_marks(db, unsent.session)) - len(taken)
    left = len(marks) - new - len(known) - len(conflicts)
    if left and told["why"] is None:
        told["why"] = f"the session is {told['state']}"
    counts = {"new": new, "known": len(known), "conflicts": conflicts, "left_out": left}
    return {"session": unsent.session, **counts, **told}


def _sent(db: Connection, sessions: Sessions, session: Row, unsent: Unsent, waiting: list[Event]) -> Row:
    """Send the events in the tab's name, as if it were still open: the state, the code, and why it went no further."""
    s, why = unsent.session, None
    held = {name: session[name] for name in ("lease", "last_seen_at", "state", "finished_at")}
    again = {"lease": unsent.lease, "last_seen_at": now(), "state": "running", "finished_at": None}
    _change(db, s, **again)
    for event in waiting:  # what was refused before may be taken now, and is noted once
        same = (CONFLICT.c.session_id == s) & (CONFLICT.c.seq == event.seq) & (CONFLICT.c.sha256 == digest_of(event))
        db.execute(delete(CONFLICT).where(same))
    _show_again(db, s, waiting, session["last_seq"])
    for first in range(0, len(waiting), MOST_EVENTS):
        part = waiting[first : first + MOST_EVENTS]
        told = sessions.take(db, s, unsent.lease, part)
        if "refused" in told:
            why = f"event {told['refused']['seq']}: {told['refused']['reason']}"
        elif told["ack"] < part[-1].seq:
            why = f"the events after {told['ack']} are missing"
        if why:
            break
    try:
        sessions.finish(db, s, unsent.lease, unsent.last_seq)
    except RefusedError as error:
        left, ack = error.told.get("trials_left"), error.told.get("ack")
        why = why or (f"{left} trials are left" if left else f"the events after {ack} are missing")
    row = sessions.row(db, s)
    if row["state"] == "running":
        if row["last_seq"] != session["last_seq"] and held["lease"] != unsent.lease:
            held["lease"] = token_hex(16)  # of another tab, whose next numbers are taken now: it is to be loaded anew
        _change(db, s, **held)
        row["state"] = held["state"]
    return {"state": row["state"], "code": row["outcome_code"], "why": why}


def _marks(db: Connection, session_id: str) -> dict[int, str]:
    """The SHA-256 of a session's events by their numbers."""
    found = db.execute(select(EVENT.c.seq, EVENT.c.sha256).where(EVENT.c.session_id == session_id))
    return {row.seq: row.sha256 for row in found}


def _show_again(db: Connection, session_id: str, waiting: list[Event], last_seq: int) -> None:
    """Where the first event answers the trial that was shown last, but the page was opened anew since: the trial was
    interrupted only as its answer had not come."""
    first = next((event for event in waiting if event.seq > last_seq), None)
    if first is None or first.type != "answered" or first.seq != last_seq + 1:
        return
    shown = select(EVENT.c.payload).where(EVENT.c.session_id == session_id, EVENT.c.type == "shown")
    payload = db.execute(shown.order_by(EVENT.c.seq.desc()).limit(1)).scalar()
    if payload is None or payload["trial"] != first.trial:
        return
    of_trial = (TRIAL.c.session_id == session_id) & (TRIAL.c.trial_no == first.trial)
    trial = db.execute(select(TRIAL).where(of_trial)).mappings().one()
    if trial["state"] != "answered":
        db.execute(TRIAL.update().where(of_trial).values(state="shown"))
        judge_anew(db, session_id, trial["phase"], trial["block"])


def _change(db: Connection, session_id: str, **values: Any) -> None:
    db.execute(SESSION.update().where(SESSION.c.session_id == session_id).values(**values))
