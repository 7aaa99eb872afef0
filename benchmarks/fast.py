"""`fast` beside the published recipes: the SNR that each reaches."""

import json
import statistics
import time

import metamers
from benchmarks.published import CASES, RECIPES, load_case, path_of, raw_snr


def fast_and_published() -> list[dict[str, object]]:
    """For each case: median and minimum SNR (before rounding, dB) of `fast` without early stopping, and of the better
    of the published recipes, whose long runs are read from benchmarks/published/."""
    rows: list[dict[str, object]] = []
    for name, stage in CASES:
        model, images = load_case(name)
        begun = time.perf_counter()
        result = metamers.synthesize(model, images, stage, early_stop=False)
        spent = time.perf_counter() - begun
        snr = raw_snr(model, stage, images, result)
        published = {recipe: json.loads(path_of(name, stage, recipe).read_text()) for recipe in RECIPES}
        medians = {recipe: statistics.median(run["snr_db"]) for recipe, run in published.items()}
        minima = {recipe: min(run["snr_db"]) for recipe, run in published.items()}
        rows.append(
            {
                **{"model": name, "stage": stage, "steps": result.cells[0]["n_steps"], "seconds": spent},
                **{"median": statistics.median(snr), "minimum": min(snr)},
                **{"published_median": max(medians.values()), "published_minimum": max(minima.values())},
                **{"better": max(medians, key=medians.__getitem__), "published_steps": 24_000},
            }
        )
    return rows
