"""`metamers run` and `metamers schema`."""

import time
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from cyclopts import Parameter

from metamers.cli.make import Several, command_line, finish, require_outside
from metamers.cli.options import Count
from metamers.cli.output import give_json, progress, say_note
from metamers.cli.train import parse_changes
from metamers.errors import MetamersError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from metamers.study.config import StudyConfig
    from metamers.study.local import Runner
    from metamers.study.resolve import Study


@Parameter(name="*")
@dataclass(frozen=True)
class Workers:
    """Who does the work, of `--runner dask`."""

    workers: Annotated[Count, Parameter(help="dask: how many workers, each with its share of the cores, or a GPU.")] = 2
    share_gpus: Annotated[bool, Parameter(negative="", help="dask: let several workers use one GPU.")] = False
    address: Annotated[str | None, Parameter(help="dask: of a scheduler that runs, as tcp://host:8786.")] = None
    slurm: Annotated[str | None, Parameter(help="dask: a partition of SLURM; each worker is a job.")] = None
    cores: Annotated[Count, Parameter(help="slurm: CPU cores of a job.")] = 4
    memory: Annotated[str, Parameter(help="slurm: memory of a job.")] = "16GB"
    gpus: Annotated[int, Parameter(help="slurm: GPUs of a job.")] = 0
    walltime: Annotated[str, Parameter(help="slurm: time limit of a job, HH:MM:SS.")] = "04:00:00"


def run(
    study: Path,
    /,
    *,
    out: Path | None = None,
    plan: Annotated[bool, Parameter(negative="")] = False,
    runner: Literal["local", "dask"] = "local",
    workers: Workers | None = None,
    anew: Annotated[bool, Parameter(negative="")] = False,
    retry: Annotated[bool, Parameter(negative="")] = False,
    set_: Annotated[list[str] | None, Several, Parameter(name="--set")] = None,
    strict: Annotated[bool, Parameter(negative="")] = False,
    json: Annotated[bool, Parameter(help="Print lines of JSON on stdout.", negative="")] = False,
) -> int:
    """Run a study: make the metamers of its models, verify them, let its observers name them, show it all on a page.

    An interrupted run is resumed by the same command. Other models, stages, recipes and seeds than before make cells
    beside the old ones. --json gives a line for each batch as it is done ("event": "batch") and one at the end
    ("finished").

    Parameters
    ----------
    study
        A YAML file; `metamers schema` describes it.
    out
        The folder of the run.
    plan
        Say what the study will cost (with --out, what is left of it), and make nothing.
    runner
        local: this process. dask: workers on this machine, of a running scheduler, or as jobs of SLURM (extras: dask,
        slurm).
    anew
        Where the stimuli have changed since the run began, delete all that was made, but for what people answered, and
        begin again.
    retry
        Make batches again of which a cell, or its null distribution, could not be made.
    set_
        Change the study: KEY=VALUE, e.g. batch_size=32 device=cuda stimuli.limit=10.
    strict
        Exit with 1 when a cell did not pass.
    """
    from metamers.store import Store
    from metamers.study.resolve import resolve
    from metamers.study.run import run_study
    from metamers.study.study_file import read_placed_study

    config, where = read_placed_study(study, parse_changes(set_ or []))
    # The machines of a cluster may have GPUs where this one has none.
    elsewhere = workers is not None and (workers.address is not None or workers.slurm is not None)
    here = config.model_copy(update={"device": "cpu"}) if elsewhere else config
    if plan:
        if here != config:
            say_note("the time is measured on a CPU of this machine, not on the cluster's")
        return _plan(resolve(here, where=where), out, json)
    if out is None:
        raise MetamersError("--out is missing; give the folder of the run, e.g. --out runs/mine")
    null = config.null_stimuli
    require_outside(out, config.stimuli.source, None if null is None else null.source)
    Store(out).require_free()
    resolved = resolve(here, where=where)
    with progress() as update, _runner(runner, workers or Workers(), config) as chosen:
        store = run_study(
            *(config, resolved, out),
            runner=chosen,
            anew=anew,
            retry=retry,
            command=command_line(),
            progress=update,
            on_event=give_json if json else lambda event: None,
            say=say_note,
        )
    return finish(store, report=config.report, strict=strict, json=json, event="finished")


@contextmanager
def _runner(name: str, given: Workers, config: "StudyConfig") -> "Iterator[Runner]":
    from metamers.study.local import make_here

    if name == "local":
        if given != Workers():
            raise MetamersError("--workers and what goes with them are for --runner dask; add that")
        yield make_here
        return
    from metamers.study.clusters import Slurm, require_gpus, workers
    from metamers.study.dask_runner import DaskRunner

    slurm = None
    if given.slurm is not None and given.address is not None:
        raise MetamersError("--address and --slurm are two kinds of workers; leave one out")
    if given.slurm is None and replace(given, workers=2, address=None, share_gpus=False) != Workers():
        raise MetamersError("--cores, --memory, --gpus and --walltime are of jobs; add --slurm PARTITION")
    if given.slurm is not None:
        slurm = Slurm(given.slurm, given.cores, given.memory, given.gpus, given.walltime)
    if given.address is None and slurm is None:
        require_gpus(config.device, given.workers, given.share_gpus)
    with workers(given.workers, given.address, slurm) as client:
        found = client.scheduler_info(n_workers=-1)
        dashboard = f"; dashboard: {client.dashboard_link}" if find_spec("bokeh") else ""
        say_note(f"{len(found['workers'])} workers of {found['address']}{dashboard}")
        yield DaskRunner(client, config)


def schema() -> int:
    """Print the JSON schema of a study's YAML file, for editors."""
    from metamers.study.config import StudyConfig

    give_json(StudyConfig.model_json_schema())
    return 0


def _plan(study: "Study", out: Path | None, json: bool) -> int:
    from metamers.store import Store
    from metamers.study.estimate import cells_there, estimate
    from metamers.study.local import null_notes, require_continuable

    nulls = (note for task in study.tasks for note in null_notes(task, study.settings))
    for note in dict.fromkeys([*study.notes, *nulls]):
        say_note(note)
    there = None
    if out is not None:
        require_continuable(Store(out), study.tasks, study.settings)
        there = cells_there(Store(out), study.tasks, study.settings)
    begun = time.perf_counter()
    found = [estimate(task, study.settings, there) for task in study.tasks]
    totals: dict[str, Any] = {
        "measured_seconds": time.perf_counter() - begun,
        **{key: sum(getattr(each, key) for each in found) for key in ("cells", "done", "seconds")},
        "memory_bytes": max(each.memory_bytes for each in found),
        "disk_bytes": sum(each.disk_bytes for each in found),
    }
    if json:
        give_json({**totals, "models": [asdict(each) for each in found]})
    else:
        for each in found:
            print(_line(each.model, asdict(each)))
        print(_line("in all", totals))
        early = any(recipe.early_stop for recipe in study.settings.recipes)
        print(
            f"{'for all steps, though most searches stop early; ' * early}"
            "measured for a moment, so about; null distributions, observers and the page come on top"
        )
    return 0


def _line(name: str, cost: "dict[str, Any]") -> str:
    from metamers.report.summaries import duration

    memory, disk = (cost[key] / 1e6 for key in ("memory_bytes", "disk_bytes"))
    cells, time_ = f"{cost['cells']:,} cells", duration(cost["seconds"])
    if cost["done"]:
        cells += f" ({cost['done']:,} of them there already)"
    return f"{name}: {cells}, {time_}, {memory:,.0f} MB of memory for a batch, {disk:,.1f} MB on disk"
