"""examples/studies/quick.yaml killed at random moments and run again: `python -m benchmarks.kills` prints JSON."""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pandas as pd
import psutil

from metamers.store import Store, sha256

RUNS = 30
STUDY = Path(__file__).parent.parent / "examples" / "studies" / "quick.yaml"
DASK = ("--runner", "dask", "--workers", "2")


def main() -> None:
    """Kill the main process or a worker, in turn, and print what was found."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        begun = time.monotonic()
        finish(start(folder / "unbroken"))
        seconds = time.monotonic() - begun
        found = [killed(folder, number, seconds) for number in range(RUNS)]
    print(json.dumps({"runs": RUNS, **{key: sum(each[key] for each in found) for key in found[0]}}))


def killed(folder: Path, number: int, seconds: float) -> dict[str, int]:
    """What a run is like that was killed and resumed: counts that should be 0, but for those killed at work. Where
    there is no process to kill at the moment, another run is begun and another moment drawn (`moments_missed`)."""
    rng, dask, missed = random.Random(number), number % 2 == 1, 0
    while True:
        run = folder / f"{number}.{missed}"
        process = start(run, *DASK if dask else ())
        while not (run / "study.yaml").is_file():
            time.sleep(0.05)
        time.sleep(rng.uniform(0, 0.7 * seconds))
        victims = workers(process) if dask else [psutil.Process(process.pid)]
        if process.poll() is None and victims:
            break
        finish(process)
        missed += 1
    victims[0].send_signal(signal.SIGKILL)
    before = records(run)
    finish(process, may_fail=not dask)
    finish(start(run))
    print(f"{number}: {'worker' if dask else 'main'} killed after {len(before)} batches", file=sys.stderr)
    return {
        "killed_at_work": 1,
        "moments_missed": missed,
        "tables_that_differ": int(not table(run).equals(table(folder / "unbroken"))),
        "files_not_whole": sum(not is_whole(run, cell) for b in Store(run).batches() for cell in b["cells"]),
        "batches_made_twice": len(before.items() - records(run).items()),
    }


def start(run: Path, *options: str) -> "subprocess.Popen[bytes]":
    """The study, in a process of its own."""
    code = "from metamers.cli import main; main()"
    command = [sys.executable, "-c", code, "run", str(STUDY), "--out", str(run), "--set", "report=false", *options]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"}, stderr=subprocess.DEVNULL)


def finish(process: "subprocess.Popen[bytes]", may_fail: bool = False) -> None:
    """Wait for the end of a process."""
    if process.wait(timeout=600) and not may_fail:
        raise SystemExit(f"the study ended with {process.returncode}")


def workers(process: "subprocess.Popen[bytes]") -> list[psutil.Process]:
    """The worker processes of a run."""
    if process.poll() is not None:
        return []
    children = psutil.Process(process.pid).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def records(run: Path) -> dict[Path, int]:
    """When each batch's record was written."""
    return {path: path.stat().st_mtime_ns for path in (run / "batches").rglob("*.json")}


def is_whole(run: Path, cell: dict[str, str]) -> bool:
    """Whether a cell's files are as they were recorded."""
    files = ((cell["file"], cell["sha256"]), (cell["reference_file"], cell["reference_sha256"]))
    return all(sha256((run / file).read_bytes()) == digest for file, digest in files)


def table(run: Path) -> pd.DataFrame:
    """The table of matches but for times."""
    return pd.read_csv(run / "tables" / "matches.csv").drop(columns="seconds")


if __name__ == "__main__":
    main()
