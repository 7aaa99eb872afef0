"""`metamers demo`."""

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from metamers.cli.make import command_line, finish
from metamers.cli.options import Device, Json
from metamers.cli.output import progress, say_note

STAGES = {
    "picto-resnet": ("relu", "layer1", "layer2", "layer3", "layer4", "output"),
    "picto-resnet-b": ("relu", "layer1", "layer2", "layer3", "layer4", "output"),
    "picto-alexnet": ("features.1", "features.4", "features.9", "classifier.3", "output"),
}
STEPS = 200  # enough for most of these small networks
STIMULI = "bundled:pictograms?split=test&n=16&seed=0"
NULL_STIMULI = "bundled:pictograms?split=test&n=400&seed=1"


def demo(
    *,
    out: Path = Path("runs/demo"),
    device: Device = "cpu",
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Metamers of three bundled models, verified, named by each other, and shown on a page; no download.

    Parameters
    ----------
    out
        The folder of the run.
    """
    from metamers.matching import Representation
    from metamers.models import load_model
    from metamers.observers import recognize
    from metamers.stimuli import load_stimuli
    from metamers.store import Store, build_tables
    from metamers.study import ModelTask, Settings, run_local
    from metamers.synthesis import fit_to_model, recipe_named

    Store(out).require_free()
    models = [load_model(f"bundled:{name}", device=device) for name in STAGES]
    images = load_stimuli(STIMULI)
    tasks = []
    for model, names in zip(models, STAGES.values(), strict=True):
        fitted, stimuli = fit_to_model(model, images)
        tasks.append(ModelTask(fitted, stimuli, tuple(Representation((name,)) for name in names)))
    null = load_stimuli(NULL_STIMULI).fit((64, 64))
    settings = Settings(recipe_named("fast").with_options(steps=STEPS), None, null_stimuli=null)
    with progress() as update:
        store = run_local(out, tasks, settings, command=command_line(), progress=update, say=say_note)
        for model in models:
            recognize(store, model)
        build_tables(store)
    return finish(store, report=True, strict=strict, json=json)
