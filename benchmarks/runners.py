"""What the runners cost beside the bare engine, in a thread each; `python -m benchmarks.runners` prints JSON."""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from distributed import Client

ROUNDS = 16
"""In turns, of about 20 seconds each; the first, in which workers load the model, does not count."""
STUDY = """
models: bundled:picto-resnet
stages: output
stimuli: bundled:pictograms?split=test&n=32&seed=0
recipes: {name: adam, set: {steps: 150, early_stop: false}}
seeds: [0, 1, 2, 3]
"""


def main() -> None:
    """Measure and print."""
    import torch

    from metamers.study.clusters import workers
    from metamers.study.dask_runner import DaskRunner
    from metamers.study.local import make_here
    from metamers.study.resolve import resolve
    from metamers.study.study_file import read_study

    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"  # of the workers
    with tempfile.TemporaryDirectory() as scratch, workers(1) as one, workers(2) as two:
        path = Path(scratch) / "study.yaml"
        path.write_text(STUDY)
        config = read_study(path)
        study = resolve(config)
        ways: dict[str, Callable[[Path], object]] = {
            "engine": lambda folder: engine(study.tasks[0], study.settings),
            "local": partial(run, study, make_here),
            "dask_1": partial(run, study, DaskRunner(one, config)),
            "dask_2": partial(run, study, DaskRunner(two, config)),
        }
        times: dict[str, list[float]] = {name: [] for name in ways}
        for number in range(ROUNDS):
            # Turned round each time, so that a machine that grows slower or faster favors none.
            for name, way in list(ways.items())[:: 1 - 2 * (number % 2)]:
                begun = time.perf_counter()
                way(Path(scratch) / f"{name}{number}")
                times[name].append(time.perf_counter() - begun)
            print(f"round {number}: { {name: round(t[-1], 1) for name, t in times.items()} }", file=sys.stderr)
        scheduling = scheduling_ms(Path(scratch), one)
    cells = len(study.tasks[0].stimuli) * len(study.settings.seeds)
    print(json.dumps({**summary({name: found[1:] for name, found in times.items()}, cells), "ms_a_batch": scheduling}))


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
    """Medians over rounds, as machines change their speed from one minute to the next."""

    def ratio(a: str, b: str) -> float:
        return statistics.median(x / y for x, y in zip(times[a], times[b], strict=True))

    def each_cell(a: str) -> float:
        return 1000 * statistics.median(x - y for x, y in zip(times[a], times["engine"], strict=True)) / cells

    return {
        **{f"seconds_{name}": sum(found) for name, found in times.items()},
        **{"local_over_engine": ratio("local", "engine"), "dask_over_local": ratio("dask_1", "local")},
        **{"speedup_of_two": ratio("dask_1", "dask_2")},
        **{"local_ms_a_cell": each_cell("local"), "cells": cells},
    }


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
