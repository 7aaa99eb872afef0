"""From a run to an experiment: its configuration, and the files that it shows."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from metamers.errors import MetamersError
from metamers.experiment.config import ExperimentConfig, preset
from metamers.experiment.manifest import (
    NATURAL,
    Stimulus,
    cells_of,
    extra_stimuli,
    headphone_stimuli,
    main_stimuli,
    read_manifest,
    write_manifest,
)
from metamers.experiment.pairs import compared, require_shown
from metamers.store import Store, change, read_config, write_whole

if TYPE_CHECKING:
    from metamers.stimuli import StimulusSet

FILE = "experiment.yaml"


def make_experiment(
    run: Path,
    folder: Path,
    preset_name: str,
    changes: Mapping[str, Any] | None = None,
    practice: "StimulusSet | None" = None,
) -> tuple[ExperimentConfig, list[Stimulus]]:
    """Write `experiment.yaml`, the files to be shown and their table to a new folder.

    The labels are those of the run's references; what is compared in a task with pairs, see
    `metamers.experiment.pairs.compared`. practice: natural stimuli for practice, screening and catch trials;
    None: pictograms, where the labels are theirs.

    Raises MetamersError for a folder that is not empty, and as `main_stimuli`, `extra_stimuli` and `compared` do.
    """
    if folder.exists() and any(folder.iterdir()):
        raise MetamersError(f"{folder}: is not empty; choose a new or empty --out")
    store = Store.open(run)
    labels = sorted({str(cell["label"]) for batch in store.batches() for cell in batch["cells"] if cell["label"]})
    values = {"preset": preset_name, "name": run.resolve().name, "labels": labels, **preset(preset_name)}
    change(values, changes or {}, "--set")
    if len(labels) < 2 and not str(values["task"]).endswith("_pair"):
        raise MetamersError(f"{run}: its stimuli have {len(labels)} labels; people need at least two to choose from")
    config = _checked(values)
    kind = store.study()["stimuli"]["kind"]
    if config.task.startswith("image") != (kind == "image"):
        raise MetamersError(
            f"{run}: holds {kind}s, which the task {config.task!r} does not show; choose another --preset"
        )
    if config.in_pairs:
        config = config.model_copy(update={"pairs": compared(config.pairs, cells_of(store))})
    given = practice or _pictograms(config)
    main = main_stimuli(store, config, folder)
    stimuli = headphone_stimuli(config, folder) + main + extra_stimuli(given, config, main, folder)
    write_manifest(folder, stimuli)
    text = yaml.safe_dump(config.model_dump(mode="json", by_alias=True), sort_keys=False, allow_unicode=True)
    write_whole(folder / FILE, text.encode())
    return config, stimuli


def read_experiment(folder: Path) -> tuple[ExperimentConfig, list[Stimulus]]:
    """An experiment's configuration and stimuli. Raises MetamersError where one is missing, wrong or altered."""
    config, stimuli = read_config(folder / FILE, ExperimentConfig), read_manifest(folder)
    if config.in_pairs:
        _require_pairs(folder / FILE, config, stimuli)
    return config, stimuli


def _require_pairs(path: Path, config: ExperimentConfig, stimuli: list[Stimulus]) -> None:
    if config.pairs is None:
        raise MetamersError(f"{path}: pairs is missing; list the pairs of conditions, [MODEL/STAGE, MODEL/STAGE]")
    shown: dict[str, set[str]] = {}
    for stimulus in stimuli:
        if stimulus.phase == "main" and stimulus.condition != NATURAL:
            shown.setdefault(stimulus.condition, set()).add(stimulus.source)
    require_shown(config.pairs, shown)


def _checked(values: dict[str, Any]) -> ExperimentConfig:
    from pydantic import ValidationError

    try:
        return ExperimentConfig.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise MetamersError(f"{key}: {first['msg'].removeprefix('Value error, ')}; correct it") from error


def _pictograms(config: ExperimentConfig) -> "StimulusSet":
    from metamers.stimuli.pictograms import NAMES, pictograms

    if not set(config.labels) <= set(NAMES):
        raise MetamersError(
            "--practice is missing: a folder of natural stimuli with the experiment's labels, for practice, screening "
            "and catch trials"
        )
    n = config.practice + config.screening.trials + config.catch.trials
    return pictograms("train", max(1, n) * len(NAMES), seed=1000 + config.seed)
