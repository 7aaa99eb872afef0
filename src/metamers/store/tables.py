"""Tidy tables derived from a run's records; they can be rebuilt at any time."""

from typing import TYPE_CHECKING, Any

from metamers.store.current import current_files
from metamers.store.files import write_whole
from metamers.store.store import Store

if TYPE_CHECKING:
    import pandas as pd

KEYS = ("cell", "model", "stage", "recipe", "reference", "seed")
MATCHES = (
    *KEYS,
    *("label", "pearson_r", "spearman_rho", "snr_db", "null_pearson_r", "null_spearman_rho", "null_snr_db"),
    *("null_n_images", "null_n_pairs", "same_class", "verdict", "reason", "n_steps", "seconds"),
    *("file", "reference_file"),
)
RESPONSES = (*KEYS, "observer", "observer_kind", "participant", "label", "response", "correct", "rt_ms")
CONTROLS = ("control", *RESPONSES)
ROBUSTNESS = ("model", "attack", "norm", "eps", "robustness", "ci_low", "ci_high", "n")
NULL = ("model", "stage", "set", "measure", "n_images", "n_pairs", "n_zero", "max", "q999", "q99", "q50")

PERFECT_CORRELATION = 1 - 1e-6
"""A correlation from here on counts as 1. None exceeds it: where even the null's maximum is 1, it is enough."""

_QUANTILES = (("q999", "0.999"), ("q99", "0.99"), ("q50", "0.5"))

_TYPES = {
    **dict.fromkeys((*KEYS, "label", "verdict", "reason", "file", "reference_file", "observer", "response"), "string"),
    **dict.fromkeys(("observer_kind", "participant", "control", "set", "measure", "attack", "norm"), "string"),
    **dict.fromkeys(
        ("seed", "null_n_images", "null_n_pairs", "n_steps", "n_images", "n_pairs", "n_zero", "n"), "Int64"
    ),
    **dict.fromkeys(("same_class", "correct"), "boolean"),
}


def matches(cells: list[dict[str, Any]]) -> "pd.DataFrame":
    """The table `matches`, one row per cell, from cell records."""
    return _table(cells, MATCHES)


def robustness(store: Store) -> "pd.DataFrame":
    """The table `robustness`: the accuracy of models under attack, with its 95 % interval."""
    return _table([row for record in store.robustness() for row in record["rows"]], ROBUSTNESS)


def build_tables(store: Store) -> dict[str, "pd.DataFrame"]:
    """Derive `matches`, `responses`, `controls`, `robustness` and `null` from the records and write them as CSV under
    `tables/`.

    Responses to controls (start noise, metamers of untrained models) stand in `controls` alone; those to what the run
    no longer shows, nowhere.
    """
    now = current_files(store)
    rows = (row for record in store.responses() for row in record["responses"])
    answers = [row for row in rows if row["sha256"] == now.get(row["cell"])]
    batches = [{**batch, "cells": [_columns(cell, MATCHES) for cell in batch["cells"]]} for batch in store.batches()]
    tables = {
        "matches": matches([cell for batch in batches for cell in batch["cells"]]),
        "responses": _table([row for row in answers if not row.get("control")], RESPONSES),
        "controls": _table([row for row in answers if row.get("control")], CONTROLS),
        "robustness": robustness(store),
        "null": _table([row for null in store.nulls(batches) for row in _null_rows(null)], NULL),
    }
    for name, table in tables.items():
        write_whole(store.folder / "tables" / f"{name}.csv", _csv(table).encode())
    return tables


def read_table(store: Store, name: str) -> "pd.DataFrame":
    """A table of a run, its columns typed: text stays text (labels may be digits), booleans and counts may be empty."""
    import pandas as pd

    path = store.folder / "tables" / f"{name}.csv"
    if not path.is_file():
        return build_tables(store)[name]
    columns = pd.read_csv(path, nrows=0).columns
    types: Any = {column: _TYPES.get(column, "float64") for column in columns}
    return pd.read_csv(path, dtype=types, keep_default_na=False, na_values=[""])


def chances(store: Store) -> dict[str, float]:
    """What guessing gives each observer: one over the number of labels that it may choose from."""
    return {r["observer"]: 1 / r["n_labels"] for r in store.responses() if r.get("n_labels")}


def _columns(record: dict[str, Any], columns: tuple[str, ...]) -> dict[str, Any]:
    return {column: record.get(column) for column in columns}


def _csv(table: "pd.DataFrame") -> str:
    text = table.to_csv(index=False, lineterminator="\n")
    # A carriage return within a name is quoted only where lines end with one.
    return table.to_csv(index=False, lineterminator="\r\n") if "\r" in text else text


def _table(rows: list[dict[str, Any]], columns: tuple[str, ...]) -> "pd.DataFrame":
    import pandas as pd

    data = {
        column: pd.Series([row.get(column) for row in rows], dtype=_TYPES.get(column, "float64")) for column in columns
    }
    return pd.DataFrame(data, columns=list(columns))


def _null_rows(null: dict[str, Any]) -> list[dict[str, Any]]:
    shared = {key: null[key] for key in ("model", "stage", "set", "n_images", "n_pairs", "n_zero")}
    return [
        {**shared, "measure": name, "max": m["max"], **{k: m["quantiles"][q] for k, q in _QUANTILES}}
        for name, m in null["measures"].items()
    ]
