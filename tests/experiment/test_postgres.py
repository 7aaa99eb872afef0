"""An experiment whose data are kept by PostgreSQL."""

import asyncio
import csv
import time

import pytest
from benchmarks.postgres import INITDB, local_postgres
from sqlalchemy import func, select
from tests.experiment.conftest import asked
from tests.experiment.test_identities import recognized_after_the_purge

from metamers.errors import MetamersError
from metamers.experiment.database import RESPONSE, SESSION, Writer
from metamers.experiment.export import export
from metamers.experiment.messages import Begin, Consent
from metamers.experiment.opened import open_experiment
from metamers.experiment.server import create_app
from metamers.experiment.sessions import Sessions
from metamers.experiment.simulate import simulate

pytestmark = pytest.mark.skipif(INITDB is None, reason="no PostgreSQL on this machine: it was NOT tried")


@pytest.fixture
def url():
    """A server of our own, on a port of this machine."""
    pytest.importorskip("psycopg", reason="no psycopg: PostgreSQL was NOT tried")
    with local_postgres() as address:
        yield address


def test_what_was_answered_is_kept_and_exported(experiment, url, tmp_path):
    opened = open_experiment(experiment, url)
    visits = simulate(opened, 9, seed=0)
    export(opened, tmp_path / "out")
    with (tmp_path / "out" / "trials.csv").open(newline="") as file:
        trials = [row for row in csv.DictReader(file) if row["state"] == "answered"]
    ids = {stimulus.cell: stimulus.stimulus for stimulus in opened.design.stimuli}
    for number, visit in enumerate(visits, 1):
        own = [row for row in trials if row["participant"] == f"p{number:04d}"]
        assert {int(row["trial"]): (ids[row["cell"]], row["response"]) for row in own} == visit.answers
    with opened.engine.begin() as db:
        assert db.execute(select(func.count()).select_from(RESPONSE)).scalar() == len(trials)
    opened.engine.dispose()
    path = experiment / "experiment.yaml"
    path.write_text(path.read_text().replace("breaks: 1", "breaks: 2"))
    with pytest.raises(MetamersError, match="which is another, or was changed"):
        open_experiment(experiment, url)


def test_who_took_part_is_recognized_after_the_purge(experiment, url):
    recognized_after_the_purge(experiment, url)


def test_two_servers_deal_no_trial_list_twice(experiment, url):
    consent = Consent(decision="agreed", language="en", text_hash="0" * 64)
    opened = [open_experiment(experiment, url) for _ in range(2)]
    writers = [Writer(each.engine) for each in opened]

    def take_part(db):
        sessions = Sessions(opened[0].design, opened[0].hash, "live", b"k" * 64)
        sessions.consent(db, sessions.begin(db, Begin())["session"], consent)
        time.sleep(0.05)  # so that the other would come in between

    writers[0].submit(take_part).result()  # the first freezes the experiment, for which they wait for each other anyway
    for done in [writer.submit(take_part) for _ in range(10) for writer in writers]:
        done.result()
    with opened[0].engine.begin() as db:
        assert sorted(db.execute(select(SESSION.c.list_number)).scalars()) == list(range(21))
    for writer, each in zip(writers, opened, strict=True):
        writer.close()
        each.engine.dispose()


def test_an_address_that_postgres_cannot_keep_is_an_unknown_one(experiment, url):
    opened = open_experiment(experiment, url)
    writer = Writer(opened.engine)
    app = create_app(opened, Sessions(opened.design, opened.hash, "live", b"k" * 64), writer, secure=False)
    json = {"content-type": "application/json"}
    _, given, _ = asyncio.run(asked(app, "POST", "/api/sessions", b"{}", json))
    status, _, told = asyncio.run(asked(app, "GET", "/media/%00", b"", {"cookie": given["set-cookie"]}))
    writer.close()
    opened.engine.dispose()
    assert (status, told) == (404, b'{"reason":"unknown"}')


def test_a_server_that_is_not_there_is_one_clear_line(experiment):
    with pytest.raises(MetamersError, match="cannot be used") as error:
        open_experiment(experiment, "postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(error.value) and "\n" not in str(error.value)
