"""`metamers demo`."""

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from metamers.cli.attack import measured, report_attack, store_robustness
from metamers.cli.make import command_line, finish
from metamers.cli.options import Device, Json
from metamers.cli.output import progress, say_note

if TYPE_CHECKING:
    from metamers.models import StagedModel
    from metamers.store import Store

BLOCKS = ("layer1", "layer3", "layer4", "output")
STAGES = {
    "picto-resnet": BLOCKS,
    "picto-resnet-l2": BLOCKS,
    "picto-resnet-random": BLOCKS,
    "picto-alexnet": ("features.1", "features.4", "features.9", "output"),
}
OBSERVERS = ("picto-resnet-b", "picto-alexnet")
"""Which were neither trained on perturbations nor began with the weights of one that makes metamers."""
RECIPE, STEPS = "adam", 400
"""With which the effect of training shows (docs/findings.md); enough steps for most of these small networks."""
STIMULI = "bundled:pictograms?split=test&n=16&seed=0"
NULL_STIMULI = "bundled:pictograms?split=test&n=400&seed=1"
ATTACKED = "bundled:pictograms?split=test&n=128&seed=2"
EPS = (0.0, 1.0)  # the L2-adversarial model was trained at 1


def demo(
    *,
    out: Path = Path("runs/demo"),
    device: Device = "cpu",
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Metamers of four bundled models, verified, named by others, beside what attacks do, on a page; no download.

    Parameters
    ----------
    out
        The folder of the run.
    """
    from metamers.matching import Representation
    from metamers.models import fit_to_model, load_model
    from metamers.observers import recognize
    from metamers.stimuli import load_stimuli
    from metamers.store import Store
    from metamers.study import ModelTask, Settings, run_local
    from metamers.synthesis import recipe_named

    Store(out).require_free()
    models = [load_model(f"bundled:{name}", device=device) for name in STAGES]
    observers = [load_model(f"bundled:{name}", device=device) for name in OBSERVERS]
    images = load_stimuli(STIMULI)
    tasks = []
    for model, names in zip(models, STAGES.values(), strict=True):
        fitted, stimuli = fit_to_model(model, images)
        tasks.append(ModelTask(fitted, stimuli, tuple(Representation((name,)) for name in names)))
    null = load_stimuli(NULL_STIMULI).fit((64, 64))
    settings = Settings(recipe_named(RECIPE).with_options(steps=STEPS), None, null_stimuli=null)
    with progress() as update:
        store = run_local(out, tasks, settings, command=command_line(), progress=update, say=say_note)
        for model in models:
            recognize(store, model, of=(model.name,))
        for model in observers:
            recognize(store, model)
    _attack(store, models)
    return finish(store, report=True, strict=strict, json=json)


def _attack(store: "Store", models: "Sequence[StagedModel]") -> None:
    """Attack the models and keep what is found in the run."""
    from metamers.stimuli import load_stimuli
    from metamers.store import build_tables
    from metamers.training import Attack

    stimuli, attack, settings = load_stimuli(ATTACKED), Attack("l2", 0.0, steps=20), {"eps": EPS, "seeds": (0,)}
    with progress() as update:  # of its own, as attacks go at another speed
        for i, model in enumerate(models):
            report = partial(report_attack, update, model.name, i, len(models))
            entry, table = measured(model, stimuli, attack, settings, report)
            store_robustness(store, entry | {"stimuli": ATTACKED}, table)
    build_tables(store)
