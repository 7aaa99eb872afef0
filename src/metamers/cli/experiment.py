"""`metamers experiment`: people name the metamers of a run."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter

from metamers.cli.make import Several
from metamers.cli.options import Count, Json
from metamers.cli.output import give_json, say_note
from metamers.cli.train import parse_changes

if TYPE_CHECKING:
    from metamers.experiment.planning import Plan

MOST_MEGABYTES = 200

experiment = App(name="experiment", help="Let people name the metamers of a run.", help_format="plaintext")


@experiment.command
def init(
    run: Path,
    /,
    *,
    out: Path,
    preset: Literal["feather-vision", "feather-audio", "geirhos-lab"] = "feather-vision",
    practice: str | None = None,
    set_: Annotated[list[str] | None, Several, Parameter(name="--set")] = None,
    json: Json = False,
) -> int:
    """Make an experiment of a run's verified metamers: OUT/experiment.yaml and the files to be shown.

    Parameters
    ----------
    run
        The folder of the run; of several recipes or seeds, its first are taken.
    out
        The folder of the experiment.
    preset
        What it is like, but for what --set changes.
    practice
        A folder of natural stimuli for practice, screening and catch trials; pictograms need none.
    set_
        Change the experiment: KEY=VALUE, e.g. missing=skip main_trials=200 times.deadline_ms=3000.
    """
    from metamers.experiment.making import make_experiment
    from metamers.stimuli import load_stimuli

    given = None if practice is None else load_stimuli(practice)
    config, stimuli = make_experiment(run, out, preset, parse_changes(set_ or []), given)
    main = sum(stimulus.phase == "main" for stimulus in stimuli)
    if json:
        give_json({"experiment": str(out), "stimuli": len(stimuli), "main": main, "labels": list(config.labels)})
    else:
        print(f"{main} stimuli of main trials and {len(stimuli) - main} others, {len(config.labels)} labels")
        print(f"see {out / 'experiment.yaml'}; `metamers experiment plan {out}` says what it asks of people")
    return 0


@experiment.command
def plan(folder: Path, /, *, participants: Count = 20, json: Json = False) -> int:
    """Say what an experiment asks of people and what it can tell: trials, coverage, minutes, bytes, precision.

    Parameters
    ----------
    folder
        The folder of the experiment.
    participants
        How many will finish.
    """
    from metamers.experiment.making import read_experiment
    from metamers.experiment.planning import plan as planned

    config, stimuli = read_experiment(folder)
    found = planned(config, stimuli, folder, participants)
    if json:
        give_json({"experiment": str(folder), **asdict(found)})
    else:
        _say_plan(found)
    if found.megabytes > MOST_MEGABYTES:
        say_note(f"each participant loads {found.megabytes:.0f} MB; smaller images or fewer trials load sooner")
    return 0


def _say_plan(found: "Plan") -> None:
    many, each = found.participants, _range(found.trials_per_condition)
    print(f"{found.trials} trials a participant, {found.main_trials} main ones, about {found.minutes:.0f} minutes")
    print(f"{found.conditions} conditions, {each} trials of each; natural: {_range(found.natural_trials)}")
    print(f"of {many} participants, {_range(found.seen)} see each of the {found.sources} references in it")
    print(f"standard error of a condition at one half: {found.se_participant:.3f}; of the mean {found.se_mean:.3f}")
    print(f"{found.megabytes:.1f} MB are loaded by each")


def _range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low} to {high}"
