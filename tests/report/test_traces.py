"""Which traces are drawn, and that they are those of the records."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from metamers.report.results import read_results
from metamers.report.traces import MAX_TRACES, read_traces, traced


def test_traces_are_thinned_from_worst_to_best(run: Path) -> None:
    cell = next(iter(read_results(run).cells))
    many = [replace(cell, last_snr_db=float(i)) for i in np.random.default_rng(0).permutation(400)]
    drawn = [c.last_snr_db or 0.0 for c in traced([*many, replace(cell, last_snr_db=None)])]
    assert len(drawn) == MAX_TRACES and drawn == sorted(drawn)
    assert drawn[0] == 0 and drawn[-1] == 399


def test_traces_are_those_of_the_records(make_run: Callable[..., Path]) -> None:
    run = make_run("traces", models=["m"], stages=["a"], references=5, null=False, responses=False)
    (path,) = (run / "batches").rglob("*.json")
    record = json.loads(path.read_text())
    for cell, values in zip(record["cells"], ([None, 2.5], [1.0, None], [], [None, None], None), strict=True):
        cell["trace"] = None if values is None else {"step": [0, 50][: len(values)], "snr_db": values}
    path.write_text(json.dumps(record))
    results = read_results(run)
    assert [c.last_snr_db for c in results.cells] == [2.5, 1.0, None, None, None]
    traces = read_traces(results.store, traced(results.cells))
    first, second = (traces[c.cell] for c in [*results.cells][:2])
    np.testing.assert_equal(first.snr_db, [np.nan, 2.5])
    np.testing.assert_equal(second.snr_db, [1.0, np.nan])
    assert len(traces) == 2 and list(first.step) == [0, 50] and first.passed
