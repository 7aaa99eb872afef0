"""Who recognizes whose metamers: what pages of findings share."""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import metamers
from benchmarks.__main__ import table
from metamers.analysis.bootstrap import counts, interval, resample_weights
from metamers.analysis.scores import tidy
from metamers.matching import Representation
from metamers.models import fit_to_model
from metamers.observers import recognize
from metamers.store import build_tables, read_table
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import Recipe
from metamers.training import robustness_curve

RUNS = Path("runs/findings")
RESAMPLES = 10_000


@dataclass(frozen=True)
class Comparison:
    """Generating models with their stages, and who looks at their metamers."""

    name: str
    generators: Mapping[metamers.StagedModel, tuple[str, ...]]
    observers: Sequence[metamers.StagedModel]
    stimuli: metamers.StimulusSet
    null: metamers.StimulusSet
    seeds: tuple[int, ...]
    recipe: Recipe


def responses(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Make the metamers and show them, as far as that is not done; the run's tables."""
    tasks = []
    for model, stages in comparison.generators.items():
        fitted, stimuli = fit_to_model(model, comparison.stimuli)
        tasks.append(ModelTask(fitted, stimuli, tuple(Representation((stage,)) for stage in stages)))
    store = run_local(
        RUNS / comparison.name,
        tasks,
        Settings((comparison.recipe,), None, seeds=comparison.seeds, null_stimuli=comparison.null),
        command="python -m benchmarks.findings",
        progress=lambda done, total, what: say(f"{done:.1f} of {total:.0f} batches: {what}"),
    )
    for model in comparison.generators:
        recognize(store, model, of=(model.name,))
    for model in comparison.observers:
        recognize(store, model)
    build_tables(store)
    return {name: read_table(store, name) for name in ("matches", "responses", "controls")}


def recognized(tables: Mapping[str, pd.DataFrame], observers: Sequence[str]) -> pd.DataFrame:
    """A row per generating model and stage: cells passed and made, each observer's proportion of those passed, and the
    mean over the observers but the generating model with its 95 % interval over references (`draws`: its resamples).

    `of_right` is that mean over the references that the generating model itself names right.
    """
    answers, matches = tidy(tables["responses"]), tables["matches"]
    passed = set(matches.cell[matches.verdict == "passed"])
    metamers_ = answers[answers["cell"].isin(passed)]
    references = sorted(set(answers["reference"]))
    weights = np.vstack([np.ones(len(references)), resample_weights(len(references), RESAMPLES, rng())])
    rows = []
    for (model, stage), made in matches.groupby(["model", "stage"], sort=False):
        here = metamers_[(metamers_["model"] == model) & (metamers_["stage"] == stage)]
        own = here[here["observer"] == model]
        others = here[here["observer"].isin([name for name in observers if name != model])]
        draws = _mean_of_observers(others, references, weights)
        right = set(own.loc[own["correct"].astype(bool), "reference"])
        low, high = interval(draws[1:])
        rows.append(
            {
                **{"model": model, "stage": stage, "passed": f"{len(set(here.cell))} of {len(made)}"},
                **{name: others.loc[others["observer"] == name, "correct"].mean() for name in observers},
                **{"mean": draws[0], "low": low, "high": high, "draws": draws[1:]},
                "of_right": _mean_of_observers(others[others["reference"].isin(right)], references, weights[:1])[0],
            }
        )
    return pd.DataFrame(rows)


def _mean_of_observers(
    answers: pd.DataFrame, references: list[str], weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    means = []
    for _, of_one in answers.groupby("observer"):
        right, count = counts(of_one, of_one["observer"], of_one["reference"])
        places = [references.index(name) for name in dict.fromkeys(of_one["reference"])]
        means.append(weights[:, places] @ right[0] / np.maximum(weights[:, places] @ count[0], 1))
    mean: NDArray[np.float64] = np.mean(means, axis=0) if means else np.full(len(weights), np.nan)
    return mean


def ratios(table: pd.DataFrame, pairs: Sequence[tuple[str, str]]) -> list[dict[str, object]]:
    """How many times as often the metamers of the first model of each pair are recognized as the second's, at the
    stages that stand at the same place, with 95 % intervals over references."""
    rows: list[dict[str, object]] = []
    for first, second in pairs:
        of_first, of_second = (table[table["model"] == name].to_dict("records") for name in (first, second))
        for a, b in zip(of_first, of_second, strict=True):
            with np.errstate(divide="ignore", invalid="ignore"):
                low, high = interval(a["draws"] / b["draws"])
            stage = a["stage"] if a["stage"] == b["stage"] else f"{a['stage']} / {b['stage']}"
            rows.append({"pair": f"{first} / {second}", "stage": stage, "ratio": a["mean"] / b["mean"]})
            rows[-1] |= {"interval": f"{low:.2f} to {high:.2f}", "of_right": a["of_right"] / b["of_right"]}
    return rows


def section(comparisons: Sequence[Comparison], pairs: Sequence[tuple[str, str]]) -> str:
    """What comparisons that differ in their generating models and seeds alone found, as Markdown."""
    comparison = comparisons[0]
    names = [model.name for model in comparison.observers]
    found = pd.concat([recognized(responses(each), names) for each in comparisons], ignore_index=True)
    rows: list[dict[str, object]] = [
        {str(key): shown_share(value) for key, value in row.items() if key not in ("draws", "low", "high")}
        | {"95 % interval": f"{row['low']:.2f} to {row['high']:.2f}"}
        for row in found.to_dict("records")
    ]
    n, recipe = len(comparison.stimuli), comparison.recipe
    seeds = ", ".join(
        f"{len(each.seeds)} seed(s) for {', '.join(m.name for m in each.generators)}" for each in comparisons
    )
    return f"""{n} references; {seeds}; recipe `{recipe.name}` ({recipe.optimizer}, {recipe.steps} steps).

{table(rows, ("model", "stage", "passed", *names, "mean", "95 % interval", "of_right"))}

{table(ratios(found, pairs), ("pair", "stage", "ratio", "interval", "of_right")) if pairs else ""}
"""


def robustness(names: Sequence[str], stimuli: metamers.StimulusSet, sizes: Sequence[float]) -> list[dict[str, object]]:
    """A row for each bundled net: its accuracy over the sizes of an L2 attack of 20 steps on all stimuli."""
    rows: list[dict[str, object]] = []
    for name in names:
        say(f"attack on {name}")
        model = metamers.load_model(f"bundled:{name}")
        curve = robustness_curve(model, stimuli, eps=sizes, steps=20, n_images=len(stimuli), seeds=(0,))
        rows.append({"model": name, **dict(zip(map(str, sizes), curve.accuracy[0], strict=True))})
    return rows


def shown_share(value: object) -> object:
    """A proportion as a number; a dash where a model would see its own metamers."""
    return "\N{EN DASH}" if isinstance(value, float | None) and (value is None or value != value) else value


def rng() -> np.random.Generator:
    """The same resamples for every row, so that rows can be compared."""
    return np.random.default_rng(0)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"findings: {text}", file=sys.stderr, flush=True)
