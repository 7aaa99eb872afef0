"""Findings on images: the bundled pictogram nets, and nets of others on CIFAR-10."""

import json
from collections.abc import Sequence
from dataclasses import replace

import metamers
from benchmarks.__main__ import table
from benchmarks.comparisons import Comparison, robustness, section
from benchmarks.published import FOLDER, real_data
from metamers.synthesis import Recipe, recipe_named

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
PUBLISHED_LAST_STAGE = FOLDER / "cifar_last_stage.json"
FIRST_AND_ROBUST = ("cifar_resnet20", "cifar_robust_resnet_2b2_sadv8")
ADAM = recipe_named("adam")
FAST = recipe_named("fast")
SHORT = recipe_named("feather2023-scaled").with_options(name="feather2023-scaled-short", halve_every=250, steps=2000)
"""The published recipe with a twelfth of its steps."""


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


def cifar_last_stage() -> Comparison:
    """The first standard and a robust one of those nets at their logits, for two observers; all 100 test images, 2
    seeds."""
    whole = cifar(ADAM, FIRST_AND_ROBUST)
    return replace(
        whole,
        name=f"cifar-last-{ADAM.name}",
        generators=dict.fromkeys(whole.generators, ("output",)),
        observers=whole.observers[1:],
        stimuli=metamers.load_stimuli(str(real_data() / "cifar10" / "test_100.npz")),
        seeds=(0, 1),
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


def of_pictograms() -> str:
    """The part on the bundled nets, as Markdown."""
    standard, adversarial, linf, random, lowpass = PICTO
    more = pictograms(ADAM, (linf, lowpass), "-more", seeds=(0,))
    fewer = [pictograms(recipe, (standard, adversarial), n=32, seeds=(0,)) for recipe in (FAST, SHORT)]
    pairs = [(name, standard) for name in (adversarial, linf, random, lowpass)] + [(adversarial, random)]
    parts = [section([pictograms(ADAM, (standard, adversarial, random)), more], pairs)]
    parts += [section([few], [(adversarial, standard)]) for few in fewer]
    attacked = metamers.load_stimuli(f"bundled:pictograms?split=test&n={N_ATTACKED}&seed=2")
    return f"""{chr(10).join(f"- `{name}`: {what}" for name, what in PICTO.items())}

The observers were trained apart from these, without perturbations. Chance is 0.06.

{table(robustness((*PICTO, *PICTO_OBSERVERS), attacked, ATTACKED), ("model", *map(str, ATTACKED)))}

Accuracy over the eps of an L2 attack (20 steps of projected gradient descent, {N_ATTACKED} test pictograms).

{chr(10).join(parts)}"""


def of_cifar() -> str:
    """The part on nets of others, as Markdown."""
    pairs = [(robust, standard) for robust in list(CIFAR)[2:] for standard in list(CIFAR)[:2]]
    parts = [section([cifar(recipe)], pairs) for recipe in (ADAM, FAST)]
    parts.append(section([cifar_last_stage()], [FIRST_AND_ROBUST[::-1]]))
    parts.append(section([cifar(SHORT, FIRST_AND_ROBUST)], [FIRST_AND_ROBUST[::-1]]))
    return f"Chance is 0.10.\n\n{chr(10).join(parts)}\n{published_last_stage()}"


def published_last_stage() -> str:
    """What `benchmarks.findings_gpu` found, as Markdown."""
    rows = json.loads(PUBLISHED_LAST_STAGE.read_text(encoding="utf-8"))
    columns = ("observers", "standard", "adversarial", "ratio", "interval", "of_right")
    return f"""100 references, 3 seeds; recipe `feather2023-scaled` with all of its 24,000 steps, on a GPU; `output` of
{FIRST_AND_ROBUST[0]} (standard) and {FIRST_AND_ROBUST[1]} (adversarial; passed: {rows[0]["passed"]} of them). Whether
the adversarially trained net's metamers are recognized more often depends on the observer: the one of another family
recognizes them more often, while the one of the standard net's own family, trained alike, does not; perhaps it shares
invariances with the standard net.

{table(rows, columns)}"""
