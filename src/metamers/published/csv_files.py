"""The published tables that come as CSV files, found by their names."""

from pathlib import Path

import numpy as np
import pandas as pd

from metamers.analysis.designs import need_columns
from metamers.errors import MetamersError

FIGURES = ("SumSq", "DF", "MeanSq", "F", "pValue", "pValueGG", "pValueHF", "pValueLB", "partial_eta_sq")
"""The figures of a row of an analysis of variance."""

_AREAS = ("V1", "V2", "V4", "IT")
_COLUMNS = {
    "anova_published": (
        ("modality", "repo_experiment", "analysis", "comparison", "models", "effect"),
        (*FIGURES, "permutation_p"),
    ),
    "human_means": (
        ("repo_experiment", "model", "stage"),
        ("human_mean", "human_sem_ddof0", "network_mean", "network_sem_ddof0"),
    ),
    "model_model_accuracy": (("modality", "generating_model", "stage", "observing_model"), ("stage_index", "accuracy")),
    "adversarial_accuracy": (("norm", "model"), ("seed_index", "eps", "n_correct_of_1024")),
    "brainscore": (("name", *_AREAS, *(f"{area} best layer" for area in _AREAS)), ()),
}
"""Per kind of table: its columns of text, and its columns of numbers."""


def read_csv_files(folder: Path, kind: str) -> pd.DataFrame:
    """All rows, each once, of the files `kind`*.csv in `folder` and its subfolders; empty when there is no such file.

    Raises MetamersError for a file that is no CSV table, lacks a column or has text where a number belongs.
    """
    texts, numbers = _COLUMNS[kind]
    tables = [_read(path, texts, numbers) for path in sorted(folder.rglob(f"{kind}*.csv"))]
    if not tables:
        return pd.DataFrame(columns=[*texts, *numbers])
    return pd.concat(tables, ignore_index=True).drop_duplicates(ignore_index=True)


def _read(path: Path, texts: tuple[str, ...], numbers: tuple[str, ...]) -> pd.DataFrame:
    try:
        table = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:  # parser and decoding errors are ValueErrors
        raise MetamersError(f"{path}: not a readable CSV table ({type(error).__name__}); fetch it again") from error
    need_columns(table, [*texts, *numbers], str(path))
    for name in numbers:
        values = pd.to_numeric(table[name].replace("", np.nan), errors="coerce")
        wrong = (values.isna() & (table[name] != "")).to_numpy()
        if wrong.any():
            row = int(wrong.argmax())
            raise MetamersError(f"{path}: row {row + 2}, column {name!r}: {table[name].iloc[row]!r} is no number")
        table[name] = values
    return table
