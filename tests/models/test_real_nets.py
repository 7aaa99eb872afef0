import os
from pathlib import Path

import numpy as np
import pytest
import torch

from metamers.models import StagedModel, load_model

DATA = Path(os.environ.get("METAMERS_REAL_DATA", ""))
pytestmark = pytest.mark.skipif(
    "METAMERS_REAL_DATA" not in os.environ, reason="METAMERS_REAL_DATA names no folder with real networks"
)


def cifar(name: str) -> StagedModel:
    return load_model(f"{DATA}/nets/cifar_nets.py:load:{name}", input_size=32)


@pytest.mark.parametrize(
    ("name", "stages"),
    [
        ("cifar_resnet20", ("net.conv1", "net.layer1", "net.layer2", "net.layer3")),
        ("cifar_resnet56", ("net.conv1", "net.layer1", "net.layer2", "net.layer3")),
        ("cifar_robust_cnn_a_adv4", ("net.0", "net.1", "net.2", "net.3", "net.5", "net.6")),
        ("cifar_robust_resnet_2b2_sadv8", ("net.0", "net.2", "net.3", "net.4", "net.6", "net.7")),
        ("cifar_mlperf_resnet8", ("conv1", "b1c1", "b1c2", "b2s", "b2c1", "b2c2", "b3s", "b3c1", "b3c2")),
    ],
)
def test_default_stages_and_accuracy(name: str, stages: tuple[str, ...]) -> None:
    model = cifar(name)
    assert (model.name, model.stages, model.notes) == (name, (*stages, "output"), ())
    images = np.load(DATA / "cifar10" / "test_100.npz")
    x = torch.from_numpy(images["X"]).permute(0, 3, 1, 2) / 255
    right = (model.decide(x).numpy() == images["y"]).mean()
    assert right >= (0.45 if "robust" in name else 0.85)


def test_stages_of_cifar_resnet20_cost_what_they_should() -> None:
    shares = {i.name: i.cost_share for i in cifar("cifar_resnet20").describe()}
    assert shares["net.conv1"] == pytest.approx(0.011, abs=0.001)
    assert shares["net.layer1"] == pytest.approx(0.36, abs=0.01)
    assert shares["net.layer2"] == pytest.approx(0.68, abs=0.01)
    assert shares["output"] == 1


def test_imagenet_network_knows_its_size() -> None:
    model = load_model(f"{DATA}/nets/imagenet_nets.py:load:mobilenet_v1_0.5_160")
    assert model.input_size == (160, 160)
    assert (model.stages[0], model.stages[-2], len(model.stages)) == ("stem", "blocks.12", 13)


def test_words_network_takes_sound() -> None:
    spec = f"{DATA}/nets/kws_nets.py:load:kws_ds_cnn_S"
    model = load_model(spec, kind="sound", input_size=16000, sample_rate=16000)
    assert model.stages == ("conv1", *(f"{kind}.{i}" for i in range(4) for kind in ("dw", "pw")), "output")
    assert model.decide(torch.rand(2, 16000) - 0.5).shape == (2,)
