"""`metamers train`: its results, its resuming after a kill, its mistakes."""

import csv
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from metamers import load_model

CONFIG = {
    "model": "nets.py:net",
    "stimuli": "my imáges",
    "validation": "my imáges",
    "objective": {"kind": "adversarial", "norm": "l2", "eps": 0.5, "steps": 1},
    "epochs": 2,
    "batch_size": 2,
    "evaluation": {"steps": 2},
}


@pytest.fixture
def config(images, tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(yaml.safe_dump(CONFIG, allow_unicode=True), encoding="utf-8")
    return path


def test_it_trains_and_its_weights_are_used(cli, config):
    said = cli("train", config, "--out", "t", "--set", "objective.eps=0.25", "--json")
    result = said.json
    assert said.code == 0 and result["epochs"] == 2
    assert 0 <= result["robust_accuracy"] <= result["accuracy"] <= 1
    assert yaml.safe_load(Path("t/config.yaml").read_text())["objective"]["eps"] == 0.25
    with Path(result["log"]).open() as file:
        rows = list(csv.DictReader(file))
    assert [row["epoch"] for row in rows] == ["1", "2"] and float(rows[-1]["loss"]) == result["loss"]
    assert Path(result["curves"]).is_file() and Path(result["card"]).is_file()
    assert load_model("nets.py:net", weights=result["weights"]).weights_hash() == result["weights_hash"]
    stages = cli("stages", "nets.py:net", "--weights", result["weights"], "--json")
    assert stages.code == 0


def test_a_bundled_recipe(cli):
    change = ("stimuli=bundled:pictograms?split=train&n=64", "validation=bundled:pictograms?n=16", "epochs=1")
    said = cli("train", "bundled:picto-resnet", "--out", "t", "--set", *change)
    assert said.code == 0 and "1 epochs: loss" in said.err and said.out == ""


def test_killed_in_the_second_epoch_it_resumes_to_the_same_weights(cli, config, images):
    net = Path("nets.py").read_text().replace("return Net(), 16", 'return made("slow")')
    Path("nets.py").write_text(net)
    unbroken = cli("train", config, "--out", "a", "--json").json
    slow = {**os.environ, "SECONDS_A_PASS": "0.05"}
    command = [sys.executable, "-c", "from metamers.cli import main; main()", "train", str(config), "--out", "b"]
    process = subprocess.Popen(command, env=slow, stderr=subprocess.DEVNULL)
    limit = time.monotonic() + 60
    while not Path("b/checkpoints/epoch-0001.json").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    assert not Path("b/model.safetensors").exists()
    assert "go on with --resume" in cli("train", config, "--out", "b").err
    resumed = cli("train", config, "--out", "b", "--resume", "--json")
    assert "1 of 2 epochs are there already" in resumed.err
    assert resumed.json["weights_hash"] == unbroken["weights_hash"]
    assert Path("a/model.safetensors").read_bytes() == Path("b/model.safetensors").read_bytes()


def test_two_processes_train_one_model(cli, config):
    pytest.importorskip("lightning_fabric", reason="the extra train is not installed")
    # Its second process is the command once more.
    script = Path("train.py")
    script.write_text("from metamers.cli import main\n\nif __name__ == '__main__':\n    main()\n")
    command = [sys.executable, script, "train", config, "--out", "t", "--set", "processes=2", "--json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    assert load_model("nets.py:net", weights="t/model.safetensors").weights_hash() in done.stdout


@pytest.mark.parametrize(
    ("settings", "error"),
    [
        (["objective.kind=adversary"], "choose one of standard, adversarial, random_perturbation; did you mean"),
        (["objective.eps=-1"], "objective.eps -1: input should be greater than or equal to 0"),
        (["objective.eps=300"], "objective.eps 300 is more than the stimuli's range allows: 27.7128 in l2"),
        (["epoch=2"], "there is no key 'epoch'; did you mean 'epochs'?"),
        (["epochs"], "--set epochs: give KEY=VALUE"),
        (["epochs=[1"], "no YAML value"),
        (["stimuli=nowhere"], "nowhere"),
        (["model=nets.py:nett"], "has no function 'nett'; did you mean 'Net'?"),
        (["device=cuda:9"], "device 'cuda:9' is not available"),
        (["batch_size=9"], "batch_size 9 is more than the 4 stimuli"),
        (["label_pattern='{label}_0.png'"], "have no label"),
    ],
)
def test_mistakes_are_told_in_one_line(cli, config, settings, error):
    said = cli("train", config, "--out", "t", "--set", *settings)
    assert said.code == 2
    assert error in said.err and said.err.count("\n") == 1
    assert not Path("t").exists()


def test_unknown_recipes_and_files(cli):
    assert "did you mean 'picto-resnet-l2'" in cli("train", "bundled:picto-resnet-l", "--out", "t").err
    assert "'none.yaml' cannot be read" in cli("train", "none.yaml", "--out", "t").err
