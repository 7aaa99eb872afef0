"""Where results live: cells, whole-or-nothing files, records and tables. Imports no torch."""

from metamers.store.cell import UNUSABLE, Cell, slug
from metamers.store.configs import Place, change, read_config, read_placed, read_preset
from metamers.store.csv_files import read_csv_rows
from metamers.store.files import read_json, sha256, write_json, write_whole
from metamers.store.scratch import Lookup, sorted_on_disk, temporary_database
from metamers.store.store import Record, Store, record_id
from metamers.store.tables import (
    PERFECT_CORRELATION,
    RESPONSES,
    ROUNDING,
    SIMULATED,
    build_tables,
    chances,
    matches,
    read_table,
    responses_table,
    robustness,
    table_parts,
)

__all__ = [
    "PERFECT_CORRELATION",
    "RESPONSES",
    "ROUNDING",
    "SIMULATED",
    "UNUSABLE",
    "Cell",
    "Lookup",
    "Place",
    "Record",
    "Store",
    "build_tables",
    "chances",
    "change",
    "matches",
    "read_config",
    "read_csv_rows",
    "read_json",
    "read_placed",
    "read_preset",
    "read_table",
    "record_id",
    "responses_table",
    "robustness",
    "sha256",
    "slug",
    "sorted_on_disk",
    "table_parts",
    "temporary_database",
    "write_json",
    "write_whole",
]
