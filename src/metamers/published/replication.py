"""`replicate`: all that the public data of an article allow, computed again and set beside the published figures."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from metamers.errors import MetamersError
from metamers.published.anova_rows import Row, compare_anovas, disagreements
from metamers.published.csv_files import read_csv_files
from metamers.published.feather2023 import EXPERIMENTS, PUBLISHED_PERMUTATIONS, RELATIONS
from metamers.published.mat_files import COLUMNS, find_mat_files, read_mat_file
from metamers.published.relations import brain_score, relation, stage_means

TABLES = ("anova_published", "human_means", "model_model_accuracy", "adversarial_accuracy", "brainscore")


@dataclass(frozen=True)
class Replication:
    """The outcome: rows for JSON, and the tables behind the figures."""

    data: Path
    anova: list[Row]
    means: list[Row]
    relations: list[Row]
    brain_score: list[Row]
    missing: list[Row]
    files: list[str]
    stage_means: pd.DataFrame = field(repr=False)
    points: dict[str, pd.DataFrame] = field(repr=False)
    accuracy: pd.DataFrame = field(repr=False)

    def summary(self) -> dict[str, Any]:
        """The results as plain values: `anova, means, relations, brain_score, missing, files`, the names of the rows
        that disagree, and the largest relative difference (None without rows)."""
        wrong = disagreements(self.anova)
        return {
            "data": str(self.data),
            "largest_relative_difference": max((row["relative_difference"] for row in self.anova), default=None),
            "disagreements": [{key: row[key] for key in ("experiment", "comparison", "effect")} for row in wrong],
            **{"anova": self.anova, "means": self.means, "relations": self.relations},
            **{"brain_score": self.brain_score, "missing": self.missing, "files": self.files},
        }


def replicate(
    data: Path,
    n_permutations: int = PUBLISHED_PERMUTATIONS,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Replication:
    """Recompute the published results of Feather and others (2023) from the files in `data`, found by their names.

    Missing files are named in `missing`, never guessed. Raises MetamersError where `data` has no .mat file of the
    published data, or holds a damaged one.
    """
    if not data.is_dir():
        raise MetamersError(f"--data {data}: no such folder; give the one with the published .mat files")
    files = find_mat_files(data)
    if not files:
        raise MetamersError(
            f"--data {data}: has no file (Vision|Audio)Experiment*_network_vs_humans_datamatrix_*_public.mat"
        )
    scores = pd.concat([read_mat_file(file) for file in files], ignore_index=True)[list(COLUMNS)]
    tables = {kind: read_csv_files(data, kind) for kind in TABLES}
    rows, absent = compare_anovas(
        tables["anova_published"], scores, tables["adversarial_accuracy"], n_permutations, progress
    )
    means = stage_means(scores)
    relations = {m: relation(scores, tables["model_model_accuracy"], m) for m in RELATIONS}
    brain, brain_points = brain_score(scores, tables["brainscore"])
    return Replication(
        data,
        anova=rows,
        means=_compare_means(means, tables["human_means"]),
        relations=[row for row, _ in relations.values()],
        brain_score=brain,
        missing=_missing(scores, tables, absent),
        files=[file.path.name for file in files],
        stage_means=means,
        points={**{m: points for m, (_, points) in relations.items()}, "brain": brain_points},
        accuracy=tables["model_model_accuracy"],
    )


def _missing(scores: pd.DataFrame, tables: dict[str, pd.DataFrame], comparisons: list[Row]) -> list[Row]:
    """What the article has and `data` has not: tables, experiments, and what published comparisons need."""
    rows: list[Row] = [{"what": "table", "name": f"{kind}*.csv"} for kind in TABLES if tables[kind].empty]
    here = set(scores["experiment"])
    rows += [
        {"what": "experiment", "name": f"{name} ({experiment.paper_name})"}
        for name, experiment in EXPERIMENTS.items()
        if name not in here
    ]
    return rows + [
        {"what": "comparison", "name": f"{row['experiment']}, {row['comparison']}", "reason": row["reason"]}
        for row in comparisons
    ]


_MEANS = ("human_mean", "human_sem_ddof0", "network_mean", "network_sem_ddof0")


def _compare_means(ours: pd.DataFrame, published: pd.DataFrame) -> list[Row]:
    keys = ["experiment", "model", "stage"]
    theirs = published.rename(columns={"repo_experiment": "experiment"}).set_index(keys)[list(_MEANS)]
    rows: list[Row] = []
    for row in ours.to_dict("records"):
        key = tuple(row[name] for name in keys)
        listed: dict[Any, Any] | None = theirs.loc[[key]].iloc[0].to_dict() if key in theirs.index else None
        difference = max(abs(row[name] - listed[name]) for name in _MEANS) if listed else None
        rows.append(
            {
                **{str(name): row[name] for name in (*keys, "n_participants")},
                "ours": {name: row[name] for name in _MEANS},
                "published": listed,
                "difference": None if difference is None or np.isnan(difference) else float(difference),
            }
        )
    return rows
