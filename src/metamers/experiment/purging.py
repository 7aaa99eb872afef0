"""Deleting data that need no longer be kept."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import delete, func, insert, select

from metamers.errors import MetamersError
from metamers.experiment.database import AUDIT, IDENTITY, IDENTITY_HASH, SESSION, now
from metamers.experiment.opened import Opened
from metamers.experiment.sessions import forget


def purge(opened: Opened, *, identities: bool = False, older_than_days: int | None = None) -> dict[str, int]:
    """Delete who is who, or sessions that began so many days ago, None for the experiment's `retention_days`: how many
    rows of identities and how many sessions. Of a deleted session stays that there was one. By what a participant is
    recognized goes with the session, not with who is who.

    Raises MetamersError where neither identities are to go nor a number of days is known.
    """
    days = opened.design.config.retention_days if older_than_days is None else older_than_days
    if days is None and not identities:
        raise MetamersError(
            f"{opened.folder}: its experiment.yaml has no retention_days; give --older-than-days or --identities"
        )
    gone = {"identities": 0, "sessions": 0}
    with opened.engine.begin() as db:
        if identities:
            gone["identities"] = db.execute(select(func.count()).select_from(IDENTITY)).scalar_one()
            db.execute(delete(IDENTITY))
        if days is not None:
            before = (datetime.now(UTC) - timedelta(days=days)).isoformat(timespec="milliseconds")
            old = select(SESSION.c.session_id).where(SESSION.c.created_at < before, SESSION.c.state != "purged")
            for session_id in db.execute(old).scalars().all():
                forget(db, session_id)
                db.execute(delete(IDENTITY_HASH).where(IDENTITY_HASH.c.session_id == session_id))
                db.execute(SESSION.update().where(SESSION.c.session_id == session_id).values(state="purged"))
                gone["sessions"] += 1
        db.execute(insert(AUDIT).values(at=now(), actor="researcher", action="purge", detail=str(gone)))
    return gone
