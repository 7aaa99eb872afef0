import importlib.util
from pathlib import Path

import pytest
import torch

from metamers.errors import MetamersError
from metamers.models import downloads, load_model
from metamers.models.torchvision_compat import import_after_torchvision

if importlib.util.find_spec("timm") is None:
    pytest.skip("timm is not installed", allow_module_level=True)
timm = import_after_torchvision("timm", "timm")


def test_vision_transformer_of_a_file(tmp_path: Path) -> None:
    source = timm.create_model("vit_tiny_patch16_224", pretrained=False)
    torch.save(source.state_dict(), tmp_path / "w.pt")
    model = load_model("timm:vit_tiny_patch16_224", weights=tmp_path / "w.pt")
    assert (model.input_size, model.mean, model.std) == ((224, 224), (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
    assert (len(model.classes), model.classes[1]) == (1000, "goldfish, Carassius auratus")
    assert (model.stages[0], model.stages[-2:], len(model.stages)) == ("patch_embed", ("blocks.11", "output"), 13)
    x = torch.rand(1, 3, 224, 224)
    torch.testing.assert_close(model.logits(x), source.eval()(2 * x - 1).detach(), atol=1e-4, rtol=1e-4)
    assert model.activations(x, ["blocks.3"])["blocks.3"].shape == (1, 197, 192)


def test_convolutional_network_with_random_weights() -> None:
    model = load_model("timm:resnet10t", weights="random", input_size=64)
    assert model.stages == (
        *("conv1", "act1", "maxpool", "layer1", "layer2", "layer3", "layer4", "global_pool", "output"),
    )
    assert model.notes == ("weights are random (seed 0)",)
    assert model.weights_hash() == load_model("timm:resnet10t", weights="random").weights_hash()


def test_unknown_names_show_the_nearest() -> None:
    with pytest.raises(MetamersError, match="timm has no model 'resnet50x'; did you mean .*'resnet50"):
        load_model("timm:resnet50x")
    with pytest.raises(MetamersError, match="timm's 'resnet50' has no weights 'a1_in1kk'; did you mean .*'a1_in1k'"):
        load_model("timm:resnet50.a1_in1kk")


def test_without_network_both_ways_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(downloads, "is_reachable", lambda url: False)
    with pytest.raises(MetamersError, match=r"cannot be reached\); .*--weights FILE, or take --weights random"):
        load_model("timm:resnet10t")
