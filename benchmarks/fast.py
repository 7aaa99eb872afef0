"""`fast` beside the published recipes: the SNR that each reaches."""

import json
import statistics

import metamers
from benchmarks.published import CASES, RECIPES, load_case, path_of, raw_snr

SEEDS = (0, 1, 2)


def fast_and_published() -> list[dict[str, object]]:
    """For each case: median and minimum SNR (before rounding, dB) over the images of `fast` without early stopping (the
    medians over `SEEDS` of both, and the minimum of each), and of the better of the published recipes, whose long runs
    of one seed are read from benchmarks/published/."""
    rows: list[dict[str, object]] = []
    for name, stage in CASES:
        model, images = load_case(name)
        results = [metamers.synthesize(model, images, stage, seed=seed, early_stop=False) for seed in SEEDS]
        snr = [raw_snr(model, stage, images, result) for result in results]
        lowest = [min(values) for values in snr]
        published = {recipe: json.loads(path_of(name, stage, recipe).read_text()) for recipe in RECIPES}
        medians = {recipe: statistics.median(run["snr_db"]) for recipe, run in published.items()}
        minima = {recipe: min(run["snr_db"]) for recipe, run in published.items()}
        rows.append(
            {
                **{"model": name, "stage": stage, "steps": results[0].cells[0]["n_steps"]},
                **{"median": statistics.median(map(statistics.median, snr)), "minimum": statistics.median(lowest)},
                "each_seed's_minimum": ", ".join(f"{value:.1f}" for value in lowest),
                **{"published_median": max(medians.values()), "published_minimum": max(minima.values())},
                **{"better": max(medians, key=medians.__getitem__), "published_steps": 24_000},
            }
        )
    return rows
