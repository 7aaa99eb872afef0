"""Sounds from the command line: made, verified, recognized, shown, and attacked."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import soundfile

EARS = """
import torch
from torch import nn
from metamers.models import StagedModel

class Bands(nn.Module):
    def forward(self, x):
        return x.unflatten(1, (16, -1)).square().mean(2).add(1e-6).log()

def network(rate=None):
    torch.manual_seed(rate or 0)
    return nn.Sequential(Bands(), nn.Linear(16, 12), nn.ReLU(), nn.Linear(12, 2))

def ears():
    return network(), 1600

def staged(name):
    return StagedModel(network(int(name)), kind="sound", sample_rate=int(name), classes=("high", "low"))
"""
RATE = 8000


@pytest.fixture
def sounds(cli):
    """Tones under random envelopes, and a null set."""
    Path("ears.py").write_text(EARS)
    random = np.random.default_rng(0)
    for folder, n in (("tones", 3), ("more", 30)):
        for word, hertz in (("high", 900), ("low", 300)):
            Path(folder, word).mkdir(parents=True)
            for i in range(n):
                level = np.repeat(random.uniform(0.05, 0.9, 8), 200)
                tone = level * np.sin(2 * np.pi * hertz * np.arange(1600) / RATE)
                soundfile.write(Path(folder, word, f"{i}.wav"), tone, RATE)
    return "--stimuli", "tones", "--null-stimuli", "more"


def test_sounds_are_made_verified_recognized_and_shown(cli, sounds):
    made = cli("make", "ears.py:ears", *sounds, "--stage", "2", "--seed", "0", "1", "--out", "run", "--json")
    assert made.code == 0
    assert (made.json["cells"], made.json["passed"]) == (12, 12)
    assert cli("verify", "run", "--json").json["ok"]
    files = sorted(Path("run/metamers").rglob("*.wav"))
    assert len(files) == 12
    assert len(list(Path("run/references").rglob("*.wav"))) == 6
    for file in Path("run/references").rglob("*.wav"):
        written, _ = soundfile.read(file)
        assert not written[[0, -1]].any() and np.sqrt(np.mean(written**2)) <= 0.2501
    for file in files:
        written, _ = soundfile.read(file)
        assert not written[[0, -1]].any()  # faded in and out
        unrounded, _ = soundfile.read(Path("run/unrounded") / file.relative_to("run/metamers"), dtype="float32")
        assert np.array_equal(np.rint(unrounded.astype(float) * 32768), written * 32768)
        assert not np.array_equal(unrounded, written)
    assert {soundfile.info(file).subtype for file in files} == {"PCM_16"}
    assert all(file.with_suffix(".png").is_file() for file in files)
    page = Path("run/report.html").read_text()
    assert page.count("data-sound=") == 12 + 12  # a row for each reference and seed
    assert "missing from the run" not in page
    observers = ("ears.py:staged:8000", "ears.py:staged:16000")
    asked = cli("recognize", "run", "--by", *observers, "--controls", "start,untrained", "--json")
    assert asked.code == 0
    responses = pd.read_csv("run/tables/responses.csv")
    assert responses.groupby("observer").size().to_dict() == dict.fromkeys(("ears", "8000", "16000"), 6 + 12)
    for file in Path("run/controls/start").rglob("*.wav"):
        start, _ = soundfile.read(file)
        assert not start[[0, -1]].any() and 0.005 < start.std() < 0.01
    controls = pd.read_csv("run/tables/controls.csv")
    assert controls.groupby(["observer", "control"]).size().to_dict() == {
        (8000, "start"): 12,
        (8000, "untrained"): 12,
        (16000, "start"): 12,
        (16000, "untrained"): 12,
    }
    assert cli("analyze", "seeds", "run", "--json").code == 0


def test_a_model_without_a_size_takes_the_sounds_length_at_its_own_rate(cli, sounds):
    made = cli("make", "ears.py:staged:16000", *sounds, "--stage", "2", "--set", "steps=5", "--out", "run", "--json")
    assert made.code == 0
    file = next(Path("run/references").rglob("*.wav"))
    assert (soundfile.info(file).frames, soundfile.info(file).samplerate) == (3200, 16_000)


def test_an_image_model_is_not_asked_about_sounds(cli, sounds):
    refused = cli("make", "bundled:picto-resnet", *sounds, "--stage", "layer1", "--out", "run")
    assert refused.code == 2
    assert "takes images, but 'tones' holds sounds" in refused.err
    cli("make", "ears.py:ears", *sounds, "--stage", "2", "--set", "steps=5", "--out", "run", "--no-report")
    refused = cli("recognize", "run", "--by", "bundled:picto-resnet")
    assert refused.code == 2
    assert "takes images" in refused.err


def test_a_truncated_sound_is_named_before_any_work(cli, sounds):
    path = Path("tones/low/1.wav")
    path.write_bytes(path.read_bytes()[:2000])
    refused = cli("make", "ears.py:ears", *sounds, "--stage", "2", "--out", "run")
    assert refused.code == 2
    assert "low/1.wav' is truncated" in refused.err
    assert not Path("run").exists()


def test_silence_is_told(cli, sounds):
    soundfile.write("tones/low/1.wav", np.zeros(1600), RATE)
    made = cli("make", "ears.py:ears", *sounds, "--stage", "0", "--set", "steps=5", "--out", "run", "--json")
    assert made.code == 0
    (failure,) = (f for f in made.json["failures"] if f["verdict"] == "error")
    assert "constant" in failure["reason"]


def test_stages_of_a_network_that_hears(cli, sounds):
    listed = cli("stages", "ears.py:network", "--rate", "8000", "--seconds", "0.2", "--json").json
    assert [stage["name"] for stage in listed["stages"]] == ["input", "0", "1", "2", "3", "output"][
        : len(listed["stages"])
    ]
    assert listed["stages"][0]["shape"] == [1600]
    assert cli("stages", "builtin:small-cochcnn", "--json").json["stages"][0]["shape"] == [16_000]
    refused = cli("stages", "bundled:picto-resnet", "--seconds", "1")
    assert refused.code == 2
    assert "give --rate" in refused.err


def test_networks_that_hear_are_attacked(cli, sounds):
    found = cli(
        "attack", "ears.py:staged:8000", *sounds[:2], "--eps", "0", "5", "--seed", "0", "--steps", "4", "--json"
    )
    assert found.code == 0
    assert found.json["eps"] == [0, 5]
    assert found.json["n"] == 6
    assert found.json["accuracy"][1] <= found.json["accuracy"][0]


OWN = ("make", "bundled:word-cochcnn", "--stage", "relufc", "--set", "steps=5", "--out", "own")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--rate", 8000), "--rate 8000: word-cochcnn takes sounds of 16000 Hz; leave --rate out"),
        (("--rate", 16000, "--seconds", 2), "--seconds 2: word-cochcnn takes sounds of 1 s"),
        (("--rms", 0.9), "an RMS of 0.9; give one above 0 and at most 0.25"),
    ],
)
def test_what_a_model_does_not_take_is_refused(cli, sounds, options, words):
    refused = cli(*OWN, *sounds, *options)
    assert (refused.code, refused.out) == (2, "") and words in refused.err
    assert not Path("own").exists()


def test_sounds_of_several_rates_are_brought_to_the_models(cli, sounds):
    soundfile.write("tones/low/other.wav", np.full(4410, 0.1), 44_100)
    made = cli(*OWN, "--stimuli", "tones", "--null-stimuli", "bundled:spoken_clips?n=52", "--json")
    assert made.code == 0 and made.json["cells"] == 7
    named = cli("recognize", "own", "--by", "builtin:small-cochcnn", "--no-report")
    assert "none of the stimuli's labels" in named.err


def test_an_untrained_observer_is_told(cli):
    assert cli(*OWN, "--stimuli", "bundled:spoken_clips?n=2", "--no-report").code == 0
    named = cli("recognize", "own", "--by", "builtin:small-cochcnn", "--no-report")
    assert named.code == 0 and "note: builtin:small-cochcnn: weights are random (seed 0)" in named.err
