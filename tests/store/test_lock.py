"""Two processes never work on one run at once."""

import json
import os
import socket
import subprocess
import sys
import time

import pytest

from metamers.errors import MetamersError
from metamers.store import lock as lock_module
from metamers.store.lock import LOCK, STALE_SECONDS, UNWRITTEN_SECONDS, locked, owner


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


def test_a_lock_that_holds_nothing_is_waited_for_a_moment(tmp_path):
    (tmp_path / LOCK).write_text("")
    with pytest.raises(MetamersError, match="begins to work on this run just now"), locked(tmp_path):
        pass
    old = (tmp_path / LOCK).stat().st_mtime - UNWRITTEN_SECONDS - 1
    os.utime(tmp_path / LOCK, (old, old))
    said: list[str] = []
    with locked(tmp_path, said.append):
        assert said == ["a run that a process that was killed at its beginning left behind is taken over"]


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
    monkeypatch.setattr(lock_module, "TOUCH_SECONDS", 0.01)
    with locked(tmp_path):
        os.utime(tmp_path / LOCK, (0, 0))
        deadline = time.monotonic() + 10
        while (tmp_path / LOCK).stat().st_mtime == 0:
            assert time.monotonic() < deadline
            time.sleep(0.01)


def test_an_owner_that_lost_its_lock_leaves_the_new_one(tmp_path):
    with locked(tmp_path):
        leave(tmp_path)
    assert (owner(tmp_path) or {})["host"] == "elsewhere"


def test_a_process_of_this_machine_that_has_the_number_of_a_dead_one_does_not_hold_the_lock_for_ever(tmp_path):
    leave(tmp_path, host=socket.gethostname(), process=os.getpid())
    old = (tmp_path / LOCK).stat().st_mtime - STALE_SECONDS - 60
    os.utime(tmp_path / LOCK, (old, old))
    with locked(tmp_path):
        pass
    assert not list(tmp_path.iterdir())
