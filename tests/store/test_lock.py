"""Two processes never work on one run at once."""

import json
import os
import socket
import subprocess
import sys

import pytest

from metamers.errors import MetamersError
from metamers.store import lock as lock_module
from metamers.store.lock import LOCK, STALE_SECONDS, locked, owner


def leave(folder, **held):
    (folder / LOCK).write_text(json.dumps({"host": "elsewhere", "process": 1, "since": "then"} | held))


def a_dead_process():
    return subprocess.run(
        [sys.executable, "-c", "import os; print(os.getpid())"], check=True, capture_output=True
    ).stdout.decode()


def test_a_run_is_owned_while_it_is_worked_on(tmp_path):
    with locked(tmp_path):
        assert (owner(tmp_path) or {})["process"] == os.getpid()
        with pytest.raises(MetamersError, match=f"process {os.getpid()} on .* wait for it"), locked(tmp_path):
            pass
        assert owner(tmp_path)  # the refused one left it
    assert owner(tmp_path) is None and not list(tmp_path.iterdir())


def test_what_a_dead_process_left_is_taken_over_and_said(tmp_path):
    leave(tmp_path, host=socket.gethostname(), process=int(a_dead_process()))
    said: list[str] = []
    with locked(tmp_path, said.append):
        assert (owner(tmp_path) or {})["process"] == os.getpid()
    assert len(said) == 1 and "taken over" in said[0]


@pytest.mark.parametrize("text", ["", "[]", '{"host": "els'])
def test_a_lock_that_was_never_written_whole_is_not_for_ever(tmp_path, text):
    (tmp_path / LOCK).write_text(text)
    old = (tmp_path / LOCK).stat().st_mtime - STALE_SECONDS - 60
    os.utime(tmp_path / LOCK, (old, old))
    with locked(tmp_path):
        pass


def test_another_machines_lock_is_stale_only_by_the_clock_of_the_disk(tmp_path, monkeypatch):
    monkeypatch.setattr("time.time", lambda: 0.0)  # this machine's clock is wrong
    leave(tmp_path)
    with pytest.raises(MetamersError, match="process 1 on elsewhere"), locked(tmp_path):
        pass
    old = (tmp_path / LOCK).stat().st_mtime - STALE_SECONDS - 60
    os.utime(tmp_path / LOCK, (old, old))
    assert owner(tmp_path) is None
    with locked(tmp_path):
        pass


def test_the_owner_shows_that_it_lives(tmp_path, monkeypatch):
    with locked(tmp_path) as touch:
        old = (tmp_path / LOCK).stat().st_mtime - 100
        os.utime(tmp_path / LOCK, (old, old))
        touch()
        assert (tmp_path / LOCK).stat().st_mtime == old  # not at every step
        monkeypatch.setattr(lock_module, "TOUCH_SECONDS", 0.0)
        touch()
        assert (tmp_path / LOCK).stat().st_mtime > old
