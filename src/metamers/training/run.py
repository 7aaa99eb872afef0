"""A training in a folder: begun, resumed, and its weights with their card."""

import json
import platform
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import torch
import yaml
from safetensors.torch import save
from torch import nn

from metamers.errors import MetamersError
from metamers.models import StagedModel, fit_to_model, load_model, own_kind
from metamers.models.devices import exact_convolutions, parse_device
from metamers.models.state_dicts import put_weights, random_weights_from, read_weights, weights_hash
from metamers.stimuli import StimulusSet, load_stimuli
from metamers.stimuli.written import VALUE_RANGES
from metamers.store import write_whole
from metamers.training.checkpoints import last_checkpoint
from metamers.training.config import TrainingConfig
from metamers.training.labeled import class_names, labeled_stimuli
from metamers.training.norms import largest
from metamers.training.processes import FabricProcesses, OneProcess, Processes, fabric_of
from metamers.training.trainer import NotFiniteError, Task, Watch, fit, restore_weights, weights_to_train

CONFIG, WEIGHTS, CARD = "config.yaml", "model.safetensors", "model.md"


@dataclass(frozen=True)
class Trained:
    """What came of a training: the model, a row of measures for each epoch, and the folder of it all."""

    model: StagedModel
    history: list[dict[str, Any]]
    folder: Path


def train(
    config: TrainingConfig,
    out: Path | str,
    *,
    model: nn.Module | StagedModel | None = None,
    stimuli: StimulusSet | None = None,
    validation: StimulusSet | None = None,
    resume: bool = False,
    watch: Watch | None = None,
) -> Trained:
    """Train a model as `config` says and write to the folder `out`: `config.yaml`, `checkpoints/` (after each epoch),
    `log.csv`, and at the end `model.safetensors` with its card `model.md`.

    `model`, `stimuli` and `validation` take the place of those that `config` names. With `resume`, a training that was
    interrupted goes on after its last whole checkpoint and ends with the same weights, on one CPU process, as one that
    was not. In several processes this is to be called in each, as Lightning Fabric starts the script once more for
    each.

    Raises MetamersError for a folder that holds something else, or a training where `resume` is not given; for stimuli,
    labels or weights that do not fit; for a loss that is not finite (the last good weights are written then); and for a
    disk that fails.
    """
    out, watch = Path(out), watch or Watch()
    processes = _processes(config)
    if processes.rank == 0:
        _require_folder(out, resume)  # the others would see what this one writes
    else:
        watch = Watch()
    task = _task(config, model, stimuli, validation)
    settings = config.model_dump(mode="json")
    checkpoint = last_checkpoint(out / "checkpoints", settings, watch.say) if resume else None
    if checkpoint is not None:
        watch.say(f"{checkpoint.epoch} of {config.epochs} epochs are there already")
    if processes.rank == 0:
        write_whole(out / CONFIG, yaml.safe_dump(settings, sort_keys=False, allow_unicode=True).encode())
    _say_what_is_left(task, config, watch.say)
    try:
        history = fit(task, config, out, processes, checkpoint, watch)
    except NotFiniteError as error:
        raise _explained(error, task, settings, out) from error
    trained = _finished(task)
    if processes.rank == 0:
        write_weights(trained, out / WEIGHTS)
        write_whole(out / CARD, card(trained, config, history, task.stimuli.stimuli.name).encode())
    return Trained(trained, history, out)


def write_weights(model: StagedModel, path: Path) -> None:
    """The weights as safetensors; the classes and the input size are said in its metadata."""
    tensors = {name: value.detach().cpu().contiguous() for name, value in model.network.state_dict().items()}
    said = {"classes": list(model.classes), "input_size": model.input_size}
    write_whole(path, save(tensors, {"metamers": json.dumps(said)}))


def card(
    model: StagedModel,
    config: TrainingConfig,
    history: list[dict[str, Any]],
    stimuli: str,
    **more: Any,
) -> str:
    """What a model is and how it was trained: YAML between lines of ---, then a sentence. `more` comes first."""
    last = history[-1]
    facts: dict[str, Any] = {
        **more,
        "architecture": str(model.spec or model.name),
        "training_data": stimuli,
        "validation_data": config.validation,
        **{key: round(float(last[key]), 4) for key in ("accuracy", "robust_accuracy") if key in last},
        "input": _input(model),
        "training_seconds": round(sum(row.get("seconds", 0.0) for row in history)),
        "weights_sha256": weights_hash(model.network),
        "versions": {"python": platform.python_version(), "torch": str(torch.__version__)},
        "recipe": config.model_dump(mode="json", exclude_defaults=True),
    }
    text = yaml.safe_dump(facts, sort_keys=False, allow_unicode=True)
    title = str(more.get("name", model.name))
    return (
        f"---\n{text}---\n# {title}\n\n`{facts['architecture']}`, trained with the objective {config.objective.kind}.\n"
    )


def _input(model: StagedModel) -> str:
    low, high = VALUE_RANGES[model.kind]
    assert model.input_size is not None
    height, width = model.input_size
    if model.kind == "sound":
        return f"waveforms in [{low:g}, {high:g}], {width} samples at {model.sample_rate} Hz"
    return f"{model.channels} channels in [{low:g}, {high:g}], {height} x {width}"


def _processes(config: TrainingConfig) -> Processes:
    device = parse_device(config.device)
    exact_convolutions(device)
    if config.processes == 1:
        return OneProcess(device)
    fabric = fabric_of(config.processes, device)
    fabric.launch()
    return FabricProcesses(fabric)


def _require_folder(out: Path, resume: bool) -> None:
    there = out.exists() and (not out.is_dir() or any(out.iterdir()))
    if there and not (out / CONFIG).is_file():
        raise MetamersError(f"{out}: exists and is not a training; choose a new or empty --out")
    if there and not resume:
        raise MetamersError(f"{out}: holds a training already; go on with --resume, or choose another --out")


def _task(
    config: TrainingConfig,
    model: nn.Module | StagedModel | None,
    stimuli: StimulusSet | None,
    validation: StimulusSet | None,
) -> Task:
    given: dict[str, Any] = config.model_dump(
        include={"labels", "label_column", "label_pattern", "rate", "seconds", "rms"}
    )
    stimuli = load_stimuli(config.stimuli, **given) if stimuli is None else stimuli
    if validation is None and config.validation is not None:
        validation = load_stimuli(config.validation, **given)
    names = class_names(stimuli)
    loaded, stimuli = fit_to_model(_model(config, model, names, stimuli), stimuli)
    classes = loaded.classes if set(names) <= set(loaded.classes) else names
    if len(stimuli) < config.batch_size:
        raise MetamersError(f"batch_size {config.batch_size} is more than the {len(stimuli)} stimuli; lower it")
    if config.batch_size < config.processes:
        raise MetamersError(f"batch_size {config.batch_size} is less than the {config.processes} processes; raise it")
    labeled = labeled_stimuli(stimuli, loaded, classes)
    _require_within(config, loaded)
    return Task(
        loaded,
        labeled,
        None if validation is None else labeled_stimuli(validation, loaded, classes),
        weights_to_train(loaded, config.frozen),
    )


def _require_within(config: TrainingConfig, model: StagedModel) -> None:
    """Refuse an eps that no two stimuli are apart."""
    if getattr(config.objective, "at", None):
        return  # what a module gives has no range
    n_values, width = prod(model.input_shape), 2 if model.kind == "sound" else 1
    for name, part in (("objective", config.objective), ("evaluation", config.evaluation)):
        norm, eps = getattr(part, "norm", None), getattr(part, "eps", None)
        if norm is not None and eps is not None and eps > (most := width * largest(norm, n_values)):
            raise MetamersError(
                f"{name}.eps {eps:g} is more than the stimuli's range allows: {most:g} in {norm}; lower it"
            )


def _model(
    config: TrainingConfig, model: nn.Module | StagedModel | None, names: tuple[str, ...], stimuli: StimulusSet
) -> StagedModel:
    """The model with the weights that it starts from, its network its own."""
    start, spec = config.weights, config.model
    if spec.startswith("builtin:") and "classes=" not in spec:
        spec += f"{'&' if '?' in spec else '?'}classes={_n_outputs(names)}"
    at_random = "random" if start == "random" else None
    with random_weights_from(config.seed):
        source = spec if model is None else model
        kind = own_kind(source, stimuli.kind, stimuli.sample_rate)
        loaded = load_model(source, weights=at_random, **kind).copied()
    if start not in (None, "random"):
        assert start is not None
        is_spec = ":" in start and not Path(start).is_file()
        weights = load_model(start).network.state_dict() if is_spec else read_weights(start)
        put_weights(loaded.network, weights, start)
    return loaded


def _n_outputs(names: tuple[str, ...]) -> int:
    """One for each class; labels that are digits are indices."""
    return max(map(int, names)) + 1 if all(name.isdecimal() for name in names) else len(names)


def _say_what_is_left(task: Task, config: TrainingConfig, say: Callable[[str], None]) -> None:
    left = len(task.stimuli) % config.batch_size
    if left:
        say(f"{left} of {len(task.stimuli)} stimuli are left out of each epoch, other ones each time: no whole batch")
    if task.validation is None:
        say("no accuracy is measured; name a validation set for that")
        return
    trained, held_out = task.stimuli.stimuli, task.validation.stimuli
    shared = set(trained.ids) & set(held_out.ids)
    if shared and trained.name.partition("?")[0] == held_out.name.partition("?")[0]:
        say(
            f"{len(shared)} of the {len(held_out)} validation stimuli are trained on, too, so accuracy says little; "
            "name others (of bundled sets, another split= or seed=)"
        )


def _finished(task: Task) -> StagedModel:
    """The model with its trained network, in evaluation mode and frozen."""
    model, stimuli = task.model, task.stimuli
    return StagedModel(
        model.network,
        name=model.name,
        spec=model.spec,
        kind=model.kind,
        input_size=model.input_size,
        input_range=model.input_range,
        channels=model.channels,
        sample_rate=model.sample_rate,
        mean=model.mean,
        std=model.std,
        classes=stimuli.classes if len(stimuli.classes) == _outputs(model) else (),
        device=str(next(model.network.parameters()).device),
    )


def _outputs(model: StagedModel) -> int:
    return next(stage.shape[0] for stage in model.describe() if stage.name == "output")


def _explained(error: NotFiniteError, task: Task, settings: Mapping[str, Any], out: Path) -> MetamersError:
    """The error, after the weights of the last good epoch were written."""
    checkpoint = last_checkpoint(out / "checkpoints", settings, lambda note: None)
    if checkpoint is None:
        return MetamersError(f"{error}; no epoch was finished, so there are no good weights")
    path = out / f"epoch-{checkpoint.epoch:04d}.safetensors"
    restore_weights(task.model.network, checkpoint)
    write_weights(_finished(task), path)
    return MetamersError(f"{error} (optimizer.learning_rate), and start with weights: {path}, the last good ones")
