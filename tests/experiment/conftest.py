"""A small experiment, made without a run."""

import csv
import socket
import subprocess
import sys
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import combinations, product
from urllib.parse import unquote

import httpx
import numpy as np
import pytest
import soundfile
import yaml
from PIL import Image

from metamers.experiment.config import ExperimentConfig
from metamers.experiment.database import VERSION, open_database
from metamers.experiment.manifest import Stimulus, headphone_stimuli, write_manifest
from metamers.experiment.sessions import Sessions
from metamers.experiment.trials import Design
from metamers.store import sha256

LABELS = ("cat", "cup", "sun")
CONDITIONS = ("natural", "secretnet/alpha", "secretnet/omega")


@pytest.fixture
def experiment(tmp_path):
    """The folder of an experiment: six references in three conditions; 2 practice, 3 screening, 2 catch trials."""
    return write_experiment(tmp_path / "exp")


@pytest.fixture
def heard(tmp_path):
    """A folder of an experiment with sounds, whose words are typed, with a headphone check of two."""
    return write_experiment(tmp_path / "heard", task="word", headphones={"trials": 2, "pass": 1})


@pytest.fixture
def paired(tmp_path):
    """A folder of an experiment in which metamers of six references in three conditions are compared, each with
    each."""
    return write_pairs(tmp_path / "paired")


def write_pairs(folder, **changes):
    conditions = ("natural", "secretnet/alpha", "secretnet/omega", "hiddennet/alpha")
    pairs = [list(pair) for pair in combinations(conditions[1:], 2)]
    return write_experiment(folder, conditions, **{"task": "image_pair", "pairs": pairs, **changes})


def rows(path):
    """Of a CSV file."""
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def write_experiment(folder, conditions=CONDITIONS, references=6, **changes):
    folder.mkdir()
    values = {
        **{"name": "small", "task": "image", "labels": list(LABELS), "practice": 2, "breaks": 1},
        **{"screening": {"trials": 3, "pass": 2}, "catch": {"trials": 2, "pass": 2}},
        **changes,
    }
    config = ExperimentConfig.model_validate(values)
    (folder / "experiment.yaml").write_text(yaml.safe_dump(config.model_dump(mode="json", by_alias=True)))
    wanted = [("main", f"r{i}", LABELS[i % 3], c) for i, c in product(range(references), conditions)]
    wanted += [("practice", f"p{i}", LABELS[i], "natural") for i in range(2)]
    wanted += [("screening", f"s{i}", LABELS[i], "natural") for i in range(3)]
    wanted += [("catch", f"c{i}", LABELS[i], "natural") for i in range(2)]
    rng = np.random.default_rng(0)
    (folder / "media").mkdir()
    stimuli = headphone_stimuli(config, folder)
    for number, (phase, source, label, condition) in enumerate(wanted):
        name = f"{number:016x}"
        file = f"media/{name}.{'png' if config.task.startswith('image') else 'wav'}"
        if config.task.startswith("image"):
            Image.fromarray(rng.integers(0, 256, (4, 4, 3), dtype=np.uint8)).save(folder / file)
        else:
            soundfile.write(folder / file, rng.normal(0, 0.01, 1600), 16_000)
        model, _, stage = condition.partition("/")
        stimulus = Stimulus(name, phase, condition, source, label, file, sha256((folder / file).read_bytes()))
        cell = f"{condition}/{source}" if phase == "main" else f"{phase}/{source}"
        stimuli.append(replace(stimulus, cell=cell, model=model if stage else "", stage=stage))
    write_manifest(folder, stimuli)
    return folder


class Clock:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def pass_(self, **time: float) -> None:
        self.now += timedelta(**time)


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def made(experiment, tmp_path, clock):
    """Sessions of the experiment with given changes to its configuration, and their database."""
    from metamers.experiment.making import read_experiment

    def make(mode="live", **changes):
        config, stimuli = read_experiment(experiment)
        values = {**config.model_dump(by_alias=True), **changes}
        design = Design(ExperimentConfig.model_validate(values), stimuli)
        row = {"hash": "a" * 64, "name": "small", "version": VERSION, "config": {}}
        engine = open_database(str(tmp_path / "data.sqlite"), row)
        return Sessions(design, "a" * 64, mode, b"k" * 64, clock), engine

    return make


async def asked(app, method, path, content, headers):
    """A request without a network: the status, the headers and the body of the answer. Raises what the server would log
    with a traceback."""
    sent, parts = [], [{"type": "http.request", "body": content, "more_body": False}]
    scope = {"type": "http", "http_version": "1.1", "method": method, "query_string": b"", "path": unquote(path)}
    scope["headers"] = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]

    async def receive():
        return parts.pop() if parts else {"type": "http.disconnect"}

    async def send(part):
        sent.append(part)

    await app(scope, receive, send)
    given = {name.decode(): value.decode("latin-1") for name, value in sent[0]["headers"]}
    return sent[0]["status"], given, b"".join(part.get("body", b"") for part in sent[1:])


class serving:  # noqa: N801
    """`metamers experiment serve` in a process of its own: its address and process."""

    def __init__(self, folder, port):
        self.command = [sys.executable, "-c", "from metamers.cli import main; main()", "experiment", "serve"]
        self.command += [str(folder), "--port", str(port)]

    def __enter__(self):
        self.process = subprocess.Popen(self.command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        return line.split(" on ")[1].split(";")[0], self.process

    def __exit__(self, *_):
        with self.process:  # closes its pipes
            self.process.kill()


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def wait_for(url):
    for _ in range(100):
        try:
            return httpx.get(url, trust_env=False)
        except httpx.TransportError:
            time.sleep(0.1)
    raise AssertionError(url)
