"""Where an experiment's data are kept: its tables, and one writer that commits in groups."""

import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from sqlalchemy import (
    JSON,
    Boolean,
    Column,
    Connection,
    Engine,
    Float,
    ForeignKey,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    create_engine,
    event,
    insert,
    inspect,
    make_url,
    select,
)
from sqlalchemy.exc import ArgumentError, OperationalError, SQLAlchemyError

from metamers.errors import MetamersError

if TYPE_CHECKING:
    from sqlalchemy import Inspector

T = TypeVar("T")

VERSION = 2
"""Of the tables."""

_LOCK = 0x3E7A3E5
"""Of the database, by which its writers wait for each other."""

METADATA = MetaData()


def _of_session() -> Column[str]:
    return Column("session_id", ForeignKey("session.session_id"), primary_key=True)


EXPERIMENT = Table(
    *("experiment", METADATA),
    Column("hash", String(64), primary_key=True),
    *(Column("name", Text), Column("version", Integer), Column("config", JSON)),
    *(Column("created_at", String(32)), Column("frozen_at", String(32)), Column("key_check", String(64))),
)
"""`key_check` tells the key of `identity_hash` from another."""
SESSION = Table(
    *("session", METADATA),
    Column("session_id", String(32), primary_key=True),
    *(Column("token_hash", String(64)), Column("mode", String(16)), Column("state", String(16))),
    *(Column("list_number", Integer), Column("experiment_hash", String(64)), Column("outcome_code", String(64))),
    *(Column("created_at", String(32)), Column("consented_at", String(32)), Column("finished_at", String(32))),
    *(Column("last_seen_at", String(32)), Column("last_seq", Integer, default=0), Column("n_resumes", Integer)),
    *(Column("lease", String(32)), Column("reason", Text), Column("environment", JSON)),
)
"""`list_number` is that of its trial list. `lease` names the browser tab that may send events. `last_seq` is the number
of the last event that is kept: there is no gap before it."""
IDENTITY = Table(
    *("identity", METADATA),
    _of_session(),
    *(Column("source", String(16)), Column("external_id", Text), Column("study_ref", Text)),
    *(Column("session_ref", Text), UniqueConstraint("source", "external_id")),
)
"""Who a participant is, apart from the data."""
IDENTITY_HASH = Table(
    *("identity_hash", METADATA),
    _of_session(),
    Column("digest", String(64), unique=True),
)
"""By what a participant is recognized, also once the identity was deleted: see `metamers.experiment.identities`."""
CONSENT = Table(
    *("consent", METADATA),
    _of_session(),
    *(Column("text_hash", String(64)), Column("language", String(8)), Column("decision", String(8))),
    Column("at", String(32)),
)
ANSWER = Table(
    *("answer", METADATA),
    _of_session(),
    *(Column("form", String(32), primary_key=True), Column("item", String(64), primary_key=True)),
    Column("value", Text),
)
TRIAL = Table(
    *("trial", METADATA),
    _of_session(),
    Column("trial_no", Integer, primary_key=True),
    *(Column("block", Integer), Column("phase", String(16)), Column("stimulus_id", String(16))),
    *(Column("reference", Text), Column("condition", Text), Column("label", Text), Column("substituted", Boolean)),
    *(Column("assigned", Text), Column("media", String(32), index=True, unique=True), Column("mask_seed", Integer)),
    *(Column("first_id", String(16)), Column("first_media", String(32), index=True, unique=True)),
    *(Column("second_id", String(16)), Column("second_media", String(32), index=True, unique=True)),
    *(Column("state", String(16)), Column("attempts", Integer)),
)
"""Written whole before the first trial. `assigned` is the condition that was to be shown, `condition` that which is.
`first_id` and `second_id` are the candidates of tasks with pairs, whose main trials have no `label`. `state` is
waiting, shown, answered, interrupted or not needed (of a further attempt at a gate that was passed); `attempts` counts
how often it was shown."""
RESPONSE = Table(
    *("response", METADATA),
    _of_session(),
    Column("trial_no", Integer, primary_key=True),
    Column("attempt", Integer, primary_key=True),
    *(Column("response", Text), Column("response_raw", Text), Column("correct", Boolean), Column("timed_out", Boolean)),
    *(Column(name, Float) for name in ("rt_ms", "fixation_ms", "stimulus_ms", "mask_ms", "hidden_ms", "refresh_hz")),
    Column("output_latency_ms", Float),
    *(Column("dropped_frames", Integer), Column("timing_ok", Boolean), Column("media_ok", Boolean)),
    *(Column("received_at", String(32)), Column("seq", Integer)),
)
EVENT = Table(
    *("event", METADATA),
    _of_session(),
    Column("seq", Integer, primary_key=True),
    *(Column("type", String(16)), Column("t_ms", Float), Column("payload", JSON)),
    *(Column("sha256", String(64)), Column("received_at", String(32))),
)
CHECK = Table(
    *("gate", METADATA),
    _of_session(),
    *(Column("name", String(16), primary_key=True), Column("attempt", Integer, primary_key=True)),
    *(Column("score", Integer), Column("n", Integer), Column("threshold", Integer), Column("passed", Boolean)),
)
CONFLICT = Table(
    *("conflict", METADATA),
    Column("conflict_id", Integer, primary_key=True),
    *(Column("session_id", ForeignKey("session.session_id")), Column("seq", Integer), Column("sha256", String(64))),
    *(Column("payload", JSON), Column("received_at", String(32))),
)
"""Events that came under a number that another event has."""
AUDIT = Table(
    *("audit", METADATA),
    Column("audit_id", Integer, primary_key=True),
    *(Column("at", String(32)), Column("actor", Text), Column("action", String(32)), Column("detail", Text)),
)


def now() -> str:
    """The time, UTC, ISO 8601 with milliseconds."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def open_database(where: str, experiment: dict[str, Any]) -> Engine:
    """The database at a URL or a file of SQLite, for the experiment of these values (a row of `experiment`); its tables
    are made where there are none.

    Raises MetamersError for a database that cannot be opened, holds another experiment or other tables, or was written
    by another version.
    """
    engine = connect(where)
    try:
        _prepare(engine, experiment)
    except BaseException:
        engine.dispose()
        raise
    return engine


def _prepare(engine: Engine, experiment: dict[str, Any]) -> None:
    try:
        with engine.begin() as connection:
            there = set(inspect(connection).get_table_names())
            if there and not (METADATA.tables.keys() <= there and _columns() <= _columns(inspect(connection))):
                raise MetamersError(f"{_told(engine)}: holds other tables, or those of another version; give a new one")
            METADATA.create_all(connection)
            rows = connection.execute(select(EXPERIMENT)).mappings().all()
            if not rows:
                connection.execute(insert(EXPERIMENT).values(**experiment, created_at=now()))
            _require_same(_told(engine), [dict(row) for row in rows], experiment)
    except (OperationalError, SQLAlchemyError) as error:
        raise MetamersError(f"{_told(engine)}: cannot be used ({_first_line(error)})") from error


def _columns(found: "Inspector | None" = None) -> set[tuple[str, str]]:
    """The columns of the tables, as they should be or as they are found."""
    if found is None:
        return {(name, column.name) for name, table in METADATA.tables.items() for column in table.columns}
    return {(name, column["name"]) for name in METADATA.tables for column in found.get_columns(name)}


def connect(where: str) -> Engine:
    """An engine for a URL or a file of SQLite. Raises MetamersError for what is no URL, or an unknown kind."""
    url = where if "://" in where else f"sqlite:///{Path(where).absolute()}"
    try:
        parsed = make_url(url)
        if parsed.drivername == "postgresql":
            parsed = parsed.set(drivername="postgresql+psycopg")
        engine = create_engine(parsed, pool_pre_ping=True)
    except (ArgumentError, ImportError, SQLAlchemyError) as error:
        told = "install the extra: pip install 'metamers[postgres]'" if "psycopg" in str(error) else _first_line(error)
        raise MetamersError(f"database '{where.split('@')[-1]}': {told}") from error
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _durable)
        event.listen(engine, "begin", _begin)
    else:
        event.listen(engine, "begin", _write_alone)
    return engine


class Writer:
    """One thread that writes. What waits is committed together, so that a hundred participants share a sync of the
    disk; each job is kept or dropped by itself."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._jobs: SimpleQueue[tuple[Callable[[Connection], Any], Future[Any]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name="writer", daemon=True)
        self._thread.start()

    def submit(self, job: Callable[[Connection], T]) -> "Future[T]":
        """Do a job in a transaction; its result comes once it is on the disk."""
        future: Future[T] = Future()
        self._jobs.put((job, future))
        return future

    def close(self) -> None:
        """Finish what waits."""
        self._jobs.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._jobs.get()) is not None:
            group, last = [first], False
            while not self._jobs.empty():
                if (job := self._jobs.get()) is None:
                    last = True
                    break
                group.append(job)
            self._commit([(job, future) for job, future in group if future.set_running_or_notify_cancel()])
            if last:
                return

    def _commit(self, group: list[tuple[Callable[[Connection], Any], "Future[Any]"]]) -> None:
        done: list[tuple[Future[Any], Any]] = []
        try:
            with self._engine.begin() as connection:
                for job, future in group:
                    try:
                        with connection.begin_nested():
                            done.append((future, job(connection)))
                    except OperationalError:  # of the disk or the database, not of the job
                        raise
                    except Exception as error:
                        future.set_exception(error)
        except Exception as error:  # whoever waits is told, and the thread goes on
            for _, future in group:
                if not future.done():
                    future.set_exception(error)
        else:
            for future, result in done:
                future.set_result(result)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """A transaction that only reads, and holds nobody up."""
    with engine.connect().execution_options(reading=True) as connection, connection.begin():
        yield connection


def _begin(connection: Connection) -> None:
    reads = connection.get_execution_options().get("reading")
    connection.exec_driver_sql("BEGIN" if reads else "BEGIN IMMEDIATE")


def _write_alone(connection: Connection) -> None:
    """As SQLite does: of several servers, one writes at a time, so that no two deal the same trial list."""
    if not connection.get_execution_options().get("reading"):
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({_LOCK})")


def _durable(connection: Any, _: object) -> None:
    connection.isolation_level = None  # the driver would begin by itself, but not before a savepoint
    cursor = connection.cursor()
    for pragma in ("journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "busy_timeout=5000"):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _require_same(where: str, rows: list[dict[str, Any]], experiment: dict[str, Any]) -> None:
    for row in rows:
        if row["version"] != VERSION:
            raise MetamersError(f"{where}: written in version {row['version']}, not {VERSION}; use that of metamers")
        if row["hash"] != experiment["hash"]:
            raise MetamersError(
                f"{where}: holds the experiment {row['name']!r} of {row['created_at']}, which is another, or was "
                "changed since; give a new --database"
            )


def _told(engine: Engine) -> str:
    return f"database '{engine.url.render_as_string(hide_password=True)}'"


def _first_line(error: Exception) -> str:
    return str(getattr(error, "orig", None) or error).splitlines()[0]
