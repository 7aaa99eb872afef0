"""The question of the package, asked of nets that are here: `python -m benchmarks.findings` writes docs/findings.md.

Metamers and answers are kept in runs/findings/, so that the command can be stopped and resumed.
"""

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

import metamers
from benchmarks.__main__ import table
from benchmarks.published import commit, real_data
from metamers.analysis.bootstrap import counts, interval, resample_weights
from metamers.matching import Representation
from metamers.observers import recognize
from metamers.store import Store, build_tables
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import Recipe, fit_to_model, recipe_named

PAGE = Path(__file__).parent.parent / "docs" / "findings.md"
RUNS = Path("runs/findings")
RESAMPLES = 10_000
CIFAR = {
    "cifar_resnet20": ("net.layer3", "output"),
    "cifar_mlperf_resnet8": ("b3c2", "output"),
    "cifar_robust_resnet_2b2_sadv8": ("net.4", "output"),
    "cifar_robust_cnn_a_mix": ("net.3", "output"),
}
CIFAR_OBSERVERS = ("cifar_resnet20", "cifar_resnet56", "cifar_mlperf_resnet8")
FIRST_AND_ROBUST = ("cifar_resnet20", "cifar_robust_resnet_2b2_sadv8")
ADAM = Recipe("adam", optimizer="adam", steps=400)
FAST = recipe_named("fast")
SHORT = recipe_named("feather2023-scaled").with_options(name="feather2023-scaled-short", halve_every=250, steps=2000)
"""The published recipe with a twelfth of its steps."""


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


def cifar(recipe: Recipe, names: Sequence[str] = tuple(CIFAR)) -> Comparison:
    """Nets that others trained on CIFAR-10; 64 test images, 1 seed."""

    def load(name: str) -> metamers.StagedModel:
        return metamers.load_model(f"{real_data()}/nets/cifar_nets.py:load:{name}", input_size=32)

    return Comparison(
        f"cifar-{recipe.name}",
        {load(name): CIFAR[name] for name in names},
        [load(name) for name in CIFAR_OBSERVERS],
        metamers.load_stimuli(str(real_data() / "cifar10" / "test_100.npz"), limit=64),
        metamers.load_stimuli(str(real_data() / "cifar10" / "train_4000.npz"), limit=1000),
        (0,),
        recipe,
    )


def responses(comparison: Comparison) -> dict[str, pd.DataFrame]:
    """Make the metamers and show them, as far as that is not done; the run's tables."""
    tasks = []
    for model, stages in comparison.generators.items():
        fitted, stimuli = fit_to_model(model, comparison.stimuli)
        tasks.append(ModelTask(fitted, stimuli, tuple(Representation((stage,)) for stage in stages)))
    store = run_local(
        RUNS / comparison.name,
        tasks,
        Settings(comparison.recipe, None, seeds=comparison.seeds, null_stimuli=comparison.null),
        command="python -m benchmarks.findings",
        progress=lambda done, total, what: say(f"{done:.1f} of {total:.0f} batches: {what}"),
    )
    for model in (*comparison.generators, *comparison.observers):
        recognize(store, model)
    return build_tables(Store(store.folder))


def recognized(tables: Mapping[str, pd.DataFrame], observers: Sequence[str]) -> pd.DataFrame:
    """A row per generating model and stage: cells passed and made, each observer's proportion of those passed, and the
    mean over the observers but the generating model with its 95 % interval over references (`draws`: its resamples).

    `of_right` is that mean over the references that the generating model itself names right.
    """
    answers, matches = tables["responses"], tables["matches"]
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
    mean: NDArray[np.float64] = np.mean(means, axis=0)
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


def section(comparison: Comparison, pairs: Sequence[tuple[str, str]]) -> str:
    """What a comparison found, as Markdown."""
    names = [model.name for model in comparison.observers]
    found = recognized(responses(comparison), names)
    rows: list[dict[str, object]] = [
        {str(key): shown_share(value) for key, value in row.items() if key not in ("draws", "low", "high")}
        | {"95 % interval": f"{row['low']:.2f} to {row['high']:.2f}"}
        for row in found.to_dict("records")
    ]
    n, seeds, recipe = len(comparison.stimuli), len(comparison.seeds), comparison.recipe
    return f"""{n} references, {seeds} seed(s); recipe `{recipe.name}` ({recipe.optimizer}, {recipe.steps} steps).

{table(rows, ("model", "stage", "passed", *names, "mean", "95 % interval", "of_right"))}

{table(ratios(found, pairs), ("pair", "stage", "ratio", "interval", "of_right"))}
"""


def shown_share(value: object) -> object:
    """A proportion as a number; a dash where a model would see its own metamers."""
    return "\N{EN DASH}" if isinstance(value, float | None) and (value is None or value != value) else value


def rng() -> np.random.Generator:
    """The same resamples for every row, so that rows can be compared."""
    return np.random.default_rng(0)


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"findings: {text}", file=sys.stderr, flush=True)


def main() -> None:
    """Make what is missing, and write the page."""
    pairs = [(robust, standard) for robust in list(CIFAR)[2:] for standard in list(CIFAR)[:2]]
    parts = [section(cifar(recipe), pairs) for recipe in (ADAM, FAST)]
    parts.append(section(cifar(SHORT, FIRST_AND_ROBUST), [FIRST_AND_ROBUST[::-1]]))
    PAGE.write_text(
        f"""# Findings

Written by `python -m benchmarks.findings` at commit {commit()}: are the metamers of adversarially trained nets
recognized more often by nets that were not trained so? Proportions named right, over the metamers that passed
verification; a net does not count as an observer of its own metamers. `mean` is over the observers, with its 95 %
interval from resampling references; `of_right` is the same over the references that the generating net itself names
right. A `ratio` is that of two means. Chance is 0.10.

## CIFAR-10, nets of others

How a metamer is sought decides how often it is recognized, at these late stages as much as how the net was trained:
a search that changes few pixels of its start ends at another metamer than one that changes all. So recipes are
compared here, too.

{chr(10).join(parts)}""",
        encoding="utf-8",
    )


if __name__ == "__main__":
    main()
