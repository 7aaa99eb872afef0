"""What is kept on the disk while it is needed, so that memory does not grow with the number of cells."""

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from hashlib import blake2b
from typing import Any

from metamers.errors import MetamersError

_CACHE_KIB = 256
"""Of a database in memory; the rest lies in its file."""


class TemporaryDatabase(sqlite3.Connection):
    """A connection that says clearly where the disk is full (MetamersError)."""

    def execute(self, *command: Any) -> sqlite3.Cursor:
        """As of any connection."""
        with _clear_errors():
            return super().execute(*command)

    def select(self, *command: Any) -> Iterator[tuple[Any, ...]]:
        """The rows that a query finds, one after another."""
        with _clear_errors():  # as what was not yet written may be written now
            yield from super().execute(*command)

    def executemany(self, *command: Any) -> sqlite3.Cursor:
        """As of any connection."""
        with _clear_errors():
            return super().executemany(*command)


def temporary_database() -> TemporaryDatabase:
    """A database of this process alone, in a temporary file that is gone with the connection."""
    database = sqlite3.connect("", isolation_level=None, factory=TemporaryDatabase)
    for setting in (f"cache_size = -{_CACHE_KIB}", "journal_mode = OFF", "synchronous = OFF", "temp_store = FILE"):
        database.execute(f"PRAGMA {setting}")
    database.execute("BEGIN")  # never ended, so that no row costs a commit
    return database


class Lookup:
    """A mapping of texts to texts that tells only whether a key is there, and whether a value is its own.

    Hashes of 8 bytes stand for keys and values. Of two values of a key, the later counts.
    """

    def __init__(self, pairs: Iterable[tuple[str, str]] = ()) -> None:
        self._database = temporary_database()
        self._database.execute("CREATE TABLE lookup (key INTEGER PRIMARY KEY, value INTEGER)")
        rows = ((_brief(key), _brief(value)) for key, value in pairs)
        self._database.executemany("INSERT OR REPLACE INTO lookup VALUES (?, ?)", rows)

    def __contains__(self, key: object) -> bool:
        return isinstance(key, str) and self._value(key) is not None

    def holds(self, key: str, value: str) -> bool:
        """Whether `value` is that of `key`."""
        return self._value(key) == _brief(value)

    def add(self, key: str) -> bool:
        """Put a key in, whose value is empty; whether it is new."""
        command = "INSERT OR IGNORE INTO lookup VALUES (?, ?)"
        return self._database.execute(command, (_brief(key), _brief(""))).rowcount > 0

    def _value(self, key: str) -> int | None:
        found = self._database.execute("SELECT value FROM lookup WHERE key = ?", (_brief(key),)).fetchone()
        return None if found is None else int(found[0])


def sorted_on_disk(records: Iterable[dict[str, Any]], key: Callable[[dict[str, Any]], str]) -> Iterator[dict[str, Any]]:
    """Records that JSON can hold, by key; those of one key as they came."""
    database = temporary_database()
    database.execute("CREATE TABLE records (key TEXT, record TEXT)")
    rows = ((key(record), json.dumps(record)) for record in records)
    database.executemany("INSERT INTO records VALUES (?, ?)", rows)
    return (json.loads(record) for (record,) in database.select("SELECT record FROM records ORDER BY key, rowid"))


@contextmanager
def _clear_errors() -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode & 0xFF not in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN):
            raise
        raise MetamersError(
            f"the disk for temporary files is full or cannot be written ({error}); free some space there, or name "
            "another folder in SQLITE_TMPDIR, and run the same command again"
        ) from error


def _brief(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), signed=True)
