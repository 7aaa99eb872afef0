"""What the page says in numbers and tables: counts, failures, the verdicts, and what was run."""

from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from metamers.report.cells import MEASURES, VERDICTS, Cell, Cells
from metamers.report.results import Results
from metamers.store.progress import without_numbers

MAX_FAILURE_ROWS = 100
"""Rows of the table of failures; what is beyond is counted in one line."""
MAX_NAMED = 5
"""References named in a row of failures."""


def verdicts(cells: Cells) -> dict[str, int]:
    """How many cells have each verdict, zeros included."""
    counts = {verdict: n for (verdict,), n in cells.count("verdict").items()}
    return {verdict: counts.get(verdict, 0) for verdict in (*VERDICTS, *sorted(set(counts) - set(VERDICTS)))}


def stage_rows(results: Results) -> list[dict[str, Any]]:
    """Per model and stage: the number of cells, of each verdict, and the medians of SNR and steps (without errors)."""
    rows = []
    for model, stages in results.stages.items():
        for stage in stages:
            cells = results.cells.of(model=model, stage=stage)
            row = {"model": model, "stage": stage, "n": len(cells), "verdicts": verdicts(cells)}
            medians = {
                name: _median(value for verdict, value in cells.values("verdict", name) if verdict != "error")
                for name in ("snr_db", "n_steps")
            }
            rows.append(row | medians)
    return rows


def null_rows(results: Results) -> list[dict[str, Any]]:
    """Per model and stage: the null's size and maxima, and the smallest value of the metamers for each measure."""
    rows = []
    for model, stages in results.stages.items():
        for stage in stages:
            null = results.nulls.get((model, stage))
            cells = results.cells.of(model=model, stage=stage)
            least = {m: min((x for (x,) in cells.values(m) if x is not None), default=None) for m in MEASURES}
            maxima = {m: null["measures"][m]["max"] if null else None for m in MEASURES}
            rows.append({"model": model, "stage": stage, "null": null, "max": maxima, "least": least})
    return rows


def failures(cells: Iterable[Cell]) -> tuple[list[dict[str, Any]], int]:
    """The cells that failed or met an error, by model, stage, verdict and reason (without its numbers); and how many
    are not shown."""
    groups, named = Counter[tuple[str, ...]](), dict[tuple[str, ...], list[str]]()
    for cell in cells:
        if cell.verdict not in ("passed", "no null"):
            key = cell.model, cell.stage, cell.verdict, without_numbers(cell.reason or "no reason stored")
            groups[key] += 1
            if groups[key] <= MAX_NAMED:
                named.setdefault(key, []).append(cell.reference)
    rows: list[dict[str, Any]] = [
        dict(zip(("model", "stage", "verdict", "reason"), key, strict=True))
        | {"n": n, "named": named[key], "more": n - len(named[key])}
        for key, n in groups.items()
    ]
    return rows[:MAX_FAILURE_ROWS], sum(row["n"] for row in rows[MAX_FAILURE_ROWS:])


def provenance(results: Results) -> list[tuple[str, list[tuple[str, str]]]]:
    """What was run: groups of (name, value) pairs, from study.yaml and the batch records."""
    study = dict(results.study)
    groups = []
    for model in study.pop("models", None) or []:
        shown = model | {"weights": model.get("weights") or "the source's own"}
        groups.append((f"Model {model.get('name', '')}".strip(), flat(shown)))
    for key, title in (("stimuli", "Stimuli"), ("null_stimuli", "Stimuli of the null")):
        value = study.pop(key, None)
        if value:
            groups.append((title, flat(value)))
    groups += [
        (f"Recipe {recipe.get('name', '')}".strip(), flat(recipe)) for recipe in study.pop("recipes", None) or []
    ]
    groups += [(f"Observer {name}", pairs) for name, pairs in _observers(results).items()]
    versions = results.batches.versions
    names = _different(name for version in versions for name in version)
    machine = [(name, ", ".join(_different(version.get(name) for version in versions))) for name in names]
    machine.append(("device", ", ".join(results.batches.devices)))
    machine.append(("computing time", f"{duration(results.batches.seconds)} in {results.batches.n} batches"))
    return [("Run", flat(study)), *groups, ("Machine", machine)]


def _observers(results: Results) -> dict[str, list[tuple[str, str]]]:
    """Who answered: what each model was asked and is, and the files of people's answers."""
    found: dict[str, dict[str, list[str]]] = {}
    asked = ("weights_hash", "labels", "decision", "input_size", "source")
    for record in results.store.responses():
        facts = found.setdefault(record["observer"], {})
        for key in asked:
            if record.get(key) is not None:
                facts.setdefault(key, []).append(flat(record[key])[0][1])
    return {
        name: [(key, ", ".join(_different(values))) for key, values in facts.items()] for name, facts in found.items()
    }


def flat(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested values as (dotted name, text) pairs.

    >>> flat({"name": "fast", "start": {"kind": "noise"}, "seeds": [0, 1], "stop": None})
    [('name', 'fast'), ('start.kind', 'noise'), ('seeds', '0, 1'), ('stop', 'none')]
    """
    if isinstance(value, dict):
        return [pair for key, v in value.items() for pair in flat(v, f"{name}.{key}" if name else str(key))]
    if isinstance(value, list | tuple) and any(isinstance(v, dict | list) for v in value):
        return [pair for i, v in enumerate(value) for pair in flat(v, f"{name}.{i + 1}")]
    if isinstance(value, list | tuple):
        return [(name, ", ".join(map(_text, value)) or "none")]
    return [(name, _text(value))]


def duration(seconds: float) -> str:
    """A time span for reading.

    >>> duration(41.2), duration(200), duration(9000)
    ('41 s', '3 min 20 s', '2 h 30 min')
    """
    s = round(seconds)
    if s < 60:
        return f"{s} s"
    return f"{s // 60} min {s % 60} s" if s < 3600 else f"{s // 3600} h {s % 3600 // 60} min"


def _text(value: Any) -> str:
    if value is None:
        return "none"
    return {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)


def _different(values: Iterable[Any]) -> list[str]:
    return list(dict.fromkeys(str(v) for v in values if v is not None))


def _median(values: Iterable[float | None]) -> float | None:
    known = np.fromiter((value for value in values if value is not None), float)
    return float(np.median(known)) if len(known) else None
