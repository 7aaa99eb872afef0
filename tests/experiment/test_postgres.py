"""An experiment whose data are kept by PostgreSQL."""

import csv
import os
import shutil
import socket
import subprocess
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

import pytest
from sqlalchemy import func, select

from metamers.errors import MetamersError
from metamers.experiment.database import RESPONSE
from metamers.experiment.export import export
from metamers.experiment.opened import open_experiment
from metamers.experiment.simulate import simulate

FOUND = [*map(str, Path("/usr/lib/postgresql").glob("*/bin/initdb"))]
INITDB = shutil.which("initdb") or (FOUND[-1] if FOUND else None)
pytestmark = pytest.mark.skipif(INITDB is None, reason="no PostgreSQL on this machine: it was NOT tried")


@pytest.fixture(scope="module")
def url():
    """A server of our own, on a port of this machine."""
    pytest.importorskip("psycopg", reason="no psycopg: PostgreSQL was NOT tried")
    # Not in pytest's folder, which is for its owner alone.
    binaries, folder = Path(str(INITDB)).resolve().parent, Path(mkdtemp(prefix="postgres"))
    # It refuses to run as root.
    options: dict[str, Any] = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.getuid() == 0 else {}
    if options:
        shutil.chown(folder, "postgres", "postgres")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own: dict[str, Any] = {**options, "cwd": folder, "check": True, "stdout": subprocess.DEVNULL}
    data = str(folder / "data")
    subprocess.run([str(binaries / "initdb"), "-D", data, "-A", "trust", "-U", "me"], **own)
    control = [str(binaries / "pg_ctl"), "-D", data, "-w", "-l", str(folder / "log")]
    listen = f"-p {port} -k {folder} -c listen_addresses=127.0.0.1"
    subprocess.run([*control, "-o", listen, "start"], **own)
    yield f"postgresql://me@127.0.0.1:{port}/postgres"
    subprocess.run([*control, "-m", "immediate", "stop"], **own)
    shutil.rmtree(folder)


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


def test_a_server_that_is_not_there_is_one_clear_line(experiment):
    with pytest.raises(MetamersError, match="cannot be used") as error:
        open_experiment(experiment, "postgresql://me:secret@127.0.0.1:1/none")
    assert "secret" not in str(error.value) and "\n" not in str(error.value)
