"""What commands print for programs."""

import json

import numpy as np
import pandas as pd

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
