"""Where the data are kept."""

import threading

import pytest
from sqlalchemy import Column, Integer, MetaData, Table, func, insert, select, update

from metamers.errors import MetamersError
from metamers.experiment.database import AUDIT, EXPERIMENT, VERSION, Writer, open_database, reading

ROW = {"hash": "a" * 64, "name": "one", "version": VERSION, "config": {}}


@pytest.fixture
def engine(tmp_path):
    engine = open_database(str(tmp_path / "data.sqlite"), ROW)
    yield engine
    engine.dispose()


def test_a_database_is_of_one_experiment(engine, tmp_path):
    path = str(tmp_path / "data.sqlite")
    open_database(path, ROW).dispose()
    with pytest.raises(MetamersError, match="holds the experiment 'one'.*new --database"):
        open_database(path, {**ROW, "hash": "b" * 64})
    with engine.begin() as db:
        db.execute(update(EXPERIMENT).values(version=VERSION - 1))
    with pytest.raises(MetamersError, match=f"version {VERSION - 1}, not {VERSION}"):
        open_database(path, ROW)


def test_other_tables_are_left_alone(tmp_path):
    from metamers.experiment.database import connect

    other = connect(str(tmp_path / "other.sqlite"))
    with other.begin() as db:
        metadata = MetaData()
        Table("mine", metadata, Column("x", Integer))
        metadata.create_all(db)
    other.dispose()
    with pytest.raises(MetamersError, match="holds other tables"):
        open_database(str(tmp_path / "other.sqlite"), ROW)


def test_tables_of_another_version_are_refused_before_anybody_comes(engine, tmp_path):
    with engine.begin() as db:
        db.exec_driver_sql("ALTER TABLE trial RENAME COLUMN second_id TO other_id")
    with pytest.raises(MetamersError, match="those of another version"):
        open_database(str(tmp_path / "data.sqlite"), ROW)


@pytest.mark.parametrize("where", ["nothing://x", "folder/that/is/not/there.sqlite", "://"])
def test_what_is_no_database_is_one_clear_line(tmp_path, where, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MetamersError, match="database") as error:
        open_database(where, ROW)
    assert "\n" not in str(error.value)


def test_a_password_is_not_told():
    with pytest.raises(MetamersError) as error:
        open_database("nothing://me:secret@host/x", ROW)
    assert "secret" not in str(error.value)


def test_a_database_is_durable(engine):
    with engine.connect() as db:
        assert db.exec_driver_sql("PRAGMA synchronous").scalar() == 2
        assert db.exec_driver_sql("PRAGMA journal_mode").scalar() == "wal"
        assert db.exec_driver_sql("PRAGMA foreign_keys").scalar() == 1


def test_a_job_that_fails_takes_no_other_with_it(engine):
    def good(db):
        db.execute(insert(AUDIT).values(actor="x"))
        return "done"

    def bad(db):
        db.execute(insert(AUDIT).values(actor="y"))
        raise KeyError("bad")

    writer = Writer(engine)
    futures = [writer.submit(job) for job in [good, bad] * 20]
    writer.close()
    assert [f.result() for f in futures[::2]] == ["done"] * 20
    assert all(isinstance(f.exception(), KeyError) for f in futures[1::2])
    with engine.begin() as db:
        assert db.execute(select(func.count()).select_from(AUDIT)).scalar() == 20
        assert set(db.execute(select(AUDIT.c.actor)).scalars()) == {"x"}


def test_a_job_that_nobody_waits_for_does_not_stop_the_writer(engine):
    writer = Writer(engine)
    stop = threading.Event()
    writer.submit(lambda db: stop.wait(5))
    given_up = writer.submit(lambda db: db.execute(insert(AUDIT).values(actor="x")))
    assert given_up.cancel()
    stop.set()
    assert writer.submit(lambda db: "done").result(5) == "done"
    writer.close()
    with reading(engine) as db:
        assert db.execute(select(func.count()).select_from(AUDIT)).scalar() == 0


def test_who_reads_holds_nobody_up(engine):
    with reading(engine) as db:
        db.execute(select(AUDIT)).all()
        with engine.begin() as other:
            other.execute(insert(AUDIT).values(actor="x"))
