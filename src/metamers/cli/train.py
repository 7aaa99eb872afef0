"""`metamers train`."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from metamers.cli.make import Several
from metamers.cli.options import Json
from metamers.cli.output import give_json, progress, say, say_note
from metamers.errors import MetamersError

BUNDLED = "bundled:"


def train(
    config: str,
    /,
    *,
    out: Path,
    resume: Annotated[bool, Parameter(negative="")] = False,
    set_: Annotated[list[str] | None, Several, Parameter(name="--set")] = None,
    json: Json = False,
) -> int:
    """Train a model on labeled images or sounds: as usual, on adversarial perturbations, or on random ones.

    After each epoch OUT holds a checkpoint, the table log.csv and the picture figures/curves.svg; at the end the
    weights model.safetensors with their card model.md, for `--weights`.

    Parameters
    ----------
    config
        A YAML file, or bundled:NAME for what a bundled model was trained with.
    out
        The folder of the training.
    resume
        Go on after the last checkpoint in OUT, with the same result as without the interruption.
    set_
        Change the configuration: KEY=VALUE, e.g. epochs=2 objective.eps=0.5 device=cuda processes=2.
    """
    from metamers.report import write_training_curves
    from metamers.store import read_config
    from metamers.training import TrainingConfig, Watch
    from metamers.training import train as run
    from metamers.training.bundled import bundled_recipe
    from metamers.training.processes import is_first_process

    path = bundled_recipe(config.removeprefix(BUNDLED)) if config.startswith(BUNDLED) else Path(config)
    chosen = read_config(path, TrainingConfig, parse_changes(set_ or []))
    with progress() as update:
        watch = Watch(update, partial(write_training_curves, out=out), say_note)
        trained = run(chosen, out, resume=resume, watch=watch)
    if not is_first_process():
        return 0
    last = trained.history[-1]
    summary: dict[str, Any] = {
        **{"out": str(out), "epochs": len(trained.history), **{k: v for k, v in last.items() if k != "epoch"}},
        **{"weights": str(out / "model.safetensors"), "card": str(out / "model.md"), "log": str(out / "log.csv")},
        **{"curves": str(out / "figures" / "curves.svg"), "weights_hash": trained.model.weights_hash()},
    }
    if json:
        give_json(summary)
    else:
        shown = ", ".join(f"{k.replace('_', ' ')} {v:.1%}" for k, v in last.items() if k.endswith("accuracy"))
        say(f"{len(trained.history)} epochs: loss {last['loss']:.4f}, {shown}; see {summary['curves']}")
        say(f"weights: {summary['weights']}")
    return 0


def parse_changes(settings: list[str]) -> dict[str, Any]:
    """KEY=VALUE pairs, the values read as YAML.

    Raises MetamersError for a pair without a key or value.

    >>> parse_changes(["epochs=2", "objective.norm=l2", "frozen=[conv1.*]"])
    {'epochs': 2, 'objective.norm': 'l2', 'frozen': ['conv1.*']}
    """
    import yaml

    parsed: dict[str, Any] = {}
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not (key and equals and value):
            raise MetamersError(f"--set {setting}: give KEY=VALUE")
        try:
            parsed[key] = yaml.safe_load(value)
        except yaml.YAMLError:
            raise MetamersError(f"--set {setting}: {value!r} is no YAML value; correct it") from None
    return parsed
