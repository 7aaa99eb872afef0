"""What participants wait for while a hundred take part: `python -m benchmarks.experiment` prints it as JSON, with
`--database URL` or `--postgres`, which runs a server of its own, for PostgreSQL. They answer after a second of thinking
each, over HTTP, to a server in a process of its own."""

import argparse
import asyncio
import json
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import httpx

from benchmarks.postgres import local_postgres

PARTICIPANTS, TRIALS, THINKING_SECONDS = 100, 444, 1.0
LABELS = [f"label{i}" for i in range(16)]


def main(participants: int = PARTICIPANTS, trials: int = TRIALS, database: str | None = None) -> dict[str, float]:
    """Measure; the number of answers that were given and kept, and milliseconds of the saving calls."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch) / "experiment"
        write_experiment(folder, trials)
        command = [sys.executable, "-c", "from metamers.cli import main; main()", "experiment", "serve", str(folder)]
        command += ["--port", "0", "--mode", "pilot", *(["--database", database] if database else [])]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            url = process.stdout.readline().split(" on ")[1].split(";")[0]
            begun = time.perf_counter()
            waits = asyncio.run(_all(url, participants))
            seconds = time.perf_counter() - begun
            process.terminate()
        given = participants * trials
        return {
            **{"participants": participants, "trials": trials, "seconds": seconds, "answers": given},
            **{"kept": kept(folder, database), "saves": len(waits), "median_ms": 1000 * statistics.median(waits)},
            "p99_ms": 1000 * statistics.quantiles(waits, n=100)[98],
        }


def write_experiment(folder: Path, trials: int) -> None:
    """An experiment of as many main trials, with pictures of a pixel."""
    import numpy as np
    import yaml
    from PIL import Image

    from metamers.experiment.config import ExperimentConfig
    from metamers.experiment.manifest import Stimulus, write_manifest
    from metamers.store import sha256

    (folder / "media").mkdir(parents=True)
    stimuli: list[Stimulus] = []
    for i in range(trials):
        for condition in ("natural", "net/late"):
            name = f"{len(stimuli):016x}"
            path = folder / "media" / f"{name}.png"
            Image.fromarray(np.full((1, 1, 3), [i % 256, i // 256, len(condition)], dtype=np.uint8)).save(path)
            keys: dict[str, Any] = {"model": "net", "stage": "late"} if condition != "natural" else {}
            named = (name, "main", condition, f"r{i}", LABELS[i % 16], f"media/{name}.png", sha256(path.read_bytes()))
            stimuli.append(Stimulus(*named, cell=f"{condition}/{i}", **keys))
    write_manifest(folder, stimuli)
    none = {"trials": 0, "pass": 0}
    values = {"name": "bench", "task": "image", "labels": LABELS, "practice": 0, "screening": none, "catch": none}
    config = ExperimentConfig.model_validate({**values, "main_trials": trials})
    text = yaml.safe_dump(config.model_dump(mode="json", by_alias=True))
    (folder / "experiment.yaml").write_text(text)


def kept(folder: Path, database: str | None) -> int:
    """How many answers the database holds."""
    from sqlalchemy import func, select

    from metamers.experiment.database import RESPONSE
    from metamers.experiment.opened import open_experiment

    with open_experiment(folder, database).engine.begin() as db:
        return int(db.execute(select(func.count()).select_from(RESPONSE)).scalar_one())


async def _all(url: str, participants: int) -> list[float]:
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    waits: list[float] = []
    visits = [_visit(url, limits, waits, i * THINKING_SECONDS / participants) for i in range(participants)]
    await asyncio.gather(*visits)
    return waits


async def _visit(url: str, limits: httpx.Limits, waits: list[float], late: float) -> None:
    # Without TLS there is nothing to verify, and to load certificates for a hundred would hold up all others.
    async with httpx.AsyncClient(base_url=url, limits=limits, timeout=60, trust_env=False, verify=False) as browser:

        async def post(path: str, message: dict[str, Any]) -> dict[str, Any]:
            response = await browser.post(path, json=message)
            told: dict[str, Any] = response.raise_for_status().json()
            return told

        await asyncio.sleep(5 * late)
        await post("/api/sessions", {})
        lease = (await post("/api/open", {}))["lease"]
        consent = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
        trials = (await post("/api/consent", consent))["trials"]
        for i, trial in enumerate(trials):
            await asyncio.sleep(THINKING_SECONDS)
            at = {"t_ms": 1000.0 * i, "trial": trial["trial"]}
            answer = {"response": LABELS[i % 16], "rt_ms": 900.0}
            events = [
                {"seq": 2 * i + 1, "type": "shown", **at},
                {"seq": 2 * i + 2, "type": "answered", **at, "answer": answer},
            ]
            begun = time.perf_counter()
            told = await post("/api/events", {"lease": lease, "events": events})
            waits.append(time.perf_counter() - begun)
            assert told["ack"] == 2 * i + 2, told
        await post("/api/finish", {"lease": lease, "last_seq": 2 * len(trials)})


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--participants", type=int, default=PARTICIPANTS)
    parser.add_argument("--trials", type=int, default=TRIALS)
    kind = parser.add_mutually_exclusive_group()
    kind.add_argument("--database")
    kind.add_argument("--postgres", action="store_true")
    given = parser.parse_args()
    with local_postgres() if given.postgres else nullcontext(given.database) as where:
        print(json.dumps(main(given.participants, given.trials, where)))
