"""`metamers experiment`: people name the metamers of a run."""

from collections import Counter
from contextlib import suppress
from dataclasses import asdict
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from cyclopts import App, Parameter
from cyclopts.validators import Number

from metamers.cli.make import Several
from metamers.cli.options import Count, Json
from metamers.cli.output import give_json, progress, say_note
from metamers.cli.train import parse_changes
from metamers.errors import MetamersError

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
    preset: Literal["feather-vision", "feather-audio", "geirhos-lab", "pairs-vision", "pairs-audio"] = "feather-vision",
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
        What it is like, but for what --set changes. In the last two, nothing is named: participants say which of two
        metamers looks (sounds) more like the reference.
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
        asked = f"{len(config.pairs)} pairs of conditions" if config.pairs else f"{len(config.labels)} labels"
        print(f"{main} stimuli of main trials and {len(stimuli) - main} others, {asked}")
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
        _say_plan(found, pairs=config.in_pairs)
    if found.megabytes > MOST_MEGABYTES:
        say_note(f"each participant loads {found.megabytes:.0f} MB; smaller images or fewer trials load sooner")
    if 2 * found.main_trials < found.trials:
        say_note(
            f"{found.main_trials} of {found.trials} trials are main ones; give the run more references, or the "
            "experiment less practice, screening and catch"
        )
    if found.trials_per_condition[0] == 0:
        say_note(
            f"a participant does not see every {'pair' if config.in_pairs else 'condition'}, which an analysis of "
            "variance needs; give the run more references, or take fewer stages"
        )
    return 0


@experiment.command
def serve(
    folder: Path,
    /,
    *,
    host: str = "127.0.0.1",
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535))] = 8090,
    public_url: str | None = None,
    database: str | None = None,
    mode: Literal["live", "pilot", "lab"] = "live",
) -> int:
    """Serve an experiment until it is interrupted.

    Parameters
    ----------
    folder
        The folder of the experiment.
    host
        The address to serve on; others than this machine's need --public-url.
    port
        The port to serve on.
    public_url
        Where participants reach it, through a proxy that speaks TLS: https://...
    database
        Where the data are kept: a file, or a URL of PostgreSQL; by default FOLDER/data.sqlite.
    mode
        What the sessions count as; trial lists are dealt out for each mode by itself.
    """
    _require_web("serve")
    from metamers.experiment.database import Writer
    from metamers.experiment.opened import open_experiment
    from metamers.experiment.serving import admin_token, bound, require_page, server

    opened = open_experiment(folder, database)
    require_page()
    token_file, token = admin_token(folder)
    with bound(host, port, public_url) as listener:
        address = public_url or f"http://{host}:{listener.getsockname()[1]}"
        writer = Writer(opened.engine)
        running = server(opened, writer, mode, secure=bool(public_url), admin_token=token)
        print(f"serving {opened.design.config.name} ({mode}) on {address}; end with Ctrl-C", flush=True)
        print(f"how far it is: {address}/admin, with the token in {token_file}", flush=True)
        try:
            with suppress(KeyboardInterrupt):  # as it ends
                running.run(sockets=[listener])
        finally:
            writer.close()
    print("ended; who was taking part goes on once it is served again")
    return 0


@experiment.command
def simulate(
    folder: Path,
    /,
    *,
    participants: Count = 20,
    seed: int = 0,
    profile: Path | None = None,
    profile_model: str | None = None,
    database: str | None = None,
    json: Json = False,
) -> int:
    """Let virtual participants take part, through the server, as mode `simulated`.

    Parameters
    ----------
    folder
        The folder of the experiment.
    participants
        How many.
    seed
        Of their answers.
    profile
        A table of how often people are right (columns model, stage_index, human_mean), used by the relative depth of
        stage; without one, accuracy falls from 0.9 for natural stimuli to 0.2 at each model's last stage. Of two
        candidates, each is chosen in proportion to it.
    profile_model
        Which of its models.
    database
        As of `serve`.
    """
    _require_web("simulate")
    from metamers.experiment.opened import open_experiment
    from metamers.experiment.simulate import published
    from metamers.experiment.simulate import simulate as visit

    if (profile is None) != (profile_model is None):
        raise MetamersError("--profile and --profile-model go together; give both or none")
    opened = open_experiment(folder, database)
    accuracy = None
    if profile is not None and profile_model is not None:
        accuracy = published(profile, profile_model, opened.design.stimuli)
    with progress() as update:
        visits = visit(
            opened, participants, seed, accuracy, lambda done, total: update(done, total, "virtual participants")
        )
    counts = Counter(visit.state for visit in visits)
    if json:
        give_json({"experiment": str(folder), "participants": len(visits), "states": dict(counts)})
    else:
        print(f"{len(visits)} participants: " + ", ".join(f"{n} {state}" for state, n in sorted(counts.items())))
        where = "" if database is None else f" --database {'URL' if '://' in database else database}"
        print(f"`metamers experiment export {folder}{where} --out DATA` writes what they answered")
    return 0


@experiment.command
def export(
    folder: Path,
    /,
    *,
    out: Path,
    database: str | None = None,
    mode: Annotated[list[Literal["live", "lab", "pilot", "simulated"]] | None, Several] = None,
    identities: bool = False,
    json: Json = False,
) -> int:
    """Write the data as tables; OUT/responses.csv is for `metamers import-responses`, OUT/pairs.csv tells what was
    preferred, where pairs are compared, OUT/codebook.csv explains.

    Parameters
    ----------
    folder
        The folder of the experiment.
    out
        A new folder.
    database
        As of `serve`.
    mode
        Of which sessions; by default live and lab, or, where there are none, pilot and simulated.
    identities
        Write who is who, too.
    """
    _require_web("export")
    from metamers.experiment.export import export as write
    from metamers.experiment.opened import open_experiment

    opened = open_experiment(folder, database)
    found = write(opened, out, identities=identities, modes=mode)
    if json:
        give_json({"experiment": str(folder), "out": str(out), **found})
    else:
        print(f"{found['included']} of {found['sessions']} sessions count, of {found['trials']} trials in all")
        print(f"{found['included_trials']} of {found['main_trials']} main trials that were answered count")
        if found["substituted"]:
            print(f"{found['substituted']} of them showed the reference for want of a metamer, and do not count")
        if found["excluded"]:
            rules = ", ".join(f"{rule} {n}" for rule, n in sorted(found["excluded"].items()))
            print(f"excluded by rule: {rules}; {out / 'exclusions.csv'} says whom")
        taken = f"`metamers import-responses RUN {out / 'responses.csv'}` takes them to the run"
        preferred = f"{out / 'pairs.csv'} tells how often which condition was chosen"
        print(f"see {out / 'trials.csv'}; {preferred if opened.design.config.in_pairs else taken}")
    return 0


@experiment.command
def jatos(folder: Path, /, *, out: Path, participants: Count, json: Json = False) -> int:
    """Write an experiment as a study for JATOS, with a trial list for each participant, and its key beside it.

    Parameters
    ----------
    folder
        The folder of the experiment.
    out
        The archive, FILE.jzip, to import in JATOS; FILE.key.json tells what it shows and stays with you.
    participants
        How many are expected; when all lists are out, they are dealt again.
    """
    _require_web("jatos")
    from metamers.experiment.jatos import write_archive

    made = write_archive(folder, out, participants)
    if json:
        give_json({"experiment": str(folder), **made})
    else:
        print(f"{made['archive']}: {made['lists']} lists, {made['media']} files to be shown; import it in JATOS")
        print(f"keep {made['key']}: `metamers import-responses RUN RESULTS.txt --jatos {made['key']}` needs it")
    return 0


@experiment.command(name="import")
def import_(folder: Path, file: Path, /, *, database: str | None = None, json: Json = False) -> int:
    """Take in the file that a participant's page made of answers that it could not send; again, nothing changes.

    Parameters
    ----------
    folder
        The folder of the experiment.
    file
        The file as the participant sent it.
    database
        As of `serve`.
    """
    _require_web("import")
    from metamers.experiment.opened import open_experiment
    from metamers.experiment.unsent import take_in

    found = take_in(open_experiment(folder, database), file)
    if conflicts := found["conflicts"]:
        say_note(f"events that differ from what was kept, which stays: {len(conflicts)} (first {conflicts[0]})")
    if found["left_out"]:
        say_note(f"events left out: {found['left_out']} ({found['why']})")
    if json:
        give_json({"experiment": str(folder), **found})
    else:
        code = f", code {found['code']}" if found["code"] else ""
        print(f"{found['new']} new events, {found['known']} were known; the session is {found['state']}{code}")
    return 0


@experiment.command
def purge(
    folder: Path,
    /,
    *,
    identities: bool = False,
    older_than_days: Annotated[int | None, Parameter(validator=Number(gte=0))] = None,
    database: str | None = None,
    json: Json = False,
) -> int:
    """Delete data that need no longer be kept; it cannot be undone.

    Parameters
    ----------
    folder
        The folder of the experiment.
    identities
        Delete who is who; without --older-than-days and retention_days nothing else. Who comes again is still
        recognized, by a keyed hash.
    older_than_days
        Delete sessions that began so many days ago; by default retention_days of experiment.yaml.
    database
        As of `serve`.
    """
    _require_web("purge")
    from metamers.experiment.opened import open_experiment
    from metamers.experiment.purging import purge as delete

    gone = delete(open_experiment(folder, database), identities=identities, older_than_days=older_than_days)
    if json:
        give_json({"experiment": str(folder), **gone})
    else:
        print(f"deleted: {gone['sessions']} sessions, {gone['identities']} identities")
    return 0


def _require_web(command: str) -> None:
    """Raises MetamersError without the extra."""
    if any(find_spec(name) is None for name in ("fastapi", "httpx", "sqlalchemy", "uvicorn")):
        raise MetamersError(f"experiment {command} needs the extra 'web': pip install 'metamers[web]'")


def _say_plan(found: "Plan", *, pairs: bool) -> None:
    many, each = found.participants, _range(found.trials_per_condition)
    print(f"{found.trials} trials a participant, {found.main_trials} main ones, about {found.minutes:.0f} minutes")
    if pairs:
        print(f"{found.conditions} pairs of conditions, {each} trials of each")
    else:
        print(f"{found.conditions} conditions, {each} trials of each; natural: {_range(found.natural_trials)}")
    print(f"of {many} participants, {_range(found.seen)} see each of the {found.sources} references in it")
    precision = f"{found.se_participant:.3f}; of the mean {found.se_mean:.3f}"
    print(f"standard error of a {'pair' if pairs else 'condition'} at one half: {precision}")
    print(f"{found.megabytes:.1f} MB are loaded by each")


def _range(bounds: tuple[int, int]) -> str:
    low, high = bounds
    return str(low) if low == high else f"{low} to {high}"
