"""Permutation tests of the published designs, and the whole replication."""

import subprocess
import sys
import tempfile
import time

import numpy as np

from benchmarks.published import real_data
from metamers.analysis import Design, Factor, permute

PERMUTATIONS = 10_000


def permutation_costs() -> list[dict[str, object]]:
    """Seconds for 10,000 permutations of the largest published designs."""
    rng = np.random.default_rng(0)
    rows: list[dict[str, object]] = []
    for subjects, stages, models, groups, effect in (
        (46, 10, 1, 2, "observer:stage"),
        (46, 10, 1, 2, "observer"),
        (23, 10, 4, 1, "(Intercept):stage:model"),
        (23, 10, 4, 1, "(Intercept):model"),
    ):
        levels = {"stage": stages} | ({"model": models} if models > 1 else {})
        factors = tuple(Factor(name, tuple(map(str, range(n)))) for name, n in levels.items())
        between = Factor("observer", ("human", "model")) if groups > 1 else None
        values = rng.random((subjects, *levels.values()))
        design = Design(values, factors, np.arange(subjects) % groups, between)
        begun = time.perf_counter()
        permute(design, effect, n_permutations=PERMUTATIONS)
        rows.append(
            {"subjects": subjects, "cells": values[0].size, "effect": effect, "seconds": time.perf_counter() - begun}
        )
    return rows


def replication_seconds() -> float:
    """Seconds of `metamers replicate feather2023` in a process of its own, with its page."""
    code = "import sys; from metamers.cli import main; sys.argv[0] = 'metamers'; main()"
    with tempfile.TemporaryDirectory() as out:
        command = ["replicate", "feather2023", "--data", f"{real_data()}/feather2023", "--out", f"{out}/page", "--json"]
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-c", code, *command], check=True, capture_output=True)
        return time.perf_counter() - begun


if __name__ == "__main__":
    import json

    print(json.dumps({"permutations": permutation_costs(), "replicate_seconds": replication_seconds()}))
