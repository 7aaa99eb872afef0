"""Measures everything and writes docs/performance.md."""

import argparse
import json
import os
import platform
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from benchmarks.cochleagram import cochleagram_costs
from benchmarks.end_to_end import end_to_end
from benchmarks.engine import step_costs
from benchmarks.fast import fast_and_published
from benchmarks.published import commit
from benchmarks.statistics import permutation_costs, replication_seconds
from benchmarks.training import training_costs

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
GPU = Path(__file__).parent / "gpu.json"


_OF_FAST = ("model", "stage", "steps", "median", "minimum", "each_seed's_minimum")


def main() -> None:
    """Measure, and write the page; with `studies` or `experiments`, only that part of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", nargs="?", choices=("studies", "experiments"), help="only this part of the page")
    part = parser.parse_args().part
    measured = f" Measured at commit {commit()}."
    text = PAGE.read_text(encoding="utf-8")
    before, _, after = text.partition("## Studies")
    _, mark, last = after.partition("## On a GPU")
    if part == "studies":
        PAGE.write_text(before + of_studies(**studies(), measured=measured) + f"\n{mark}{last}", encoding="utf-8")
        return
    if part == "experiments":
        kept = text.partition("## Experiments")[0]
        PAGE.write_text(kept + of_experiments(*experiments(), measured), encoding="utf-8")
        return
    say("null distribution")
    null = in_a_process("null")
    say("cochleagram")
    cochleagrams = cochleagram_costs()
    say("engine")
    steps = step_costs()
    say("training")
    training = training_costs()
    say("fast and published recipes")
    recipes = fast_and_published()
    say("end to end")
    whole = [end_to_end(name) for name in ("picto-resnet", "cifar_resnet20")]
    say("statistics")
    statistics = permutation_costs(), replication_seconds()
    whole_page = page(null, steps, training, recipes, whole, cochleagrams, *statistics, studies())
    PAGE.write_text(whole_page + "\n" + of_experiments(*experiments()), encoding="utf-8")
    say(f"see {PAGE}")


def studies() -> dict[str, Any]:
    """What `metamers run` costs."""
    found = {}
    for name in ("scale", "runners", "kills"):
        say(f"studies: {name}")
        found[name] = in_a_process(name)
    return found


def experiments() -> tuple[dict[str, Any], dict[str, Any]]:
    """What participants wait for, with SQLite and PostgreSQL."""
    say("experiments")
    return in_a_process("experiment"), in_a_process("experiment", "--postgres")


def in_a_process(name: str, *options: str) -> dict[str, Any]:
    """What a module of this package prints."""
    command = [sys.executable, "-m", f"benchmarks.{name}", *options]
    found: dict[str, Any] = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
    return found


def page(
    null: Mapping[str, Any],
    steps: Sequence[Mapping[str, object]],
    training: Mapping[str, float],
    recipes: Sequence[Mapping[str, object]],
    whole: Sequence[Mapping[str, object]],
    cochleagrams: Sequence[Mapping[str, object]],
    permutations: Sequence[Mapping[str, object]],
    replication: float,
    studies: Mapping[str, Any],
) -> str:
    """The page as Markdown."""
    logits = next(row["engine_ms"] for row in steps if row["stage"] == "output")
    costs = [{**row, "share_of_logits": row["engine_ms"] / logits} for row in steps]  # type: ignore[operator]
    return f"""# Performance

Written by `make bench`. Commit {commit()}, {datetime.now(UTC):%Y-%m-%d};
{processor()}, {torch.get_num_threads()} threads,
Python {platform.python_version()}, PyTorch {torch.__version__}. Ratios are taken within one run.

## A step of the engine

`cifar_resnet20`, batch of 16, L-BFGS steps; beside a hand-written loop over the same truncated forward pass, backward
pass and optimizer step, in turns. Bar: a ratio of at most 1.10, and a cost that follows the stage's depth.

{table(costs, ("stage", "engine_ms", "by_hand_ms", "ratio", "share_of_logits"))}

## `fast` and the published recipes

SNR in dB (10 log10) before rounding, four images, early stopping off; of `fast`, the median over three seeds of the
images' median and of their minimum, as where a search ends varies with its start. `published` is the better of
`feather2023` and `feather2023-scaled` after their 24,000 steps, one seed (long runs: `python -m benchmarks.published`,
results in benchmarks/published/). Bar: `fast` reaches at least the published median and minimum in at most 1/15 of the
steps.

{table(recipes, (*_OF_FAST, "published_median", "published_minimum", "better"))}

## End to end

16 images at all default stages: null distribution, metamers, files written, everything verified again from the files.
Beside a transcription of the published loop (one image at a time, two full forward passes a step), extrapolated from
200 of its 24,000 steps at each stage. Bar: at least 60 times less time.

{table(whole, ("model", "stages", "cells", "passed", "seconds", "transcription_seconds", "ratio"))}

## Null distribution

{null["pairs"]:,.0f} pairs from 4,000 images for each of the {null["stages"]} stages of `cifar_resnet20`:
{null["seconds"]:.0f} s in all, {null["peak_gb"]:.2f} GB at most for the whole process. Bar: 5 minutes and 3 GB.

## Cochleagram

A clip of 2 s at 20 kHz, 211 filters to 390 frames, forward and backward; `fast` deviates by at most 0.54 % of the
maximum. Bar: 5 times as fast as `exact`.

{table(cochleagrams, ("mode", "ms", "mb", "speedup"))}

## Training

An epoch of adversarial training (small ResNet, 1,024 pictograms, 3 steps of L2 PGD) beside a hand-written loop with the
same attack, in turns: {training["trainer"]:.0f} against {training["by_hand"]:.0f} images a second, ratio
{training["ratio"]:.2f}. Bar: at least 0.9.

## Statistics

10,000 permutations of the largest published designs. Bar: 2 s each.

{table(permutations, ("subjects", "cells", "effect", "seconds"))}

`metamers replicate feather2023`, at least 10,000 permutations for each test, with its page: {replication:.0f} s.
Bar: 20 s.

{of_studies(**studies)}
{of_gpus(json.loads(GPU.read_text(encoding="utf-8")))}"""


def of_gpus(rows: Sequence[Mapping[str, Any]]) -> str:
    """What a step costs on a GPU."""
    columns = ("model", "batch", "ms_a_step_and_stimulus", "fast_seconds", "published_steps_seconds")
    return f"""## On a GPU

{rows[0]["gpu"]}, PyTorch {rows[0]["torch"]}, `python -m benchmarks.gpu`: networks with random weights, stage `layer4`.
Seconds of a stimulus after all steps of `fast`, and after the published 24,000 steps, ours in batches; beside a
transcription of the published loop (one stimulus at a time, two full forward passes a step). Extrapolated from 200
steps; convolutions in full float32.

{table(rows, (*columns, "transcription_seconds", "ratio_a_step"))}
"""


def of_studies(
    runners: Mapping[str, float], scale: Mapping[str, Any], kills: Mapping[str, int], measured: str = ""
) -> str:
    """What `metamers run` costs beside the searches themselves."""
    minutes = runners["seconds_local"] / 60
    plan, status = scale["plan"], scale["status"]
    runs = ", ".join(f"{run['cells']:,.0f} cells {run['gb']:.3f} GB ({run['seconds']:.0f} s)" for run in scale["runs"])
    return f"""## Studies

{runners["cells"]:.0f} cells a round, fifteen rounds in turns ({minutes:.1f} minutes of work for one process), a thread
each, workers started before. Medians over rounds.{measured}

- `local` against the bare engine: {runners["local_over_engine"]:.3f} (bar 1.03);
  {runners["local_ms_a_cell"]:.1f} ms a cell, for files, records and hashes.
- One Dask worker against `local`: {runners["dask_over_local"]:.3f} (bar 1.08), as workers keep freed memory; scheduling
  a batch of 16 cells of a toy net {runners["ms_a_batch"]:.0f} ms, so {runners["ms_a_batch"] / 16:.1f} ms a cell.
- Two Dask workers against one: {runners["speedup_of_two"]:.2f} times as fast (bar 1.7).

A study of {plan["cells"]:,.0f} cells: `--plan` {plan["seconds"]:.1f} s beside its measurement, {plan["gb"]:.2f} GB;
`status` of one of {status["cells"]:,.0f} cells, all done: {status["seconds"]:.1f} s, {status["gb"]:.2f} GB. Bar:
10 s, 1 GB. Runs of a toy net with two observers and their pages took at most: {runs}.

`examples/studies/quick.yaml`, {kills["runs"]} times, its main process (`local`) or a worker (`dask`) killed in turn at
a random moment and the study run again: {kills["killed_at_work"]} killed at work (moments without a process to kill,
for which another was drawn: {kills["moments_missed"]}); tables that differ from the unbroken
run's {kills["tables_that_differ"]}, files that are not whole {kills["files_not_whole"]}, batches made twice
{kills["batches_made_twice"]}.
"""


def of_experiments(found: Mapping[str, float], postgres: Mapping[str, float], measured: str = "") -> str:
    """What participants wait for."""
    return f"""## Experiments

`python -m benchmarks.experiment`: {found["participants"]:.0f} participants at once, {found["trials"]:.0f} trials each,
a second of thinking before each answer, over HTTP to a server on the same 2 cores, SQLite: {found["kept"]:,.0f} of
{found["answers"]:,.0f} answers kept; the call that saves one takes {found["median_ms"]:.0f} ms (median) and
{found["p99_ms"]:.0f} ms (99th percentile; bar 250). With PostgreSQL on the same cores: {postgres["kept"]:,.0f} of
{postgres["answers"]:,.0f} kept, {postgres["median_ms"]:.0f} and {postgres["p99_ms"]:.0f} ms.{measured}
"""


def table(rows: Sequence[Mapping[str, object]], columns: Sequence[str]) -> str:
    """Rows as a Markdown table."""
    lines = [" | ".join(columns), " | ".join("---" for _ in columns)]
    lines += [" | ".join(shown(row[column]) for column in columns) for row in rows]
    return "\n".join(f"| {line} |" for line in lines)


def shown(value: object) -> str:
    """A cell of a table."""
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"


def processor() -> str:
    """The processor's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores"


def say(text: str) -> None:
    """Progress, on stderr."""
    print(f"bench: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
