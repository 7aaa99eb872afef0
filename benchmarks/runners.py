"""What the runners cost beside the bare engine, and what a second worker brings, in a thread each: `python -m
benchmarks.runners` prints both as JSON; with `overheads` or `speedup`, one of them."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

    from metamers.study.config import StudyConfig
    from metamers.study.resolve import Study

ROUNDS = 16
"""Of the overheads, in turns, of about 20 seconds each; the first, in which workers load the model, does not count."""
LONG_ROUNDS, LONG_SEEDS = 3, 16
"""Of the speed-up, in turns, of about 100 seconds for one worker, so that starting a run counts little."""
STUDY = """
models: bundled:picto-resnet
stages: output
stimuli: bundled:pictograms?split=test&n=32&seed=0
recipes: {name: adam, set: {steps: 150, early_stop: false}}
seeds: [SEEDS]
"""


def main() -> None:
    """Measure and print."""
    import torch

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers
    found: dict[str, float] = {}
    for part in sys.argv[1:] or ["overheads", "speedup"]:
        with tempfile.TemporaryDirectory() as scratch:
            found |= {"overheads": overheads, "speedup": speedup}[part](Path(scratch))
    print(json.dumps(found))


def overheads(folder: Path) -> dict[str, float]:
    """What `local` takes beside the engine, and one worker of Dask beside `local`."""
    from metamers.study.clusters import workers
    from metamers.study.dask_runner import DaskRunner
    from metamers.study.local import make_here

    config, study = study_of(folder, 4)
    with workers(1) as client:
        ways: dict[str, Callable[[Path], object]] = {
            "engine": lambda folder: engine(study.tasks[0], study.settings),
            "local": partial(run, study, make_here),
            "dask_1": partial(run, study, DaskRunner(client, config)),
        }
        times = {name: found[1:] for name, found in in_turns(ways, ROUNDS, folder).items()}
        scheduling = scheduling_ms(folder, client)
    cells = len(study.tasks[0].stimuli) * len(study.settings.seeds)
    return {**summary(times, cells), "ms_a_batch": scheduling}


def speedup(folder: Path) -> dict[str, float]:
    """How much faster two workers of Dask are than one."""
    from metamers.study.clusters import workers
    from metamers.study.dask_runner import DaskRunner

    with workers(1) as one, workers(2) as two:
        for name, client in (("one", one), ("two", two)):  # their workers load the model
            config, study = study_of(folder, 2)
            run(study, DaskRunner(client, config), folder / name)
        config, study = study_of(folder, LONG_SEEDS)
        ways = {f"dask_{n}": partial(run, study, DaskRunner(c, config)) for n, c in ((1, one), (2, two))}
        times = in_turns(ways, LONG_ROUNDS, folder)
    return {
        **{f"long_seconds_{name}": sum(found) for name, found in times.items()},
        "speedup_of_two": ratio(times["dask_1"], times["dask_2"]),
    }


def study_of(folder: Path, seeds: int) -> "tuple[StudyConfig, Study]":
    """The study with so many seeds."""
    from metamers.study.resolve import resolve
    from metamers.study.study_file import read_study

    path = folder / "study.yaml"
    path.write_text(STUDY.replace("SEEDS", ", ".join(map(str, range(seeds)))))
    config = read_study(path)
    return config, resolve(config)


def in_turns(ways: Mapping[str, Callable[[Path], object]], rounds: int, folder: Path) -> dict[str, list[float]]:
    """The seconds of each way in each round."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds):
        # Turned round each time, so that a machine that grows slower or faster favors none.
        for name, way in list(ways.items())[:: 1 - 2 * (number % 2)]:
            begun = time.perf_counter()
            way(folder / f"{name}.{number}")
            times[name].append(time.perf_counter() - begun)
        print(f"round {number}: { {name: round(t[-1], 1) for name, t in times.items()} }", file=sys.stderr)
    return times


def scheduling_ms(folder: Path, client: "Client") -> float:
    """What a worker adds to a batch of 16 cells of a toy net whose searches end after two steps."""
    from benchmarks.scale import write_toy
    from metamers.study.dask_runner import DaskRunner
    from metamers.study.local import make_here
    from metamers.study.resolve import resolve
    from metamers.study.study_file import read_study

    config = read_study(write_toy(folder, seeds=16))
    study = resolve(config)
    ways = {"local": make_here, "dask": DaskRunner(client, config)}
    run(study, ways["dask"], folder / "toy-first")  # its worker loads the model
    times = {}
    for name, way in ways.items():
        begun = time.perf_counter()
        run(study, way, folder / f"toy-{name}")
        times[name] = time.perf_counter() - begun
    batches = len(study.tasks[0].stimuli) * len(study.settings.seeds) / study.settings.batch_size
    return 1000 * (times["dask"] - times["local"]) / batches


def summary(times: dict[str, list[float]], cells: int) -> dict[str, float]:
    """Of what was measured in turns."""
    more = statistics.median(x - y for x, y in zip(times["local"], times["engine"], strict=True))
    return {
        **{f"seconds_{name}": sum(found) for name, found in times.items()},
        "local_over_engine": ratio(times["local"], times["engine"]),
        "dask_over_local": ratio(times["dask_1"], times["local"]),
        **{"local_ms_a_cell": 1000 * more / cells, "cells": cells},
    }


def ratio(a: list[float], b: list[float]) -> float:
    """The median over rounds, as machines change their speed from one minute to the next."""
    return statistics.median(x / y for x, y in zip(a, b, strict=True))


def engine(task: "object", settings: "object") -> None:
    """The batches of a study, without a store."""
    from metamers.study.plan import ModelTask, Settings, cut_batches
    from metamers.synthesis import synthesize_batch

    assert isinstance(task, ModelTask) and isinstance(settings, Settings)
    for batch in cut_batches(task, settings, None, task.representations[0]):
        synthesize_batch(
            *(task.model, batch.representation, task.stimuli[list(batch.rows)]),
            recipe=batch.recipe,
            seed=batch.seed,
            null=None,
            criterion=settings.criterion_of(task.model),
        )


def run(study: "object", runner: "object", folder: Path) -> None:
    """The study by a runner."""
    from metamers.study.local import run_local

    run_local(folder, study.tasks, study.settings, runner=runner)  # type: ignore[attr-defined,arg-type]


if __name__ == "__main__":
    os.environ["OMP_NUM_THREADS"] = "1"
    main()
