"""What commands print for programs."""

import json

import numpy as np
import pandas as pd

from metamers.cli import output
from metamers.cli.output import give_json, plain_rows


def test_what_is_no_finite_number_is_null(capsys):
    table = pd.DataFrame(
        {
            "n": pd.array([1, None], dtype="Int64"),
            "right": pd.array([True, None], dtype="boolean"),
            "share": [0.5, np.nan],
            "f": [np.inf, -np.inf],
            "k": np.array([3, 4]),
        }
    )
    give_json({"rows": plain_rows(table), "p": float("nan"), "pair": (1.5, float("inf"))})
    out = capsys.readouterr().out
    assert out.count("\n") == 1
    assert json.loads(out) == {
        "rows": [
            {"n": 1, "right": True, "share": 0.5, "f": None, "k": 3},
            {"n": None, "right": None, "share": None, "f": None, "k": 4},
        ],
        **{"p": None, "pair": [1.5, None]},
    }


def test_an_iterator_is_a_list(capsys):
    items = ({"i": i, "share": float("nan")} for i in range(2))
    give_json({"rows": items, "none": iter(()), "inner": {"rows": iter("ab")}})
    rows = [{"i": 0, "share": None}, {"i": 1, "share": None}]
    assert json.loads(capsys.readouterr().out) == {"rows": rows, "none": [], "inner": {"rows": ["a", "b"]}}
    give_json({})
    assert capsys.readouterr().out == "{}\n"


def test_when_other_work_begins_the_remaining_time_is_its_own(capsys, monkeypatch):
    now = [0.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    with output.progress() as update:
        for done, total in ((0, 1000), (100, 1000), (900, 1000), (10, 200), (30, 200)):
            now[0] += 10
            update(done, total, "work")
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 5 and not any("-" in line for line in lines)
    assert "remaining time unknown yet" in lines[3] and "85 s left" in lines[4]  # 170 at 2 a second
