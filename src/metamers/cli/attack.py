"""`metamers attack`."""

from collections.abc import Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from metamers.cli.make import Several, require_outside
from metamers.cli.options import (
    Count,
    Device,
    InputSize,
    Json,
    Labels,
    Sounds,
    Weights,
    parse_number,
    parse_size,
    require_own_length,
    sounds_for,
)
from metamers.cli.output import Update, give_json, progress, say, say_note
from metamers.errors import MetamersError

if TYPE_CHECKING:
    import pandas as pd

    from metamers.models import StagedModel
    from metamers.stimuli import StimulusSet
    from metamers.store import Record, Store
    from metamers.training import Attack, RobustnessCurve

OWN_STIMULI = {"image": "bundled:pictograms?split=test&n=2048&seed=2", "sound": "bundled:spoken_clips"}


def attack(
    model: str,
    /,
    *models: str,
    stimuli: str | None = None,
    norm: str = "l2",
    eps: Annotated[list[str] | None, Several] = None,
    steps: Count = 64,
    step_size: str | None = None,
    random_start: Annotated[bool, Parameter(negative="")] = False,
    restarts: Annotated[int, Parameter(validator=Number(gte=0))] = 0,
    images: Count = 64,
    seed: Annotated[list[int] | None, Several] = None,
    labels: Labels | None = None,
    sounds: Sounds | None = None,
    weights: Weights = None,
    input_size: InputSize = None,
    batch_size: Count = 64,
    device: Device = "cpu",
    out: Path | None = None,
    run: Path | None = None,
    json: Json = False,
) -> int:
    """How robust models are: their accuracy over the size of adversarial perturbations, with 95 % intervals.

    The attack is untargeted projected gradient descent; the strongest of its iterates counts.

    Parameters
    ----------
    model
        torchvision:NAME, timm:NAME, transformers:NAME, FILE.py:FUNCTION[:ARGUMENT], builtin:NAME or bundled:NAME;
        several share one table and figure.
    stimuli
        Labeled stimuli, named as for `metamers make`. [default, for bundled models:
        bundled:pictograms?split=test&n=2048&seed=2, or bundled:spoken_clips for those of words]
    norm
        How the size of a perturbation is measured: l2, linf or l1.
    eps
        Sizes, in units of the stimuli (images from 0 to 1, sounds from -1 to 1): numbers or fractions such as 4/255; 0
        is no attack.
        [default: by norm]
    step_size
        The length of a step. [default: eps/4]
    random_start
        Begin at a random place within eps.
    restarts
        Further attempts, each from a random place.
    images
        How many stimuli each seed draws (published: 1024).
    seed
        Seeds that draw the stimuli; the interval is over them. [default: 0 1 2 3 4]
    batch_size
        Stimuli attacked together.
    out
        The folder of the results. [default: runs/attacks/MODEL.NORM]
    run
        A run whose page is to set the model's robustness beside the recognizability of its metamers.
    """
    from metamers.models import load_model, own_kind
    from metamers.stimuli import load_stimuli
    from metamers.store import Store, slug
    from metamers.training import Attack
    from metamers.training.robustness import DEFAULT_EPS, SEEDS

    specs = (model, *models)
    chosen = Attack(norm, 0.0, steps, _length("--step-size", step_size), random_start, restarts)
    sizes = [parse_number("--eps", text) for text in eps or []] or DEFAULT_EPS[norm]
    for size in sizes:
        Attack(norm, size)
    if len(specs) > 1 and (weights or input_size):
        option = "--weights" if weights else "--input-size"
        raise MetamersError(f"{option} is for one model; call `metamers attack` once for each")
    source = stimuli or _own_stimuli(specs)
    store = None if run is None else Store.open(run)
    shown = load_stimuli(source, **asdict(labels or Labels()), **asdict(sounds_for(specs[0], sounds or Sounds())))
    options: dict[str, Any] = {"weights": weights, "input_size": parse_size(input_size), "device": device}
    loaded = [load_model(s, **options, **own_kind(s, shown.kind, shown.sample_rate)) for s in specs]
    for each in loaded:
        require_own_length(each, sounds or Sounds())
    names = [_name(m, store) for m in loaded]
    if twice := [name for i, name in enumerate(names) if name in names[:i]]:
        raise MetamersError(f"two models are named {twice[0]!r}; name each once, or attack them apart")
    folder = out or Path("runs/attacks") / slug(f"{'+'.join(names)}.{norm}")
    require_outside(folder, source)
    settings = {"eps": sizes, "n_images": images, "seeds": seed or SEEDS, "batch_size": batch_size}
    found = []
    with progress() as update:
        for i, each in enumerate(loaded):
            report = partial(report_attack, update, each.name, i, len(loaded))
            entry, table = measured(each, shown, chosen, settings, report)
            found.append((entry | {"stimuli": source}, table))
    return _finish(found, folder, store, json)


def _length(option: str, text: str | None) -> float | None:
    return None if text is None else parse_number(option, text)


def _own_stimuli(specs: Sequence[str]) -> str:
    """Stimuli like those that bundled models were trained on."""
    from metamers.models.bundled import kind_of

    for spec in specs:
        if not spec.startswith("bundled:"):
            raise MetamersError(
                f"--stimuli is missing; {spec} needs labeled stimuli: a folder, archive, npz file, "
                "bundled:pictograms or bundled:spoken_clips"
            )
    kinds = {kind_of(spec.removeprefix("bundled:")) for spec in specs}
    if len(kinds) > 1:
        raise MetamersError("--stimuli cannot be both images and sounds; attack the models of each apart")
    return OWN_STIMULI[kinds.pop()]


def _name(model: "StagedModel", store: "Store | None") -> str:
    """A model's name; says so where a run holds no metamers of it, and refuses another model of that name."""
    entries = [] if store is None else store.study().get("models") or []
    known = {entry["name"]: entry["weights_hash"] for entry in entries}
    if store is not None and model.name not in known:
        say_note(
            f"{store.folder} holds no metamers of {model.name}; its robustness is stored and stands beside nothing"
        )
    elif store is not None and known[model.name] != model.weights_hash():
        raise MetamersError(
            f"{store.folder}: its model {model.name!r} has other weights; attack that, or leave --run out"
        )
    return model.name


def report_attack(update: Update, name: str, i: int, n: int, done: float, total: float) -> None:
    """Progress of the attack on the i-th of n models."""
    update(i * total + done, n * total, f"attacked: {name}")


def measured(
    model: "StagedModel", stimuli: "StimulusSet", attack: "Attack", settings: dict[str, Any], report: Any
) -> "tuple[Record, pd.DataFrame]":
    """What is found of one model, its values over eps as lists, and as the table that `analyze` takes."""
    from metamers.analysis import robustness_table
    from metamers.models import fit_to_model
    from metamers.training import robustness_curve

    options = {key: value for key, value in asdict(attack).items() if key != "eps"}
    fitted_model, fitted = fit_to_model(model, stimuli)
    curve = robustness_curve(fitted_model, fitted, progress=report, **options, **settings)
    table = robustness_table(model.name, attack.norm, curve.eps, curve.accuracy, curve.n_images, curve.n_different)
    entry = _entry(model, curve, attack, table)
    return entry, table


def _finish(found: "list[tuple[Record, pd.DataFrame]]", folder: Path, store: "Store | None", json: bool) -> int:
    """Write the table, the record and the figure, say the accuracies, and give the exit code."""
    import pandas as pd

    from metamers.report.drawing import write_figure
    from metamers.report.robustness import robustness_figure
    from metamers.store import write_json, write_whole

    entries = [entry for entry, _ in found]
    files = {key: str(folder / name) for key, name in _FILES.items()}
    summary = {**(entries[0] if len(entries) == 1 else {"models": entries}), **files}
    table = pd.concat([table for _, table in found], ignore_index=True)
    write_whole(folder / _FILES["table"], table.to_csv(index=False, lineterminator="\n").encode())
    title = "Accuracy over the size of adversarial perturbations"
    write_figure(folder, "curve", title, partial(robustness_figure, table))
    if store is not None:
        summary["run"] = str(store.folder)
        with store.locked(say_note):
            for entry, of_one in found:
                store_robustness(store, entry, of_one)
    write_json(folder / _FILES["record"], summary)
    for note in dict.fromkeys(note for entry in entries for note in entry["notes"]):
        say_note(note)
    if json:
        give_json(summary)
    else:
        say(_listed(table))
        say(f"see {files['figure']}, {files['table']}")
        if store is not None:
            say(f"`metamers report {store.folder}` sets it beside the recognizability of metamers")
    return 0


_FILES = {"table": "robustness.csv", "record": "robustness.json", "figure": "curve.svg"}


def _entry(model: "StagedModel", curve: "RobustnessCurve", attack: "Attack", table: "pd.DataFrame") -> dict[str, Any]:
    """What is found of one model, the values over eps as lists."""
    from metamers.observers.model_observer import some

    notes = [f"{model.name}: {note}" for note in curve.notes]
    if curve.left_out:
        labels = some(label or "(no label)" for label in curve.left_out)
        count = sum(curve.left_out.values())
        notes.append(f"{model.name}: {count} stimuli are left out, whose labels it lacks: {labels}")
    return {
        **{"model": model.name, "spec": model.spec, "weights_hash": model.weights_hash(), "norm": attack.norm},
        **{"eps": list(curve.eps), "accuracy": table["robustness"].tolist()},
        **{"ci_low": table["ci_low"].tolist(), "ci_high": table["ci_high"].tolist()},
        "interval": "over seeds" if len(curve.seeds) > 1 else "over images",
        **{"n": curve.n_different, "n_images": curve.n_images, "seeds": list(curve.seeds)},
        "accuracy_by_seed": [list(row) for row in curve.accuracy],
        **{key: value for key, value in asdict(attack).items() if key not in ("norm", "eps")},
        **{"left_out": curve.left_out, "notes": notes},
    }


def store_robustness(store: "Store", entry: dict[str, Any], table: "pd.DataFrame") -> None:
    """In place of what the run holds of this model and norm; without eps 0, which is no attack."""
    from metamers.store import build_tables, record_id

    name, norm = entry["model"], entry["norm"]
    rows = table[table["eps"] > 0].to_dict("records")
    store.commit_robustness({"id": record_id([name, norm], f"{name}.{norm}"), **entry, "rows": rows})
    build_tables(store)


def _listed(table: "pd.DataFrame") -> str:
    """A line for each model and a column for each eps: accuracy and interval."""
    texts = [f"{row.robustness:.1%} ({row.ci_low:.1%} to {row.ci_high:.1%})" for row in table.itertuples(index=False)]
    wide = table.assign(text=texts).pivot(index="attack", columns="model", values="text")
    wide = wide.loc[table["attack"].unique(), table["model"].unique()]
    return str(wide.rename_axis(None).rename_axis(None, axis=1).to_string())
