"""Tidy tables derived from a run's records; they can be rebuilt at any time."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from metamers.store.current import shown_by
from metamers.store.files import write_whole
from metamers.store.store import Record, Store

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

SIMULATED = "simulated-"
"""The names of participants who are nobody begin so."""

ROUNDING = 1e-6
"""Two correlations that are closer are equal: those of a null are computed in 32 bits."""
PERFECT_CORRELATION = 1 - ROUNDING
"""A correlation from here on counts as 1. None exceeds it: where even the null's maximum is 1, it is enough."""

_ROWS = 500
"""Of a table that are in memory at once while it is written."""

_QUANTILES = (("q999", "0.999"), ("q99", "0.99"), ("q50", "0.5"))

_TYPES = {
    **dict.fromkeys((*KEYS, "label", "verdict", "reason", "file", "reference_file", "observer", "response"), "string"),
    **dict.fromkeys(("observer_kind", "participant", "control", "set", "measure", "attack", "norm"), "string"),
    **dict.fromkeys(
        ("seed", "null_n_images", "null_n_pairs", "n_steps", "n_images", "n_pairs", "n_zero", "n"), "Int64"
    ),
    **dict.fromkeys(("same_class", "correct"), "boolean"),
}


def matches(cells: list[Record]) -> "pd.DataFrame":
    """The table `matches`, one row per cell, from cell records."""
    return _table(cells, MATCHES)


def responses_table(rows: list[Record]) -> "pd.DataFrame":
    """The table `responses`, of some of its rows."""
    return _table(rows, RESPONSES)


def robustness(store: Store) -> "pd.DataFrame":
    """The table `robustness`: the accuracy of models under attack, with its 95 % interval."""
    return _table([row for record in store.robustness() for row in record["rows"]], ROBUSTNESS)


def build_tables(store: Store) -> None:
    """Derive `matches`, `responses`, `controls`, `robustness` and `null` from the records and write them as CSV under
    `tables/`, record after record, so that memory does not grow with them.

    Responses to controls (start noise, metamers of untrained models) stand in `controls` alone; those to what the run
    no longer shows, nowhere.
    """
    shown = shown_by(store)

    def answers(control: bool) -> Iterator[Record]:
        rows = (row for record in store.responses() for row in record["responses"])
        return (row for row in rows if bool(row.get("control")) is control and shown(row))

    null_files = (batch.get("null_file") for batch in store.batches())
    tables: dict[str, tuple[Iterable[Record], tuple[str, ...]]] = {
        "matches": ((cell for batch in store.batches() for cell in batch["cells"]), MATCHES),
        "responses": (answers(control=False), RESPONSES),
        "controls": (answers(control=True), CONTROLS),
        "robustness": ((row for record in store.robustness() for row in record["rows"]), ROBUSTNESS),
        "null": ((row for null in store.nulls(null_files) for row in _null_rows(null)), NULL),
    }
    for name, (rows, columns) in tables.items():
        write_whole(store.folder / "tables" / f"{name}.csv", _csv(rows, columns))


def read_table(store: Store, name: str, only: list[str] | None = None) -> "pd.DataFrame":
    """A table of a run, or some of its columns, typed: text stays text (labels may be digits), booleans and counts may
    be empty."""
    import pandas as pd

    table: pd.DataFrame = pd.read_csv(**_how_to_read(store, name, only))
    return table


def table_parts(store: Store, name: str, only: list[str]) -> "Iterator[pd.DataFrame]":
    """As `read_table`, some hundred rows at a time, for what is to take no more memory the more cells there are."""
    import pandas as pd

    with pd.read_csv(**_how_to_read(store, name, only), chunksize=_ROWS) as parts:
        yield from parts


def _how_to_read(store: Store, name: str, only: list[str] | None) -> dict[str, Any]:
    import pandas as pd

    path = store.folder / "tables" / f"{name}.csv"
    if not path.is_file():
        build_tables(store)
    types = {column: _TYPES.get(column, "float64") for column in pd.read_csv(path, nrows=0).columns}
    return {"filepath_or_buffer": path, "dtype": types, "usecols": only, "keep_default_na": False, "na_values": [""]}


def chances(store: Store) -> dict[str, float]:
    """What guessing gives each observer: one over the number of labels that it may choose from."""
    return {r["observer"]: 1 / r["n_labels"] for r in store.responses() if r.get("n_labels")}


def _csv(rows: Iterable[Record], columns: tuple[str, ...]) -> Iterator[bytes]:
    """The parts of a CSV file, of at most `_ROWS` rows each."""
    yield (",".join(columns) + "\n").encode()
    left = ({column: row.get(column) for column in columns} for row in rows)  # without traces, which are long
    while part := list(islice(left, _ROWS)):
        table = _table(part, columns)
        text = table.to_csv(index=False, header=False, lineterminator="\n")
        # A carriage return within a name is quoted only where lines end with one.
        if "\r" in text:
            text = table.to_csv(index=False, header=False, lineterminator="\r\n")
        yield text.encode()


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
