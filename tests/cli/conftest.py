"""Runs the command line in this process, on tiny networks and images."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest
import yaml
from PIL import Image

from metamers.cli import main

NETS = '''
import os
import time

import torch
from torch import nn


class Net(nn.Sequential):
    """Sixteen pixels a side, four classes."""

    def __init__(self):
        torch.manual_seed(0)
        super().__init__(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 4))


class Talking(Net):
    def forward(self, x):
        print("a user's model may print")
        return super().forward(x)


class Slow(Net):
    def forward(self, x):
        time.sleep(float(os.environ.get("SECONDS_A_PASS", 0)))
        return super().forward(x)


class Picky(Net):
    def forward(self, x):
        if bool((x.flatten(1).amax(1) < 0.02).any()):
            raise ValueError("too dark for me")
        return super().forward(x)


class Joined(Net):
    def forward(self, x):
        return super().forward(x).flatten()


class Dead(Net):
    def forward(self, x):
        return super().forward(x) * 0


class Unbounded(Net):
    def forward(self, x):
        return super().forward(x) / 0.0


def net():
    return Net(), 16


def features():
    return nn.Sequential(*list(Net())[:2]), 16


def any_size():
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())


def gray():
    from metamers import StagedModel

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 4))
    return StagedModel(network, name="gray", channels=1, input_size=16)


def unsound():
    network = Net()
    network[0].weight.data[0, 0, 0, 0] = float("nan")
    return network, 16


def made(name):
    kinds = (Slow, Talking, Picky, Joined, Dead, Unbounded)
    return {kind.__name__.lower(): kind for kind in kinds}[name](), 16
'''


class Ended(NamedTuple):
    """What a command left: exit code, stdout, stderr."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """The one object on the one line of stdout."""
        assert self.out.count("\n") == 1, self.out
        return json.loads(self.out)

    @property
    def events(self) -> list[Any]:
        """The objects on the lines of stdout."""
        return [json.loads(line) for line in self.out.splitlines()]


Run = Callable[..., Ended]


@pytest.fixture
def cli(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Run:
    """Runs `metamers ARGUMENTS` in a folder of the test's own, in which nets.py lies."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nets.py").write_text(NETS)

    def run(*arguments: object) -> Ended:
        monkeypatch.setattr(sys, "argv", ["metamers", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        assert isinstance(ended.value.code, int)
        return Ended(ended.value.code, out, err)

    return run


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of four 16 x 16 images, labeled by subfolders; its name has a space and letters beyond ASCII."""
    folder = tmp_path / "my imáges"
    for i, pixels in enumerate(pictures(4)):
        (folder / f"{i % 2}").mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(folder / f"{i % 2}" / f"{i % 2}_{i}.png")
    return folder


@pytest.fixture(scope="session")
def kept(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs of `make_once` are kept."""
    return tmp_path_factory.mktemp("kept")


@pytest.fixture
def make_once(cli: Run, images: Path, kept: Path) -> Callable[..., Path]:
    """Gives a copy, in the test's folder, of a run of the network `net` and those images."""

    def make(*options: str) -> Path:
        whole = kept / "_".join(options)
        if not whole.is_dir():
            made = ("make", "nets.py:net", *options, "--stimuli", images, "--set", "steps=5", "--out", "run")
            assert cli(*made, "--no-report").code == 0
            shutil.move("run", whole)
        shutil.copytree(whole, "run")
        return Path("run")

    return make


@pytest.fixture
def null_npz(tmp_path: Path) -> Path:
    """Sixty other images, enough for a null distribution."""
    np.savez(tmp_path / "null.npz", X=pictures(60, seed=1))
    return tmp_path / "null.npz"


def pictures(n: int, seed: int = 0) -> np.ndarray:
    """Blocks of random colors: uint8 [n, 16, 16, 3]."""
    blocks = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8)
    return blocks.repeat(4, axis=1).repeat(4, axis=2)


STUDY = {
    "models": [
        {"source": "nets.py:net", "stages": ["1"]},
        {"source": "nets.py:made:talking", "stages": ["1", "output"]},
    ],
    "recipes": [{"name": "fast", "set": {"steps": 60}}, {"name": "adam", "set": {"steps": 60}}],
    **{"seeds": [0, 1], "null_pairs": 500, "observers": "bundled:picto-resnet", "report": False},
}


@pytest.fixture
def study(cli, images, null_npz):
    Path("study.yaml").write_text(yaml.safe_dump(STUDY | {"stimuli": str(images), "null_stimuli": "null.npz"}))
    labels = [["airplane", "anchor"][i % 2] for i in range(4)]
    files = [f"{i % 2}/{i % 2}_{i}.png" for i in range(4)]
    pd.DataFrame({"file": files, "label": labels}).to_csv("labels.csv", index=False)
    return "study.yaml"
