"""What a study of 100,000 cells costs to plan and to look at, and what memory runs of different sizes take, their pages
and analyses included: `python -m benchmarks.scale` prints it as JSON."""

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from metamers.store import Store

STUDY = """
models: {source: bundled:picto-resnet, stages: all}
stimuli: bundled:pictograms?split=test&n=400&seed=0
null_stimuli: bundled:pictograms?split=test&n=200&seed=1
recipes: [fast, adam]
seeds: [SEEDS]
"""
CELLS, BATCH, STEPS = 100_000, 16, 1600
NETS = """
import torch
from torch import nn

def net(seed):
    torch.manual_seed(int(seed))
    return nn.Sequential(nn.Conv2d(3, 1, 2, bias=False), nn.Flatten(), nn.Linear(225, 4)), 16
"""
TOY = """
models: {source: "FOLDER/nets.py:net:0", stages: 0}
stimuli: FOLDER/images.npz
null_stimuli: FOLDER/null.npz
recipes: {name: fast, set: {steps: 20}}
seeds: [SEEDS]
observers: ["FOLDER/nets.py:net:1", "FOLDER/nets.py:net:2"]
analyses: [ANALYSES]
"""
IMAGES = 100
ANALYSES = ("recognition", "accuracy", "confusion", "consistency", "idiosyncrasy", "merit")
"""All but `seeds`, whose time grows with the square of their number."""
SIZES = ((4, IMAGES), (160, IMAGES), (10, 16 * IMAGES), (640, IMAGES))
"""Seeds and images of the runs."""


def main() -> None:
    """Measure and print."""
    with tempfile.TemporaryDirectory() as scratch:
        study = Path(scratch) / "study.yaml"
        seeds = CELLS // (400 * 8 * 2) + 1  # of 400 images at 8 stages by 2 recipes
        study.write_text(STUDY.replace("SEEDS", ", ".join(map(str, range(seeds)))))
        plan = measured("run", str(study), "--plan", "--json")
        write_run(Path(scratch) / "run")
        status = measured("status", str(Path(scratch) / "run"), "--json")
        runs = [run_of_a_toy(Path(scratch), *size) for size in SIZES]
        print(json.dumps({"plan": plan, "status": status, "runs": runs}))


def run_of_a_toy(folder: Path, seeds: int, images: int) -> dict[str, float]:
    """What a run of `write_toy` takes."""
    study, out = write_toy(folder, seeds, images), folder / f"run{seeds}"
    found = {"images": images, **measured("run", str(study), "--out", str(out), "--json")}
    print(found, file=sys.stderr)
    return found


def write_toy(folder: Path, seeds: int, images: int = IMAGES) -> Path:
    """The file of a study of a small net, whose metamers are found in 20 steps, and which two others name."""
    pixels = np.random.default_rng(0).integers(0, 256, (images + 64, 16, 16, 3), dtype=np.uint8)
    np.savez(folder / "images.npz", X=pixels[64:], y=np.arange(images) % 4)
    np.savez(folder / "null.npz", X=pixels[:64])
    (folder / "nets.py").write_text(NETS)
    study = folder / "toy.yaml"
    text = TOY.replace("FOLDER", str(folder)).replace("SEEDS", ", ".join(map(str, range(seeds))))
    study.write_text(text.replace("ANALYSES", ", ".join(ANALYSES)))
    return study


def measured(*command: str) -> dict[str, float]:
    """Seconds and bytes at most of a command of metamers, and the cells that it tells of."""
    begun = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, "-c", "from metamers.cli import main; main()", *command], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        told = json.loads(process.stdout.read().splitlines()[-1])
        _, code, usage = os.wait4(process.pid, 0)
        process.returncode = code
    assert code == 0, command
    return {
        **{key: told[key] for key in ("cells", "passed") if key in told},
        **{"seconds": time.perf_counter() - begun - told.get("measured_seconds", 0)},
        "gb": usage.ru_maxrss * 1024 / 1e9,
    }


def write_run(folder: Path) -> None:
    """A run of as many cells, with records as `metamers run` writes them."""
    recipe: dict[str, Any] = {"name": "fast", "steps": STEPS}
    stages = [f"layer{i}" for i in range(10)]
    model = {"name": "net", "weights_hash": "ab" * 32, "stages": stages}
    n = CELLS // len(stages) // 25
    store = Store(folder)
    described = {"models": [model], "recipes": [recipe], "seeds": list(range(25)), "stimuli": {"spec": "made", "n": n}}
    store.begin({**described, "batch_size": BATCH})
    folder.joinpath("batches").mkdir()
    for stage in stages:
        path = store.batch_path("net", stage, "")
        path.parent.mkdir(parents=True)
        for seed in range(25):
            for first in range(0, n, BATCH):
                cells = [cell(stage, seed, i) for i in range(first, min(first + BATCH, n))]
                shared = {"id": f"{seed}.{first}", "model": "net", "stage": stage, "recipe": "fast", "seed": seed}
                shared |= {"weights_hash": model["weights_hash"], "settings": recipe, "seconds": 1.0}
                path.with_name(f"{seed}.{first}.json").write_text(json.dumps({**shared, "cells": cells}))


def cell(stage: str, seed: int, i: int) -> dict[str, Any]:
    """A record of a cell."""
    name = f"net/{stage}/fast/{i:05d}.png-3fa9b2"
    steps = list(range(0, STEPS + 1, 50))
    return {
        **{"cell": f"{name}/s{seed}", "model": "net", "stage": stage, "recipe": "fast", "reference": f"{i:05d}.png"},
        **{"seed": seed, "label": "bear", "verdict": "passed", "reason": None, "n_steps": STEPS, "seconds": 1.0},
        **dict.fromkeys(("pearson_r", "spearman_rho", "snr_db", "null_pearson_r", "null_snr_db"), 0.123456789),
        **{"file": f"metamers/{name}.s{seed}.png", "sha256": "ab" * 32, "reference_file": f"references/{i:05d}.png"},
        "reference_sha256": "cd" * 32,
        "trace": {"step": steps, "loss": [0.123456789012] * len(steps), "snr_db": [12.345678901] * len(steps)},
    }


if __name__ == "__main__":
    main()
