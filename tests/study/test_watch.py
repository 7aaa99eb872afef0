"""What is told of a study while it is made."""

from metamers.store import Store
from metamers.study.watch import Watch


def record(*verdicts):
    return {
        "id": "b",
        "model": "m",
        "stage": "s",
        "recipe": "r",
        "seed": 0,
        "cells": [{"verdict": verdict} for verdict in verdicts],
    }


class OfEarlier(Store):
    def batches(self):
        return iter([record("passed", "passed")])


def test_cells_are_counted_and_told(tmp_path, monkeypatch):
    clock = iter([0.0, 2.0, 2.0, 4.0, 4.0, 4.0])
    monkeypatch.setattr("time.monotonic", lambda: next(clock))
    told, events, running = list[tuple[float, float, str]](), list[object](), list[int]()
    watch = Watch(4, 8, lambda *of: told.append(of), events.append, running.append)
    assert watch.begin(OfEarlier(tmp_path)) == 2
    watch.finished("m s")  # the batch of before
    watch.running(2)
    watch.at(0.5, "m s, batch 2")
    watch.finished("m s", record("passed", "failed"))
    watch.finished("m s", record("error", "no null"))
    assert [of[:2] for of in told] == [(1, 4), (1.5, 4), (2, 4), (3, 4)]
    assert told[1][2] == "2 of 8 cells, 2 verified, 0 failed; m s, batch 2"
    assert told[2][2] == "4 of 8 cells, 3 verified, 1 failed, 1 a second; m s"
    assert told[3][2] == "6 of 8 cells, 3 verified, 1 failed, 1 could not be made, 1 a second; m s"
    assert running == [2]
    counts = {"event": "batch", "batch": "b", "model": "m", "stage": "s", "recipe": "r", "seed": 0}
    counts |= {"cells": 8, "cells_per_second": 1.0}
    assert events == [
        {**counts, "done": 4, "passed": 3, "failed": 1, "no_null": 0, "error": 0, "seconds_left": 4.0},
        {**counts, "done": 6, "passed": 3, "failed": 1, "no_null": 1, "error": 1, "seconds_left": 2.0},
    ]
