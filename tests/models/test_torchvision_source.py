import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from metamers.errors import MetamersError
from metamers.models import downloads, load_model, torchvision_source
from metamers.models.torchvision_compat import import_torchvision, missing_extra

if importlib.util.find_spec("torchvision") is None:
    pytest.skip("torchvision is not installed", allow_module_level=True)
models: Any = import_torchvision().models


def test_import_repeats() -> None:
    assert import_torchvision() is import_torchvision()
    assert models.resnet18 is not None


def test_missing_package_names_the_extra() -> None:
    said = "torchvision is not installed; in the clone, pip install -c constraints.txt -e '.[vision]'"
    assert str(missing_extra("torchvision", "vision")) == said


def test_resnet() -> None:
    model = load_model("torchvision:resnet18", weights="random", input_size=32)
    assert model.stages == ("conv1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "output")
    sized = model.with_input_size(64)
    assert sized.stages == ("conv1", "relu", "maxpool", "layer1", "layer2", "layer3", "layer4", "avgpool", "output")
    assert (model.mean, model.std) == ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
    assert (len(model.classes), model.classes[1], model.has_decision) == (1000, "goldfish", True)
    assert (model.name, model.notes) == ("torchvision:resnet18?weights=random", ("weights are random (seed 0)",))
    assert {"layer1.0.relu@1", "layer1.0.relu@2", "layer1.0.relu"} <= {i.name for i in model.describe()}


def test_in_place_relu_does_not_reach_the_stage_before_it() -> None:
    model, x = load_model("torchvision:resnet18", weights="random", input_size=32), torch.rand(2, 3, 32, 32)
    both = model.activations(x, ["bn1", "relu", "layer1"])
    torch.testing.assert_close(both["bn1"], model.activations(x, ["bn1"])["bn1"])
    assert float(both["bn1"].min()) < 0
    torch.testing.assert_close(both["bn1"].relu(), both["relu"])


def test_weights_of_a_file(tmp_path: Path) -> None:
    source = models.resnet18(weights=None)
    save_file(source.state_dict(), tmp_path / "w.safetensors")
    model = load_model("torchvision:resnet18", weights=tmp_path / "w.safetensors", input_size=32)
    x = torch.rand(2, 3, 32, 32)
    mean, std = (torch.tensor(v)[:, None, None] for v in (model.mean, model.std))
    torch.testing.assert_close(model.logits(x), source.eval()((x - mean) / std).detach())
    assert model.notes == ()
    with pytest.raises(MetamersError, match=r"do not fit AlexNet: 16 missing: features.0.weight"):
        load_model("torchvision:alexnet", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("name", "size", "stages"),
    [
        ("mobilenet_v3_small", 32, ("features.0", "features.12", "classifier.1")),
        ("squeezenet1_1", 64, ("features.1", "features.12")),
        ("shufflenet_v2_x0_5", 32, ("conv1", "maxpool", "stage2", "stage3", "stage4", "conv5")),
    ],
)
def test_stages_of_architectures(name: str, size: int, stages: tuple[str, ...]) -> None:
    model = load_model(f"torchvision:{name}", weights="random", input_size=size)
    assert set(stages) <= set(model.stages)
    assert 4 <= len(model.stages) - 1 <= 12
    found = model.activations(torch.rand(1, 3, size, size, requires_grad=True), model.resolve(["*"]))
    assert all(t.requires_grad for t in found.values())


def test_own_weights_are_found_in_the_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = models.squeezenet1_1(weights=None)
    url = models.SqueezeNet1_1_Weights.DEFAULT.url
    cached = tmp_path / "checkpoints" / Path(url).name
    cached.parent.mkdir()
    torch.save(source.state_dict(), cached)
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(downloads, "is_reachable", lambda url: pytest.fail("asked for the network"))
    for weights in (None, "IMAGENET1K_V1"):
        model = load_model("torchvision:squeezenet1_1", weights=weights)
        assert model.weights_hash() == load_model(source).weights_hash()


def test_without_network_both_ways_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.hub, "_hub_dir", str(tmp_path))
    monkeypatch.setattr(downloads, "is_reachable", lambda url: False)
    with pytest.raises(MetamersError) as caught:
        load_model("torchvision:squeezenet1_1")
    assert str(caught.value) == (
        "cannot get 'torchvision:squeezenet1_1' (not in the cache, and download.pytorch.org cannot be reached); "
        "give its weights with --weights FILE, or take --weights random (weights= in Python, weights: in a study)"
    )


@pytest.mark.parametrize(
    ("name", "nearest"), [("resnet51", "'resnet50'"), ("Resnet_50", "'resnet50'"), ("fasterrcnn_resnet50_fpn", "")]
)
def test_unknown_classifier(name: str, nearest: str) -> None:
    with pytest.raises(MetamersError, match=f"torchvision has no classifier '{name}'.*{nearest}"):
        load_model(f"torchvision:{name}")


def test_builders_get_what_their_own_weights_would_set() -> None:
    large = models.ViT_H_14_Weights.DEFAULT
    assert torchvision_source._arguments("vit_h_14", large, None) == {"image_size": 518}
    assert torchvision_source._arguments("googlenet", None, "w.pt") == {"transform_input": True, "init_weights": False}
    assert torchvision_source._arguments("resnet18", None, None) == {}
