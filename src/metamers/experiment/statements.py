"""The statements that each answer of each participant needs, built once: to build one takes longer than to run it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, and_, bindparam, insert, or_, select, update

from metamers.experiment.database import EVENT, RESPONSE, SESSION, TRIAL
from metamers.experiment.trials import ADDRESSES

Row = dict[str, Any]
Trials = dict[int, Row]
"""By number, as they are after what a message has told so far."""

_SESSION = SESSION.c.session_id == bindparam("of_session")
_TRIAL = TRIAL.c.session_id == bindparam("of_session")
_NUMBER = and_(_TRIAL, TRIAL.c.trial_no == bindparam("number"))

TOKEN_OF = select(SESSION.c.token_hash).where(_SESSION)
SESSION_OF = select(SESSION).where(_SESSION)
_TRIAL_OF = select(TRIAL).where(_NUMBER)
# "shown" comes before "waiting" in the alphabet, too.
CURRENT_OF = (
    select(TRIAL)
    .where(_TRIAL, TRIAL.c.state.in_(["shown", "waiting"]))
    .order_by(TRIAL.c.state, TRIAL.c.attempts, TRIAL.c.trial_no)
    .limit(1)
)
SHOWN_OF = select(TRIAL.c.trial_no).where(_TRIAL, TRIAL.c.state == "shown")
WAITING_OF = (
    select(*(TRIAL.c[name] for name in ("trial_no", "phase", "block", "attempts", "mask_seed", *ADDRESSES)))
    .where(_TRIAL, TRIAL.c.state == "waiting")
    .order_by(TRIAL.c.attempts, TRIAL.c.trial_no)
)
MEDIA_OF = select(TRIAL).where(_TRIAL, or_(*(TRIAL.c[address] == bindparam("name") for address in ADDRESSES)))
_MARK = update(TRIAL).where(_NUMBER).values(state=bindparam("to"), attempts=bindparam("after"))
ADVANCE = update(SESSION).where(_SESSION).values(last_seq=bindparam("last"), last_seen_at=bindparam("at"))
ADD_EVENTS = insert(EVENT)
ADD_RESPONSE = insert(RESPONSE)
_DIGESTS = select(EVENT.c.seq, EVENT.c.sha256).where(
    EVENT.c.session_id == bindparam("of_session"), EVENT.c.seq.between(bindparam("first"), bindparam("last"))
)
_PRACTICED = select(TRIAL.c.trial_no, TRIAL.c.label).where(
    *(_TRIAL, TRIAL.c.phase == "practice", TRIAL.c.state == "answered"),
    TRIAL.c.trial_no.in_(bindparam("numbers", expanding=True)),
)


def digests(db: Connection, session_id: str, first: int, last: int) -> dict[int, str]:
    """Of the events that are kept under some numbers."""
    if first > last:
        return {}
    found = db.execute(_DIGESTS, {"of_session": session_id, "first": first, "last": last})
    return {row.seq: row.sha256 for row in found}


def feedback(db: Connection, session_id: str, numbers: Sequence[int]) -> dict[int, str]:
    """The labels of those of the trials that are practice, and were answered."""
    if not numbers:
        return {}
    return {row.trial_no: row.label for row in db.execute(_PRACTICED, {"of_session": session_id, "numbers": numbers})}


def trial(db: Connection, session_id: str, number: int, trials: Trials) -> Row | None:
    """A trial of the session, remembered in `trials`."""
    if number not in trials:
        found = db.execute(_TRIAL_OF, {"of_session": session_id, "number": number}).mappings().first()
        if found is None:
            return None
        trials[number] = dict(found)
    return trials[number]


def mark(db: Connection, trial: Row, state: str) -> None:
    """Give a trial a state, in its row, too."""
    trial["state"] = state
    where = {"of_session": trial["session_id"], "number": trial["trial_no"]}
    db.execute(_MARK, {**where, "to": state, "after": trial["attempts"]})
