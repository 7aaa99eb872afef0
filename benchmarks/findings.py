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
from metamers.models import fit_to_model
from metamers.observers import recognize
from metamers.store import Store, build_tables
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import Recipe, recipe_named
from metamers.training import robustness_curve

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
PICTO = {
    "picto-resnet": "standard",
    "picto-resnet-l2": "adversarial, L2 1.0",
    "picto-resnet-linf": "adversarial, Linf 4/255",
    "picto-resnet-random": "random perturbations, L2 1.0",
    "picto-resnet-lowpass": "standard, low-pass pooling",
}
PICTO_STAGES = ("layer4", "output")
PICTO_OBSERVERS = ("picto-resnet-b", "picto-alexnet")
ATTACKED, N_ATTACKED = (0.0, 0.25, 0.5, 1.0, 2.0), 512
FIRST_AND_ROBUST = ("cifar_resnet20", "cifar_robust_resnet_2b2_sadv8")
ADAM = recipe_named("adam")
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


def pictograms(
    recipe: Recipe, names: Sequence[str], part: str = "", n: int = 128, seeds: tuple[int, ...] = (0, 1, 2)
) -> Comparison:
    """Bundled nets and test pictograms. The observers were trained apart, without perturbations."""
    return Comparison(
        f"pictograms{part}-{recipe.name}",
        {metamers.load_model(f"bundled:{name}"): PICTO_STAGES for name in names},
        [metamers.load_model(f"bundled:{name}") for name in PICTO_OBSERVERS],
        metamers.load_stimuli(f"bundled:pictograms?split=test&n={n}&seed=3"),
        metamers.load_stimuli("bundled:pictograms?split=test&n=1000&seed=1"),
        seeds,
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
    for model in comparison.generators:
        recognize(store, model, of=(model.name,))
    for model in comparison.observers:
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
    cifar_pairs = [(robust, standard) for robust in list(CIFAR)[2:] for standard in list(CIFAR)[:2]]
    cifar_parts = [section([cifar(recipe)], cifar_pairs) for recipe in (ADAM, FAST)]
    cifar_parts.append(section([cifar(SHORT, FIRST_AND_ROBUST)], [FIRST_AND_ROBUST[::-1]]))
    standard, adversarial, linf, random, lowpass = PICTO
    more = pictograms(ADAM, (linf, lowpass), "-more", seeds=(0,))
    fewer = [pictograms(recipe, (standard, adversarial), n=32, seeds=(0,)) for recipe in (FAST, SHORT)]
    picto_pairs = [(name, standard) for name in (adversarial, linf, random, lowpass)] + [(adversarial, random)]
    picto_parts = [section([pictograms(ADAM, (standard, adversarial, random)), more], picto_pairs)]
    picto_parts += [section([few], [(adversarial, standard)]) for few in fewer]
    PAGE.write_text(
        f"""# Findings

Written by `python -m benchmarks.findings` at commit {commit()}: are the metamers of adversarially trained nets
recognized more often by nets that were not trained so? Proportions named right, over the metamers that passed
verification; a net does not count as an observer of its own metamers. `mean` is over the observers, with its 95 %
interval from resampling references; `of_right` is the same over the references that the generating net itself names
right. A `ratio` is that of two means.

How a metamer is sought decides how often it is recognized, at these late stages as much as how the net was trained:
a search that changes few pixels of its start ends at another metamer than one that changes all. So recipes are
compared here, too.

## Pictograms, the bundled nets

{chr(10).join(f"- `{name}`: {what}" for name, what in PICTO.items())}

The observers were trained apart from these, without perturbations. Chance is 0.06.

{table(robustness(), ("model", *map(str, ATTACKED)))}

Accuracy over the eps of an L2 attack (20 steps of projected gradient descent, {N_ATTACKED} test pictograms).

{chr(10).join(picto_parts)}
## CIFAR-10, nets of others

Chance is 0.10.

{chr(10).join(cifar_parts)}""",
        encoding="utf-8",
    )


def robustness() -> list[dict[str, object]]:
    """A row for each bundled net: its accuracy over the eps `ATTACKED`."""
    stimuli = metamers.load_stimuli(f"bundled:pictograms?split=test&n={N_ATTACKED}&seed=2")
    rows: list[dict[str, object]] = []
    for name in (*PICTO, *PICTO_OBSERVERS):
        model = metamers.load_model(f"bundled:{name}")
        say(f"attack on {name}")
        curve = robustness_curve(model, stimuli, eps=ATTACKED, steps=20, n_images=N_ATTACKED, seeds=(0,))
        rows.append({"model": name, **dict(zip(map(str, ATTACKED), curve.accuracy[0], strict=True))})
    return rows


if __name__ == "__main__":
    main()
