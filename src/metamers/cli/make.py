"""`metamers make`."""

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from metamers.cli.options import (
    Count,
    Device,
    InputSize,
    Json,
    Labels,
    Sounds,
    Weights,
    parse_settings,
    parse_size,
    require_own_length,
    sounds_for,
)
from metamers.cli.output import give_json, progress, say, say_note
from metamers.errors import MetamersError

if TYPE_CHECKING:
    from metamers.store import Store

Several = Parameter(consume_multiple=True, negative="")


def make(
    model: str,
    /,
    *,
    stage: Annotated[list[str], Several],
    stimuli: str,
    out: Path,
    null_stimuli: str | None = None,
    null_pairs: Count = 1_000_000,
    recipe: str = "fast",
    set_: Annotated[list[str] | None, Several, Parameter(name="--set")] = None,
    objective: str = "activation",
    quantile: str = "max",
    seed: Annotated[list[int] | None, Several] = None,
    limit: Count | None = None,
    labels: Labels | None = None,
    sounds: Sounds | None = None,
    weights: Weights = None,
    input_size: InputSize = None,
    batch_size: Count = 16,
    device: Device = "cpu",
    report: bool = True,
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Json = False,
) -> int:
    """Make metamers of your stimuli for your model, verify them as written, and show them on a page.

    An interrupted run is resumed by the same command.

    Parameters
    ----------
    model
        torchvision:NAME, timm:NAME, transformers:NAME, FILE.py:FUNCTION[:ARGUMENT], builtin:NAME or bundled:NAME.
    stage
        Where to match: names or patterns as `metamers stages MODEL` lists them, `all`, or A+B for two at once.
    stimuli
        A folder, zip archive, npz file (X uint8 [N, H, W, C], y), image, sound, bundled:pictograms?n=16 or
        bundled:spoken_clips.
    out
        The folder of the run.
    null_stimuli
        Stimuli for the null distribution, at least 50 different ones; needed where the stimuli are fewer than 200.
    null_pairs
        Pairs in the null distribution (fewer where the set has no more).
    recipe
        fast, adam, feather2023, feather2023-scaled, hmax (for builtin:hmax) or spectemp (for builtin:spectemp).
    set_
        Change the recipe: FIELD=VALUE, e.g. steps=400 optimizer=adam start=pink penalty=total_variation.
    objective
        What is matched: activation, spatial_mean or gram.
    quantile
        What each measure must exceed: the null's max, or its quantile 0.9999, 0.999, 0.99, 0.95, 0.9 or 0.5.
    seed
        Seeds; one metamer of each stimulus for each. [default: 0]
    limit
        Use only the first so many stimuli.
    batch_size
        Stimuli made together. It changes the plan, not the results.
    report
        Write the page RUN/report.html at the end.
    strict
        Exit with 1 when a cell did not pass.
    """
    from metamers.matching import AboveNull, Representation, SameDecision
    from metamers.models import fit_to_model, load_model, own_kind
    from metamers.models.devices import parse_device
    from metamers.observers import recognize
    from metamers.stimuli import load_stimuli
    from metamers.store import Store, build_tables
    from metamers.study import ModelTask, Settings, chosen_stages, run_local
    from metamers.synthesis import recipe_named

    # From the cheapest check to the dearest: pixels are decoded last.
    changes = parse_settings(set_ or [])
    recipe_named(recipe, None).with_options(**changes)
    criterion, size = AboveNull(quantile=quantile) & SameDecision(), parse_size(input_size)
    Representation(("output",), summary=objective)
    parse_device(device)
    require_outside(out, stimuli, null_stimuli)
    Store(out).require_free()
    as_sounds = asdict(sounds_for(model, sounds or Sounds()))
    images = load_stimuli(stimuli, **asdict(labels or Labels()), limit=limit, **as_sounds)
    null = None if null_stimuli is None else load_stimuli(null_stimuli, **as_sounds)
    kind = own_kind(model, images.kind, images.sample_rate)
    loaded = load_model(model, weights=weights, input_size=size, device=device, **kind)
    require_own_length(loaded, sounds or Sounds())
    loaded, images = fit_to_model(loaded, images)
    chosen = recipe_named(recipe, loaded.kind).with_options(**changes)
    representations = tuple(Representation(stages, summary=objective) for stages in chosen_stages(loaded, stage))
    if null is not None:
        _, null = fit_to_model(loaded, null)
        null.check()
    images.check()
    settings = Settings((chosen,), criterion, tuple(dict.fromkeys(seed or [0])), null, null_pairs, batch_size)
    tasks = [ModelTask(loaded, images, representations)]
    with progress() as update:
        store = run_local(out, tasks, settings, command=command_line(), progress=update, say=say_note)
        with store.locked(say_note):
            if loaded.has_decision:
                recognize(store, loaded)
            build_tables(store)
    return finish(store, report=report, strict=strict, json=json)


def finish(store: "Store", *, report: bool, strict: bool, json: bool, event: str | None = None) -> int:
    """Write the page, say what came out, and give the exit code; `event` names it among others."""
    summary = summarized(store, report=report)
    if json:
        give_json(({"event": event} if event else {}) | summary)
    else:
        say_summary(summary)
    return exit_code(summary, strict)


def summarized(store: "Store", *, report: bool) -> dict[str, Any]:
    """What came out of a run, after its page is written; its notes are said. `failures` come once, one at a time."""
    from metamers.report import write_report
    from metamers.store import UNUSABLE, sorted_on_disk

    page = write_report(store.folder) if report else None
    verdicts, passed, notes = Counter[str](), Counter[tuple[str, str]](), list[str]()

    def failures() -> Iterator[dict[str, Any]]:
        for batch in store.batches():
            notes.extend(note for note in batch["notes"] if note not in notes)
            for cell in batch["cells"]:
                verdicts[cell["verdict"]] += 1
                passed[cell["model"], cell["stage"]] += cell["verdict"] == "passed"
                if cell["verdict"] in UNUSABLE:
                    yield {key: cell[key] for key in ("cell", "verdict", "reason")}

    failed = sorted_on_disk(failures(), key=lambda failure: "")  # in their order; to be told after the counts
    for note in notes:
        say_note(note)
    return {
        **{"run": str(store.folder), "cells": verdicts.total()},
        **{verdict.replace(" ", "_"): verdicts[verdict] for verdict in ("passed", "failed", "no null", "error")},
        "stages": [{"model": model, "stage": stage, "passed": n} for (model, stage), n in passed.items()],
        "failures": failed,
        **{"notes": notes, "matches": str(store.folder / "tables" / "matches.csv")},
        "report": None if page is None else str(page),
    }


def exit_code(summary: dict[str, Any], strict: bool) -> int:
    """1 where all cells should have passed and did not, else 0."""
    return 1 if strict and summary["passed"] < summary["cells"] else 0


def say_summary(summary: dict[str, Any]) -> None:
    """A summary in lines for people."""
    first, errors = dict[str, str](), Counter[str]()
    for failure in summary["failures"]:
        if failure["verdict"] == "error":
            first.setdefault(failure["reason"], failure["cell"])
            errors[failure["reason"]] += 1
    for reason, n in errors.items():
        more = f" and {n - 1} more" if n > 1 else ""
        say(f"could not be made: {first[reason]}{more}: {reason}")
    counts = [f"{summary['passed']} of {summary['cells']} metamers passed"]
    words = {"failed": "failed", "no_null": "could not be judged (no null)", "error": "could not be made"}
    counts += [f"{summary[verdict]} {word}" for verdict, word in words.items() if summary[verdict]]
    say("; ".join(counts))
    say(f"see {summary['report'] or summary['matches']}")


def command_line() -> str:
    """The command as it was given."""
    import shlex

    return shlex.join(["metamers", *sys.argv[1:]])


def require_outside(out: Path, *stimuli: str | None) -> None:
    """Refuse a run inside a folder of stimuli: its pictures would be taken for more of them."""
    for folder in stimuli:
        if folder is not None and Path(folder).is_dir() and out.resolve().is_relative_to(Path(folder).resolve()):
            raise MetamersError(f"--out {out} lies in the folder of stimuli '{folder}'; choose one outside it")
