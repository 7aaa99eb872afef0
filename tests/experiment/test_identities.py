"""Who comes again is recognized, also once it was deleted who that is."""

import shutil

import pytest
from sqlalchemy import select, update

from metamers.errors import MetamersError
from metamers.experiment.database import IDENTITY, IDENTITY_HASH, SESSION, connect
from metamers.experiment.identities import identity_hash, identity_key
from metamers.experiment.messages import Begin, Consent
from metamers.experiment.opened import open_experiment
from metamers.experiment.purging import purge
from metamers.experiment.sessions import Sessions

DECLINED = Consent(decision="declined", language="en", text_hash="0" * 64)


def begun(opened, who="zoe"):
    """The id of the session that somebody from Prolific gets, in a server that was started anew."""
    sessions = Sessions(opened.design, opened.hash, "live", identity_key(opened))
    message = Begin.model_validate({"recruited": {"source": "prolific", "external_id": who}})
    with opened.engine.begin() as db:
        return sessions, sessions.begin(db, message)["session"]


def recognized_after_the_purge(folder, where):
    opened = open_experiment(folder, where)
    sessions, first = begun(opened)
    with opened.engine.begin() as db:
        told = sessions.consent(db, first, DECLINED)
    assert told["state"] == "declined" and told["code"]
    assert purge(opened, identities=True)["identities"] == 1
    with opened.engine.begin() as db:
        assert not db.execute(select(IDENTITY)).all()
        rows = [*db.execute(select(IDENTITY_HASH)).mappings(), *db.execute(select(SESSION)).mappings()]
        assert "zoe" not in str(rows)
    sessions, again = begun(opened)
    with opened.engine.begin() as db:
        assert again == first and sessions.open(db, again, None) == told  # politely, with the code
    assert begun(opened, "bob")[1] != first
    with opened.engine.begin() as db:
        old = update(SESSION).where(SESSION.c.session_id == first)
        db.execute(old.values(created_at="2020-01-01T00:00:00.000+00:00"))
    assert purge(opened, older_than_days=30)["sessions"] == 1
    assert begun(opened)[1] != first  # nothing is left by which to recognize
    opened.engine.dispose()


def test_who_took_part_is_recognized_after_the_purge(experiment):
    recognized_after_the_purge(experiment, None)


def test_who_withdrew_and_had_all_deleted_does_not_begin_anew(made):
    sessions, engine = made()
    message = Begin.model_validate({"recruited": {"source": "prolific", "external_id": "zoe"}})
    with engine.begin() as db:
        first = sessions.begin(db, message)["session"]
        lease = sessions.open(db, first, None)["lease"]
        sessions.withdraw(db, first, lease, False)
        assert not db.execute(select(IDENTITY)).all()
        assert sessions.begin(db, message)["session"] == first
        assert sessions.open(db, first, None)["state"] == "withdrawn"


def test_sources_do_not_share_names():
    key = b"k" * 64
    assert identity_hash(key, "prolific", "x") == identity_hash(key, "prolific", "x")
    different = {identity_hash(key, "lab", "x"), identity_hash(b"l" * 64, "prolific", "x")}
    assert len(different | {identity_hash(key, "prolific", "x")}) == 3


def test_the_key_is_for_its_owner_and_stays(experiment, tmp_path):
    opened = open_experiment(experiment)
    key, path = identity_key(opened), experiment / "identity-key"
    assert path.stat().st_mode & 0o777 == 0o600 and identity_key(opened) == key and len(key) == 64
    path.unlink()
    assert identity_key(opened) != key  # nobody was recognized by it yet
    begun(opened)
    kept = path.read_text()
    for there in (None, "f" * 64):
        path.unlink() if there is None else path.write_text(there)
        with pytest.raises(MetamersError, match="is not the key by which the database recognizes 1 participants"):
            identity_key(opened)
    assert path.read_text() == "f" * 64  # none is made in its place
    path.write_text(kept)
    begun(opened)
    elsewhere = shutil.copytree(experiment, tmp_path / "copy", ignore=lambda *_: ["data.sqlite", "identity-key"])
    (elsewhere / "identity-key").write_text("short")
    with pytest.raises(MetamersError, match="holds no key"):
        identity_key(open_experiment(elsewhere))


def test_a_database_of_before_is_refused_in_one_line(experiment):
    open_experiment(experiment).engine.dispose()
    engine = connect(str(experiment / "data.sqlite"))
    with engine.begin() as db:
        db.exec_driver_sql("DROP TABLE identity_hash")
    with pytest.raises(MetamersError, match="those of another version; give a new one"):
        open_experiment(experiment)
