"""One process at a time works on a run."""

import json
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from typing import Any

from metamers.errors import MetamersError
from metamers.store.files import clear_disk_errors, write_json

LOCK = "lock.json"
STALE_SECONDS = 600.0
"""A lock that its owner has not touched for so long was left behind."""
UNWRITTEN_SECONDS = 10.0
"""So was one that holds nothing yet."""
TOUCH_SECONDS = 30.0

Tell = Callable[[int], None]
"""Tells whoever asks for the owner how many cells it is making now."""


@contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda note: None) -> Iterator[Tell]:
    """Own a run's folder. The lock is touched every 30 s, to show that its owner lives; what is given is called with
    the number of cells that are being made.

    A lock whose owner has died is taken over, and that is said. Raises MetamersError where another process works on the
    run, naming it.
    """
    path, ended = folder / LOCK, Event()
    with clear_disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        own = _take(path, say)
    heart = Thread(target=_touch, args=(path, ended), daemon=True)
    heart.start()
    try:
        yield lambda running: _tell(path, {**own, "running": running})
    finally:
        ended.set()
        heart.join()
        if _is_own(path, own):
            path.unlink(missing_ok=True)


def owner(folder: Path) -> dict[str, Any] | None:
    """Who works on a run: host, process, when it began, how many cells are being made; None where nobody does."""
    path = folder / LOCK
    held = _read(path)
    return None if held is None or _is_stale(path, held) else held


def _touch(path: Path, ended: Event) -> None:
    while not ended.wait(TOUCH_SECONDS):
        with suppress(OSError):
            os.utime(path)


def _tell(path: Path, own: dict[str, Any]) -> None:
    if _is_own(path, own):
        write_json(path, own)


def _is_own(path: Path, own: dict[str, Any]) -> bool:
    return bool((_read(path) or {}).get("token") == own["token"])


def _take(path: Path, say: Callable[[str], None]) -> dict[str, Any]:
    own = {
        **{"host": socket.gethostname(), "process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S%z")},
        **{"running": 0, "token": secrets.token_hex(8)},
    }
    for _ in range(3):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(json.dumps(own))
            return own
        except FileExistsError:
            _let_go(path, say)
    raise MetamersError(f"{path.parent}: another process began to work on this run just now; wait for it")


def _let_go(path: Path, say: Callable[[str], None]) -> None:
    """Remove a lock that was left behind. Raises MetamersError where its owner lives."""
    held = _read(path)
    if held is None:
        return
    stale = _is_stale(path, held)
    if not held and not stale:
        raise MetamersError(f"{path.parent}: another process begins to work on this run just now; wait for it")
    if not stale:
        raise MetamersError(
            f"{path.parent}: process {held.get('process')} on {held.get('host')} has worked on this run since "
            f"{held.get('since')}; wait for it or stop it (left behind, {LOCK} counts no more after "
            f"{STALE_SECONDS / 60:.0f} minutes)"
        )
    aside = path.with_name(f".{LOCK}.{secrets.token_hex(8)}.tmp")
    try:
        path.rename(aside)  # of several that would take it over, one succeeds
    except FileNotFoundError:
        return
    if _read(aside) != held:  # somebody else's new one
        aside.rename(path)
        return
    aside.unlink(missing_ok=True)
    by = (
        f"process {held.get('process')} on {held.get('host')}" if held else "a process that was killed at its beginning"
    )
    say(f"a run that {by} left behind is taken over")


def _read(path: Path) -> dict[str, Any] | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:  # its owner was killed while writing it
        return {}
    return held if isinstance(held, dict) else {}


def _is_stale(path: Path, held: dict[str, Any]) -> bool:
    if held.get("host") == socket.gethostname() and not _lives(held.get("process")):
        return True
    try:
        return now(path.parent) - path.stat().st_mtime > (STALE_SECONDS if held else UNWRITTEN_SECONDS)
    except OSError:  # gone, or a disk that can only be read
        return False


def now(folder: Path) -> float:
    """The time by the clock of the folder's disk, which machines share. Raises OSError where it cannot be written."""
    probe = folder / f".{LOCK}.{secrets.token_hex(8)}.tmp"
    try:
        probe.touch()
        return probe.stat().st_mtime
    finally:
        with suppress(OSError):
            probe.unlink(missing_ok=True)


def _lives(process: object) -> bool:
    if not isinstance(process, int):
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
