"""The training loop: it learns, repeats itself, goes on where it was stopped, and stops where it must."""

import copy
import json
from typing import Any

import pytest
import torch
from tests.training.conftest import Small, config, two_halves
from torch import nn

from metamers.errors import MetamersError
from metamers.models import StagedModel
from metamers.training import Watch, train
from metamers.training import trainer as trainer_module
from metamers.training.processes import OneProcess

ADVERSARIAL = {"kind": "adversarial", "norm": "l2", "eps": 0.5}
RANDOM = {"kind": "random_perturbation", "norm": "linf", "eps": "8/255"}
EVERYTHING = {"augmentation": {"crop": 1, "flip": True, "color_jitter": 0.1}, "schedule": {"kind": "one_cycle"}}


class StopError(Exception):
    pass


def stop_after(epochs):
    def watch(history):
        if len(history) == epochs:
            raise StopError

    return Watch(epoch=watch)


def weights(trained):
    return trained.model.network.state_dict()


def equal(a, b):
    return all(torch.equal(a[key], b[key]) for key in a)


def test_it_learns_and_leaves_the_model_that_it_was_given(halves, small, tmp_path):
    before = copy.deepcopy(small.network.state_dict())
    trained = train(config(epochs=6), tmp_path / "t", model=small, stimuli=halves, validation=two_halves(64, seed=1))
    assert trained.history[-1]["accuracy"] > 0.95
    assert trained.history[-1]["loss"] < trained.history[0]["loss"]
    assert equal(before, small.network.state_dict())
    assert not trained.model.network.training
    assert trained.model.classes == ("lower", "upper")
    assert {path.name for path in (tmp_path / "t").iterdir()} == {
        *("checkpoints", "config.yaml", "log.csv", "model.md", "model.safetensors")
    }
    assert len((tmp_path / "t" / "log.csv").read_text().splitlines()) == 7


@pytest.mark.parametrize("objective", [{"kind": "standard"}, ADVERSARIAL, RANDOM], ids=lambda o: o["kind"])
def test_stopped_and_resumed_it_ends_as_unbroken(halves, small, tmp_path, objective):
    asked = config(objective=objective, **EVERYTHING)
    before = torch.random.get_rng_state()
    unbroken = train(asked, tmp_path / "a", model=small, stimuli=halves)
    assert torch.equal(before, torch.random.get_rng_state())
    with pytest.raises(StopError):
        train(asked, tmp_path / "b", model=small, stimuli=halves, watch=stop_after(2))
    torch.manual_seed(123)  # what another process would have
    said: list[str] = []
    resumed = train(asked, tmp_path / "b", model=small, stimuli=halves, resume=True, watch=Watch(say=said.append))
    assert "2 of 3 epochs are there already" in said
    assert equal(weights(unbroken), weights(resumed))
    assert [row["loss"] for row in unbroken.history] == [row["loss"] for row in resumed.history]
    assert (tmp_path / "a" / "model.safetensors").read_bytes() == (tmp_path / "b" / "model.safetensors").read_bytes()


def test_each_setting_has_an_effect(halves, small, tmp_path):
    changes: list[dict[str, Any]] = [
        *({}, {"seed": 1}, {"label_smoothing": 0.1}, {"schedule": {"kind": "cosine"}}, {"precision": "bfloat16"}),
        *({"optimizer": {"learning_rate": 0.1, **o}} for o in ({"momentum": 0.5}, {"nesterov": True})),
        *({"optimizer": {"learning_rate": 0.1, **o}} for o in ({"weight_decay": 0.1}, {"gradient_clip": 0.01})),
        *({"augmentation": a} for a in ({"crop": 1}, {"flip": True}, {"color_jitter": 0.2})),
        *({"objective": o} for o in (ADVERSARIAL, RANDOM, {**ADVERSARIAL, "steps": 1})),
        *({"objective": {**ADVERSARIAL, **o}} for o in ({"random_start": False}, {"step_size": 0.01}, {"eps": 0.1})),
    ]
    hashes = [
        train(config(epochs=1, **change), tmp_path / str(i), model=small, stimuli=halves).model.weights_hash()
        for i, change in enumerate(changes)
    ]
    assert len(set(hashes)) == len(changes)


def test_an_attack_of_radius_0_trains_as_usual(halves, small, tmp_path):
    nothing = {"kind": "adversarial", "norm": "l2", "eps": 0, "random_start": False, "step_size": 1}
    usual = train(config(epochs=1), tmp_path / "a", model=small, stimuli=halves)
    same = train(config(epochs=1, objective=nothing), tmp_path / "b", model=small, stimuli=halves)
    assert equal(weights(usual), weights(same))


def test_attacks_have_no_gradient_of_weights_and_see_the_evaluated_network(halves, small, tmp_path, monkeypatch):
    seen = []

    def watching(logits, x, labels, generator):
        loop = logits.__self__
        seen.append((loop.network.training, any(w.requires_grad for w in loop.network.parameters())))
        return x

    monkeypatch.setattr(trainer_module, "objective_of", lambda config, bounds: watching)
    train(config(epochs=1, objective=ADVERSARIAL), tmp_path / "a", model=small, stimuli=halves)
    assert set(seen) == {(False, False)} and len(seen) == 6


def test_weights_that_are_named_stay(halves, small, tmp_path):
    trained = train(config(epochs=1, frozen=["0.*"]), tmp_path / "a", model=small, stimuli=halves)
    before = small.network.state_dict()
    changed = {key for key, value in weights(trained).items() if not torch.equal(value, before[key])}
    assert "0.weight" not in changed and "5.weight" in changed


class Half(Small):
    def forward(self, x):
        return super().forward(x).detach() + self[5](self[3](self[2](self[1](self[0](x))).detach()))


@pytest.mark.parametrize("how", ["frozen by itself", "without a gradient"])
def test_a_model_that_trains_only_in_part(halves, tmp_path, how):
    network = Small() if how == "frozen by itself" else Half()
    if how == "frozen by itself":
        network[0].requires_grad_(False)
    model = StagedModel(network, input_size=8)
    with pytest.raises(MetamersError, match=r"trains only in part: .*'0.weight'.*frozen:"):
        train(config(), tmp_path / "a", model=model, stimuli=halves)
    train(config(epochs=1, frozen=["0.*", "1.*"]), tmp_path / "b", model=model, stimuli=halves)


@pytest.mark.parametrize(("frozen", "error"), [("nothing.*", "fits no weight"), ("*", "no weight .* is left to train")])
def test_patterns_that_leave_nothing(halves, small, tmp_path, frozen, error):
    with pytest.raises(MetamersError, match=error):
        train(config(frozen=[frozen]), tmp_path / "a", model=small, stimuli=halves)


class Bursting(Small):
    """Its loss is not finite from the ninth training pass on."""

    passes = 0

    def forward(self, x):
        if self.training:
            self.passes += 1
        return super().forward(x) * (float("nan") if self.training and self.passes > 8 else 1.0)


def test_a_loss_that_is_not_finite_stops_with_the_last_good_weights(halves, tmp_path):
    out = tmp_path / "a"
    with pytest.raises(MetamersError) as raised:
        train(config(), out, model=StagedModel(Bursting(), name="b", input_size=8), stimuli=halves)
    good = out / "epoch-0001.safetensors"
    assert "the loss is not finite in epoch 2" in str(raised.value) and str(good) in str(raised.value)
    assert "lower the learning rate" in str(raised.value)
    assert not (out / "model.safetensors").exists()
    asked = config(epochs=1, weights=str(good))
    again = train(asked, tmp_path / "b", model=StagedModel(Small(), input_size=8), stimuli=halves)
    assert all(weight.isfinite().all() for weight in again.model.network.parameters())


def test_a_loss_that_is_never_finite(halves, tmp_path):
    network = Bursting()
    model = StagedModel(network, input_size=8)
    network.passes = 9
    with pytest.raises(MetamersError, match=r"in epoch 1.*no epoch was finished"):
        train(config(), tmp_path / "a", model=model, stimuli=halves)


def test_accuracy_under_attack_is_measured_where_there_is_one(halves, small, tmp_path):
    asked = {
        "none": (config(epochs=1), None),
        "objective": (config(epochs=1, objective=ADVERSARIAL), 1.0),
        "own": (config(epochs=1, objective=ADVERSARIAL, evaluation={"norm": "linf", "eps": 1}), 0.0),
    }
    for name, (chosen, most) in asked.items():
        row = train(chosen, tmp_path / name, model=small, stimuli=halves, validation=two_halves(32, seed=1)).history[0]
        assert 0 <= row["accuracy"] <= 1
        assert ("robust_accuracy" in row) == (most is not None)
        if most is not None:
            assert row["robust_accuracy"] <= min(most, row["accuracy"])


def test_the_card_says_what_was_done(halves, small, tmp_path):
    asked = config(objective=ADVERSARIAL)
    trained = train(asked, tmp_path / "a", model=small, stimuli=halves)
    text = (tmp_path / "a" / "model.md").read_text()
    assert "kind: adversarial" in text and trained.model.weights_hash() in text and "training_data: halves" in text


def test_metadata_of_weights_build_the_same_model(tmp_path):
    from metamers import load_model

    asked = config(
        model="builtin:small-alexnet", stimuli="bundled:pictograms?split=train&n=32", epochs=1, evaluation={"n": 16}
    )
    trained = train(asked, tmp_path / "a")
    loaded = load_model("builtin:small-alexnet", weights=tmp_path / "a" / "model.safetensors")
    assert loaded.weights_hash() == trained.model.weights_hash()
    assert loaded.classes == trained.model.classes and loaded.input_size == (64, 64)


def test_the_seed_decides_the_initial_weights_of_builtin_models(tmp_path):
    hashes = set()
    for i, seed in enumerate((0, 0, 1)):
        asked = config(
            model="builtin:small-alexnet",
            stimuli="bundled:pictograms?split=train&n=16",
            epochs=1,
            optimizer={"learning_rate": 1e-30, "weight_decay": 0, "momentum": 0},
            seed=seed,
        )
        hashes.add(train(asked, tmp_path / str(i)).model.weights_hash())
    assert len(hashes) == 2


@pytest.mark.parametrize("spoil", ["cut", "flip", "record"])
def test_a_damaged_checkpoint_is_said_and_the_one_before_it_used(halves, small, tmp_path, spoil):
    unbroken = train(config(), tmp_path / "a", model=small, stimuli=halves)
    with pytest.raises(StopError):
        train(config(), tmp_path / "b", model=small, stimuli=halves, watch=stop_after(2))
    path = tmp_path / "b" / "checkpoints" / ("epoch-0002.json" if spoil == "record" else "epoch-0002.safetensors")
    content = bytearray(path.read_bytes())
    content[-3] ^= 255
    path.write_bytes(content[: len(content) // 2] if spoil == "cut" else content)
    said: list[str] = []
    resumed = train(config(), tmp_path / "b", model=small, stimuli=halves, resume=True, watch=Watch(say=said.append))
    assert any("epoch-0002.safetensors is damaged; the one before it is used" in note for note in said)
    assert "1 of 3 epochs are there already" in said
    assert equal(weights(unbroken), weights(resumed))


def test_two_checkpoints_stay(halves, small, tmp_path):
    train(config(), tmp_path / "a", model=small, stimuli=halves)
    assert {path.name for path in (tmp_path / "a" / "checkpoints").iterdir()} == {
        f"epoch-{epoch:04d}.{suffix}" for epoch in (2, 3) for suffix in ("json", "safetensors")
    }


def test_a_checkpoint_of_another_configuration_or_architecture(halves, small, tmp_path):
    train(config(), tmp_path / "a", model=small, stimuli=halves)
    with pytest.raises(MetamersError, match=r"another configuration .optimizer.learning_rate was 0.1, not 0.2"):
        train(config(optimizer={"learning_rate": 0.2}), tmp_path / "a", model=small, stimuli=halves, resume=True)
    other = StagedModel(nn.Sequential(nn.Flatten(), nn.Linear(192, 2)), input_size=8)
    with pytest.raises(MetamersError, match=r"weights 'checkpoint of epoch 3' do not fit Sequential"):
        train(config(), tmp_path / "a", model=other, stimuli=halves, resume=True)


def test_folders_that_hold_something(halves, small, tmp_path):
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x").touch()
    with pytest.raises(MetamersError, match="exists and is not a training"):
        train(config(), tmp_path / "a", model=small, stimuli=halves)
    train(config(epochs=1), tmp_path / "b", model=small, stimuli=halves)
    with pytest.raises(MetamersError, match="holds a training already; go on with --resume"):
        train(config(epochs=1), tmp_path / "b", model=small, stimuli=halves)


def test_a_full_disk_leaves_the_checkpoints_before(halves, small, tmp_path, monkeypatch):
    import errno

    from metamers.store import write_whole
    from metamers.training import checkpoints

    real, files = write_whole, []

    def full(path, content):
        files.append(path)
        if len(files) == 2:
            from metamers.store.files import clear_disk_errors

            with clear_disk_errors(path):
                raise OSError(errno.ENOSPC, "No space left on device")
        real(path, content)

    monkeypatch.setattr(checkpoints, "write_whole", full)
    with pytest.raises(MetamersError, match="the disk is full; free some space and run the same command again"):
        train(config(), tmp_path / "a", model=small, stimuli=halves)
    monkeypatch.undo()
    resumed = train(config(), tmp_path / "a", model=small, stimuli=halves, resume=True)
    unbroken = train(config(), tmp_path / "b", model=small, stimuli=halves)
    assert equal(weights(unbroken), weights(resumed))
    assert json.loads((tmp_path / "a" / "checkpoints" / "epoch-0003.json").read_text())["epoch"] == 3


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"batch_size": 200}, "batch_size 200 is more than the 96 stimuli"),
        ({"processes": 17, "device": "mps"}, "device 'mps'"),
        ({"weights": "nothing.safetensors"}, "no weights file 'nothing.safetensors'"),
        ({"weights": "bundled:picto-resnet"}, "weights 'bundled:picto-resnet' do not fit"),
    ],
)
def test_bad_input(halves, small, tmp_path, changes, error):
    with pytest.raises(MetamersError) as raised:
        train(config(**changes), tmp_path / "a", model=small, stimuli=halves)
    assert error in str(raised.value)
    assert not (tmp_path / "a").exists()


def test_what_the_first_process_has_written_does_not_stop_the_others(halves, small, tmp_path, monkeypatch):
    from metamers.training import run

    class Second(OneProcess):
        rank = 1

    (tmp_path / "config.yaml").touch()
    with pytest.raises(MetamersError, match="holds a training already"):
        train(config(epochs=1), tmp_path, model=small, stimuli=halves)
    monkeypatch.setattr(run, "_processes", lambda config: Second(small.device))
    train(config(epochs=1), tmp_path, model=small, stimuli=halves)
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


def test_stimuli_that_are_trained_on_and_measured_on_are_told(tmp_path, small):
    said: list[str] = []
    for seed in (0, 1):
        validation = two_halves(16, seed)
        validation.name = "others" if seed else validation.name
        options: Any = {"model": small, "watch": Watch(say=said.append)}
        train(config(epochs=1), tmp_path / str(seed), stimuli=two_halves(32), validation=validation, **options)
    assert [note for note in said if "trained on, too" in note] == [
        "16 of the 16 validation stimuli are trained on, too, so accuracy says little; name others (of bundled sets, "
        "another split= or seed=)"
    ]
