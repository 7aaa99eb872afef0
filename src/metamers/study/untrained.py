"""The control that shows what training does: metamers of the same networks with random weights."""

from pathlib import PurePosixPath
from typing import Any

from metamers.errors import MetamersError
from metamers.matching import Representation
from metamers.models import fitted, load_model, own_kind
from metamers.models.state_dicts import RANDOM_NOTE
from metamers.stimuli.written import written_set
from metamers.store import Store
from metamers.store.current import UNTRAINED
from metamers.study.local import run_local
from metamers.study.plan import ModelTask, Settings
from metamers.study.watch import Progress
from metamers.synthesis import Recipe


def run_untrained(
    store: Store, *, command: str = "", device: str = "cpu", progress: Progress = lambda done, total, what: None
) -> Store:
    """Make, for each trained model of a run, metamers of its references for its network with random weights (seed 0).

    Stages, recipe and seeds are the run's. They are a run of their own, in the folder `controls/untrained` of the run,
    of models called `untrained-NAME`; what is there already is not made again, but for what the run no longer is.

    Raises MetamersError where the run has no model with weights, or one that was given as a Python object.
    """
    study = store.study()
    trained = [entry for entry in study["models"] if RANDOM_NOTE not in entry["notes"]]
    tasks = [_task(store, entry, device) for entry in trained]
    if not tasks:
        raise MetamersError(f"{store.folder}: its models are untrained themselves; leave the control 'untrained' out")
    settings = Settings(
        tuple(Recipe(**recipe) for recipe in study["recipes"]),
        criterion=None,
        seeds=tuple(study["seeds"]),
        null_pairs=study["null_pairs"],
        batch_size=study["batch_size"],
    )
    return run_local(
        *(store.path(UNTRAINED), tasks, settings),
        beside=True,
        anew=True,  # as it is derived
        replace=True,
        command=command,
        progress=progress,
    )


def _task(store: Store, entry: dict[str, Any], device: str) -> ModelTask:
    if entry["spec"] is None:
        raise MetamersError(f"model {entry['name']!r} was given as a Python object; leave the control 'untrained' out")
    kind = own_kind(entry["spec"], entry.get("kind", "image"), entry.get("sample_rate"))
    model = load_model(entry["spec"], weights="random", input_size=entry["input_size"], device=device, **kind)
    model.name = f"untrained-{entry['name']}"
    references: dict[str, tuple[str, str | None]] = {}
    representations: dict[str, Representation] = {}
    for batch in (batch for batch in store.batches() if batch["model"] == entry["name"]):
        representations[batch["stage"]] = Representation.from_json(batch["representation"])
        references |= {cell["reference"]: (cell["reference_file"], cell["label"]) for cell in batch["cells"]}
    ids = sorted(references)  # whatever the order of the batches
    files, labels = [references[id_][0] for id_ in ids], [references[id_][1] for id_ in ids]
    paths = [store.path(file) for file in files]
    stimuli = fitted(written_set(str(PurePosixPath(files[0]).parent), ids, paths, labels), model)
    return ModelTask(model, stimuli, tuple(representations.values()))
