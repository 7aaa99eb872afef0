"""`metamers demo`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from metamers.cli.attack import measured, report_attack, store_robustness
from metamers.cli.make import command_line, exit_code, say_summary, summarized
from metamers.cli.options import Device, Json
from metamers.cli.output import give_json, progress, say_note

if TYPE_CHECKING:
    from metamers.models import StagedModel
    from metamers.store import Store


@dataclass(frozen=True)
class Demonstration:
    """What is shown of one kind: bundled models and their stages, who else names their metamers, from which stimuli, by
    which recipe in how many steps, and within which eps (L2) the models are attacked."""

    stages: Mapping[str, tuple[str, ...]]
    observers: tuple[str, ...]
    stimuli: str
    null_stimuli: str
    attacked: str
    recipe: str
    steps: int
    eps: float


BLOCKS = ("layer1", "layer3", "layer4", "output")
IMAGES = Demonstration(
    stages={
        "picto-resnet": BLOCKS,
        "picto-resnet-l2": BLOCKS,
        "picto-resnet-random": BLOCKS,
        "picto-alexnet": ("features.1", "features.4", "features.9", "output"),
    },
    # Neither trained on perturbations nor begun with the weights of one that makes metamers.
    observers=("picto-resnet-b", "picto-alexnet"),
    stimuli="bundled:pictograms?split=test&n=16&seed=0",
    null_stimuli="bundled:pictograms?split=test&n=400&seed=1",
    attacked="bundled:pictograms?split=test&n=128&seed=2",
    recipe="adam",  # with which the effect of training shows (docs/findings.md)
    steps=400,  # enough for most of these small networks
    eps=1.0,  # which the L2-adversarial model was trained at
)
SOUNDS = Demonstration(
    stages={
        "word-cochresnet": ("cochleagram", "layer1", "layer3", "output"),
        "word-cochresnet-l2": ("cochleagram", "layer1", "layer3", "output"),
        "word-cochcnn": ("relu1", "relu3", "output"),
    },
    observers=("word-cochresnet-b", "word-cochcnn"),
    stimuli="bundled:spoken_clips?n=8",
    null_stimuli="bundled:spoken_clips",
    attacked="bundled:spoken_clips",
    recipe="fast",
    steps=200,
    eps=0.5,
)
DEMONSTRATIONS = {"image": IMAGES, "sound": SOUNDS}


def demo(
    *,
    kind: Literal["image", "sound", "both"] = "image",
    out: Path = Path("runs/demo"),
    device: Device = "cpu",
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Metamers of bundled models, verified, named by others, beside what attacks do, on a page; no download.

    Parameters
    ----------
    kind
        Of pictograms, of spoken words, or a run of each.
    out
        The folder of the run; of both kinds, the sounds are in OUT/sound.
    """
    from metamers.store import Store

    folders = {"image": out, "sound": out / "sound"} if kind == "both" else {kind: out}
    for folder in folders.values():
        Store(folder).require_free()
    summaries = {}
    for each, folder in folders.items():
        store = _run(DEMONSTRATIONS[each], folder, device)
        summaries[each] = summarized(store, report=True)
        if not json:
            say_summary(summaries[each])
    if json:
        give_json(summaries if kind == "both" else summaries[kind])
    return max(exit_code(summary, strict) for summary in summaries.values())


def _run(what: Demonstration, out: Path, device: str) -> "Store":
    """The run of a demonstration."""
    from metamers.matching import Representation
    from metamers.models import fit_to_model, load_model
    from metamers.observers import recognize
    from metamers.stimuli import load_stimuli
    from metamers.study import ModelTask, Settings, run_local
    from metamers.synthesis import recipe_named

    models = [load_model(f"bundled:{name}", device=device) for name in what.stages]
    observers = [load_model(f"bundled:{name}", device=device) for name in what.observers]
    stimuli, null = (load_stimuli(spec) for spec in (what.stimuli, what.null_stimuli))
    tasks = []
    for model, names in zip(models, what.stages.values(), strict=True):
        fitted, shown = fit_to_model(model, stimuli)
        tasks.append(ModelTask(fitted, shown, tuple(Representation((name,)) for name in names)))
    _, null = fit_to_model(models[0], null)
    recipe = recipe_named(what.recipe, stimuli.kind).with_options(steps=what.steps)
    settings = Settings((recipe,), None, null_stimuli=null)
    with progress() as update:
        store = run_local(out, tasks, settings, command=command_line(), progress=update, say=say_note)
        for model in models:
            recognize(store, model, of=(model.name,))
        for model in observers:
            recognize(store, model)
    _attack(store, models, what)
    return store


def _attack(store: "Store", models: "Sequence[StagedModel]", what: Demonstration) -> None:
    """Attack the models and keep what is found in the run."""
    from metamers.stimuli import load_stimuli
    from metamers.store import build_tables
    from metamers.training import Attack

    stimuli, attack = load_stimuli(what.attacked), Attack("l2", 0.0, steps=20)
    settings: dict[str, Any] = {"eps": (0.0, what.eps), "seeds": (0,)}
    with progress() as update:  # of its own, as attacks go at another speed
        for i, model in enumerate(models):
            report = partial(report_attack, update, model.name, i, len(models))
            entry, table = measured(model, stimuli, attack, settings, report)
            store_robustness(store, entry | {"stimuli": what.attacked}, table)
    build_tables(store)
