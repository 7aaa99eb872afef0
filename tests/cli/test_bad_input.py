"""Bad input: one clear line that says how to mend it, exit code 2, nothing half-written; and cells that fail."""

import errno
import os
import time
import urllib.request
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import save_file
from torch import nn

from metamers.models import downloads

MAKE = {"model": "nets.py:net", "--stage": "1", "--stimuli": "stimuli", "--out": "run", "--set": "steps=10"}


@pytest.fixture
def refused(cli, images):
    """Runs `make` with some options changed and gives the one line it says; nothing must be written."""
    images.rename("stimuli")

    def run(*more: object, **changed: object) -> str:
        options = {**MAKE, **{(k if k == "model" else "--" + k.replace("_", "-")): v for k, v in changed.items()}}
        model = options.pop("model")
        before = sorted(Path.cwd().rglob("*"))
        ended = cli("make", model, *(part for pair in options.items() for part in pair), *more)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("metamers: error: ")
        assert ended.err.count("\n") == 1, ended.err
        assert [path for path in sorted(Path.cwd().rglob("*")) if "__pycache__" not in str(path)] == before
        return ended.err

    return run


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"model": "nets.py:feature"}, "no function 'feature'; did you mean 'features'"),
        ({"model": "net.py:net"}, "no Python file 'net.py'"),
        ({"model": "bundled:picto-resnett"}, "did you mean 'picto-resnet'"),
        ({"model": "torchvison:resnet18"}, "did you mean 'torchvision'"),
        ({"model": "torchvision:resnet181"}, "did you mean 'resnet1"),
        ({"model": "resnet50"}, "a model is one of torchvision:NAME"),
        ({"model": "nets.py:made:nothing"}, "KeyError: 'nothing'"),
        ({"model": "nets.py:made:joined"}, "without a batch dimension"),
        ({"model": "nets.py:made:unbounded", "stage": "output"}, "NaN or infinite activations"),
        ({"model": "nets.py:unsound"}, "weight '0.weight' holds NaN or infinite values"),
        ({"model": "nets.py:made:dead", "stage": "output"}, "stage 'output' of model 'dead' is constant"),
        ({"stage": "01"}, "has no stage '01'; did you mean '1' or '0'?"),
        ({"stage": "0+nothing"}, "has no stage 'nothing'"),
        ({"stage": "0+*"}, "no patterns"),
        ({"recipe": "feather"}, "did you mean 'feather2023'"),
        ({"device": "cud"}, "did you mean 'cuda' or 'cpu'"),
        ({"device": "cuda:99"}, "device 'cuda:99' is not available"),
        ({"objective": "gramm"}, "did you mean 'gram'"),
        ({"quantile": "0.97"}, "choose max, 0.5"),
        ({"limit": "0"}, "--limit"),
        ({"batch_size": "0"}, "--batch-size. Must be >= 1"),
        ({"null_pairs": "-1"}, "--null-pairs"),
        ({"seed": "text"}, 'unable to convert "text" into int'),
        ({"seed": "99999999999999999999"}, "give numbers of at most 18 digits"),
        ({"set": "steps=many"}, "steps takes a whole number"),
        ({"set": "steps=0"}, "steps 0 must be above 0"),
        ({"set": "step_size=nan"}, "step_size takes a number"),
        ({"set": "early_stop=perhaps"}, "early_stop takes yes or no"),
        ({"set": "step=10"}, "did you mean 'steps'"),
        ({"set": "optimizer=adm"}, "did you mean 'adam'"),
        ({"set": "steps"}, "give FIELD=VALUE"),
        ({"input_size": "big"}, "--input-size big: give one side or HEIGHTxWIDTH"),
        ({"input_size": "2"}, "fails on an input of shape [1, 3, 2, 2]"),
        ({"input_size": "64"}, "does it take this size?"),
        ({"stimuli": "stimulli"}, "no such file or folder; did you mean 'stimuli'?"),
        ({"stimuli": "nets.py"}, "of no known kind"),
        ({"stimuli": "bundled:pictograms?n=2&sead=1"}, "did you mean 'seed'"),
        ({"null_stimuli": "nowhere"}, "stimuli 'nowhere'"),
        ({"out": "nets.py"}, "exists and is not a run"),
        ({"out": "."}, "exists and is not a run"),
        ({"out": "stimuli/run"}, "lies in the folder of stimuli"),
        ({"out": "nets.py/run"}, "choose another --out"),
        ({"labels": "nowhere.csv"}, "cannot be read"),
        ({"label_column": "kind"}, "give the file too"),
        ({"label_pattern": "{name}_*"}, "must hold {label} once"),
        ({"label_pattern": "x{label}"}, "fits no image"),
        ({"weights": "nowhere.pt"}, "no weights file 'nowhere.pt'"),
        ({"stimulus": "x"}, "Did you mean --stimuli?"),
    ],
)
def test_refused_in_one_line(refused, changed, said):
    assert said in refused(**changed)


def test_missing_options_are_named(cli):
    for arguments, missing in (((), "MODEL"), (("m",), "--stage"), (("m", "--stage", "1"), "--stimuli")):
        ended = cli("make", *arguments)
        assert (ended.code, ended.out) == (2, "")
        assert missing in ended.err
        assert "`metamers make --help` shows the usage" in ended.err
    assert 'Did you mean "make"?' in cli("mak").err


def test_cheap_mistakes_show_before_any_image_is_decoded(refused, monkeypatch):
    def decode(*args):
        raise AssertionError("decoded")

    monkeypatch.setattr("metamers.stimuli.load.decode_image", decode)
    for changed in ({"stage": "x"}, {"quantile": "2"}, {"device": "gpu"}, {"out": "nets.py"}, {"recipe": "slow"}):
        refused(**changed)


def test_a_folder_without_images(refused):
    Path("empty").mkdir()
    Path("empty/readme.txt").write_text("nothing here")
    assert "'empty' has no images or sounds (it has .txt files); give one with PNG" in refused(stimuli="empty")


def spoiled(kind: str, path: Path) -> None:
    if kind == "truncated":
        path.write_bytes(path.read_bytes()[:-40])
    elif kind == "1-pixel":
        Image.new("RGB", (1, 1)).save(path)
    elif kind == "16-bit":
        Image.fromarray(np.zeros((16, 16), np.uint16)).save(path)
    elif kind == "CMYK":
        path.unlink()
        Image.new("CMYK", (16, 16)).save(path.with_suffix(".jpg"))
    else:
        Image.new("1", (10_000, 10_000)).save(path)


@pytest.mark.parametrize(
    ("kind", "said"),
    [
        ("truncated", "is truncated or broken"),
        ("1-pixel", "has 1 x 1 pixels"),
        ("16-bit", "has 16 bits a channel; convert it to 8 bits"),
        ("CMYK", "is a CMYK image; convert it to RGB"),
        ("100-megapixel", "has 10000 x 10000 pixels, over 64 megapixels; scale it down"),
    ],
)
def test_an_image_that_cannot_be_used(refused, kind, said):
    spoiled(kind, Path("stimuli/1/1_3.png"))
    line = refused()
    assert said in line
    assert "stimuli/1/1_3." in line


def test_labels_that_name_no_image(refused):
    Path("labels.csv").write_text("file,label\nzebra.png,zebra\n")
    assert "no column of 'labels.csv' names images" in refused(labels="labels.csv")
    Path("labels.csv").write_text("file,label\n0_0.png,cat\nzebra.png,zebra\n")
    assert "name no image of the set: 'zebra.png'" in refused(labels="labels.csv")
    assert "has no column 'lable'" in refused("--label-column", "lable", labels="labels.csv")


def test_images_of_other_channels(refused):
    np.savez("five.npz", X=np.zeros((4, 16, 16, 5), np.uint8))
    assert "1 or 3 channels" in refused(stimuli="five.npz")
    np.savez("floats.npz", X=np.zeros((4, 16, 16, 3)))
    assert "save it as uint8" in refused(stimuli="floats.npz")


def test_weights_that_do_not_fit_or_are_not_sound(refused, cli):
    save_file(nn.Linear(3, 4).state_dict(), "other.safetensors")
    assert "do not fit Net" in refused(weights="other.safetensors")
    Path("code.pt").write_bytes(b"cos\nsystem\n(S'true'\ntR.")
    assert "cannot read weights 'code.pt'" in refused(weights="code.pt")
    weights = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AvgPool2d(7), nn.Flatten(), nn.Linear(16, 4)).state_dict()
    weights["4.weight"][0] = float("inf")
    save_file(weights, "infinite.safetensors")
    assert "weight '4.weight' holds NaN or infinite values" in refused(weights="infinite.safetensors")


@pytest.mark.parametrize("model", ["torchvision:resnet18", "timm:resnet18", "transformers:some/model"])
def test_weights_that_cannot_be_downloaded(refused, model, monkeypatch, tmp_path):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(downloads, "is_reachable", lambda url: False)

    def no_network(*args, **kwargs):
        raise AssertionError("tried the network")

    monkeypatch.setattr(urllib.request, "urlopen", no_network)
    (tmp_path / "cache").mkdir()
    start = time.monotonic()
    line = refused(model=model)
    assert time.monotonic() - start < 30
    assert "--weights FILE" in line
    assert "--weights random" in line
    assert "cannot be reached" in line


def test_a_run_of_another_study(cli, refused):
    assert (
        cli("make", "nets.py:net", "--stage", "1", "--stimuli", "stimuli", "--out", "run", "--set", "steps=10").code
        == 0
    )
    assert "run: holds another study (its recipes 1 name is" in refused(set="steps=11")
    assert "models 1 stages 1 is 1, not 0" in refused(stage="0")
    assert "its seeds 1 is 0, not 3" in refused(seed="3")
    Path("stimuli/0/0_2.png").rename("stimuli/1/0_2.png")
    assert "stimuli" in refused()
    Path("run/study.yaml").write_text("[")
    assert "damaged" in refused()


def test_commands_on_what_is_no_run(cli):
    Path("folder").mkdir()
    for command in ("verify", "report"):
        for place in ("folder", "nowhere"):
            ended = cli(command, place)
            assert (ended.code, ended.out) == (2, "")
            assert f"metamers: error: {place}: not a run (it has no study.yaml)" in ended.err
    assert list(Path("folder").iterdir()) == []


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_disk(refused, monkeypatch, code):
    def refuse(*args, **kwargs):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(Path, "mkdir", refuse)
    assert "cannot be written; choose a folder that you may write to" in refused()


def test_a_file_that_cannot_be_read_is_one_clear_line(cli, images, monkeypatch):
    make = ("make", "nets.py:net", "--stage", "1", "--stimuli", images, "--out", "run", "--set", "steps=1")
    assert cli(*make, "--no-report").code == 0
    reference = min(Path("run/references").rglob("*.png"))
    read = Path.read_bytes

    def refuse(path):
        if path.name == reference.name:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
        return read(path)

    monkeypatch.setattr(Path, "read_bytes", refuse)
    for command in (make, ("verify", "run")):
        ended = cli(*command)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.endswith(f"error: {reference}: Permission denied; mend that and run the same command again\n")


def test_a_full_disk_keeps_what_is_whole_and_resumes(cli, images, monkeypatch):
    make = ("make", "nets.py:net", "--stage", "1", "--stimuli", images, "--batch-size", "1", "--set", "steps=10")
    n_metamers = 0

    def full(handle):
        nonlocal n_metamers
        n_metamers += "/metamers/" in str(Path(f"/proc/self/fd/{handle}").readlink())
        if n_metamers > 2:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        ended = cli(*make, "--out", "run")
    assert ended.code == 2
    assert ended.err.splitlines()[-1].startswith("metamers: error: run/metamers/")
    assert "the disk is full; free some space and run the same command again, it resumes" in ended.err
    kept = {path: path.stat().st_mtime_ns for path in Path("run/batches").rglob("*.json")}
    assert len(kept) == 2
    assert not [path for path in Path("run").rglob("*") if path.suffix == ".tmp"]
    assert cli(*make, "--out", "run", "--json").json["cells"] == 4
    assert {path: path.stat().st_mtime_ns for path in kept} == kept


def test_a_cell_that_fails_does_not_stop_the_others(cli, images):
    Image.new("RGB", (16, 16)).save(images / "0" / "black.png")
    ended = cli("make", "nets.py:made:picky", "--stage", "1", "--stimuli", images, "--out", "run", "--set", "steps=10")
    assert ended.code == 0
    assert "could not be made: picky/1/" in ended.err
    assert "ValueError: too dark for me" in ended.err
    assert "0 of 5 metamers passed; 4 could not be judged (no null); 1 could not be made" in ended.err
    assert cli("verify", "run").code == 0


def test_a_stage_that_fails_does_not_stop_the_others(cli, images, null_npz):
    make = ("make", "nets.py:made:dead", "--stage", "output", "1", "--stimuli", images, "--set", "steps=200")
    ended = cli(*make, "--null-stimuli", null_npz, "--null-pairs", "500", "--out", "run", "--json")
    said = ended.json
    assert (ended.code, said["passed"], said["error"]) == (0, 4, 4)
    assert {failure["reason"] for failure in said["failures"]} == {
        "the reference's activation is all zero: no match is defined"
    }
    assert any("no null: stage 'output' is constant" in note for note in said["notes"])
    assert cli("verify", "run").code == 0


def test_a_device_that_fails_is_no_result(cli, images, monkeypatch):
    def fail(*args, **kwargs):
        raise RuntimeError("CUDA error: out of memory")

    make = ("make", "nets.py:net", "--stage", "1", "--stimuli", images, "--out", "run", "--set", "steps=10")
    with monkeypatch.context() as patch:
        patch.setattr("metamers.study.batches.synthesize_batch", fail)
        ended = cli(*make)
    assert ended.code == 2
    assert "run the same command again: it resumes" in ended.err
    assert not list(Path("run").glob("batches/**/*.json"))
    assert cli(*make, "--json").json["cells"] == 4
