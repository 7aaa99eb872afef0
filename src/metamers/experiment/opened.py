"""An experiment with its database."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine

from metamers.experiment.database import VERSION, open_database
from metamers.experiment.making import FILE, read_experiment
from metamers.experiment.manifest import TABLE
from metamers.experiment.trials import Design
from metamers.store import sha256

DATABASE = "data.sqlite"


@dataclass(frozen=True)
class Opened:
    """An experiment and its database."""

    folder: Path
    design: Design
    hash: str
    engine: Engine


def open_experiment(folder: Path, database: str | None = None) -> Opened:
    """The experiment in a folder, with its database: a URL or a file of SQLite, by default in the folder.

    Raises MetamersError as `read_experiment` and `open_database` do.
    """
    config, stimuli = read_experiment(folder)
    digest = hashlib.sha256((sha256((folder / FILE).read_bytes()) + sha256((folder / TABLE).read_bytes())).encode())
    values = {"name": config.name, "version": VERSION, "config": config.model_dump(mode="json", by_alias=True)}
    engine = open_database(database or str(folder / DATABASE), {"hash": digest.hexdigest(), **values})
    return Opened(folder, Design(config, stimuli), digest.hexdigest(), engine)
