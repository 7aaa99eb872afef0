"""One process at a time works on a run."""

import json
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from metamers.errors import MetamersError
from metamers.store.files import clear_disk_errors

LOCK = "lock.json"
STALE_SECONDS = 600.0
"""A lock of another machine whose owner has not touched it for so long was left behind."""
TOUCH_SECONDS = 30.0


@contextmanager
def locked(folder: Path, say: Callable[[str], None] = lambda note: None) -> Iterator[Callable[[], None]]:
    """Own a run's folder; what is given is to be called from time to time, to show that the owner lives.

    A lock whose owner has died is taken over, and that is said. Raises MetamersError where another process works on the
    run, naming it.
    """
    path = folder / LOCK
    with clear_disk_errors(path):
        folder.mkdir(parents=True, exist_ok=True)
        _take(path, say)
    touched = time.monotonic()

    def touch() -> None:
        nonlocal touched
        if time.monotonic() - touched >= TOUCH_SECONDS:
            touched = time.monotonic()
            with clear_disk_errors(path):
                path.touch()

    try:
        yield touch
    finally:
        path.unlink(missing_ok=True)


def owner(folder: Path) -> dict[str, object] | None:
    """Who works on a run: host, process and when it began; None where nobody does."""
    path = folder / LOCK
    held = _read(path)
    return None if held is None or _is_stale(path, held) else held


def _take(path: Path, say: Callable[[str], None]) -> None:
    own = {"host": socket.gethostname(), "process": os.getpid(), "since": time.strftime("%Y-%m-%d %H:%M:%S%z")}
    for _ in range(2):
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(json.dumps(own))
            return
        except FileExistsError:
            held = _read(path)
            if held is not None and not _is_stale(path, held):
                raise MetamersError(
                    f"{path.parent}: process {held.get('process')} on {held.get('host')} has worked on this run since "
                    f"{held.get('since')}; wait for it, or stop it"
                ) from None
            say(f"a run that process {(held or {}).get('process')} left behind is taken over")
            path.unlink(missing_ok=True)
    raise MetamersError(f"{path.parent}: another process began to work on this run just now; wait for it")


def _read(path: Path) -> dict[str, object] | None:
    try:
        held = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:  # its owner was killed while writing it
        return {}
    return held if isinstance(held, dict) else {}


def _is_stale(path: Path, held: dict[str, object]) -> bool:
    if held.get("host") == socket.gethostname() and isinstance(held.get("process"), int):
        return not _lives(int(str(held["process"])))
    probe = path.with_suffix(".now")  # the clock of the disk, which machines share
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime > STALE_SECONDS
    except FileNotFoundError:
        return True
    finally:
        probe.unlink(missing_ok=True)


def _lives(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
