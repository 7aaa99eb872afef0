"""Networks for small images."""

import pytest
import torch
from torch import nn

from metamers.models import load_model
from metamers.models.flops import FlopCount
from metamers.models.small_resnet import SmallResNet
from metamers.models.small_resnet_lowpass import SmallResNetLowPass
from metamers.models.small_vgg import SmallVGG


def multiply_adds(network: nn.Module) -> float:
    with FlopCount() as count, torch.no_grad():
        network.eval()(torch.zeros(1, 3, 64, 64))
    return count.total / 2


def test_the_low_pass_sister_has_the_same_weights_at_twice_the_cost() -> None:
    sister, network = SmallResNetLowPass(), SmallResNet()
    assert {k: v.shape for k, v in sister.state_dict().items()} == {k: v.shape for k, v in network.state_dict().items()}
    assert multiply_adds(sister) == pytest.approx(28e6, rel=0.02)
    assert multiply_adds(sister) < 2.05 * multiply_adds(network)


def test_the_low_pass_sister_has_the_same_stages() -> None:
    sister, network = load_model("builtin:small-resnet-lowpass"), load_model("builtin:small-resnet")
    assert sister.stages == network.stages
    shapes = [{info.name: info.shape for info in model.describe()} for model in (sister, network)]
    for stage in ("relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "output"):
        assert shapes[0][stage] == shapes[1][stage]


def test_the_low_pass_sister_is_less_moved_by_a_shift() -> None:
    """What aliases changes with the position that a coarser grid happens to have."""
    x = torch.rand(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    shifted = x.roll(1, 3)

    def moved(network: nn.Module) -> float:
        torch.manual_seed(0)
        with torch.no_grad():
            a, b = (network.eval().get_submodule("layer4")(run(network, y)) for y in (x, shifted))
        return float((a - b)[..., 1:-1, 1:-1].norm() / a[..., 1:-1, 1:-1].norm())

    def run(network: nn.Module, y: torch.Tensor) -> torch.Tensor:
        found: list[torch.Tensor] = []
        handle = network.get_submodule("layer3").register_forward_hook(lambda m, i, output: found.append(output))
        network(y)
        handle.remove()
        return found[0]

    weights = SmallResNet().state_dict()
    networks = [SmallResNet(), SmallResNetLowPass()]
    for network in networks:
        network.load_state_dict(weights)
    assert moved(networks[1]) < 0.5 * moved(networks[0])


def test_small_vgg() -> None:
    model = load_model("builtin:small-vgg")
    assert multiply_adds(SmallVGG()) == pytest.approx(30e6, rel=0.03)
    assert model.logits(torch.rand(2, 3, 64, 64)).shape == (2, 16)
    assert model.stages[-1] == "output"
    assert 4 <= len(model.stages) <= 13
    assert sum(p.numel() for p in model.network.parameters()) * 4 < 1.5e6


@pytest.mark.parametrize("network", [SmallVGG, SmallResNetLowPass])
def test_gradients_reach_every_weight(network) -> None:
    built = network(classes=3)
    built(torch.rand(4, 3, 64, 64)).sum().backward()
    assert all(parameter.grad is not None for parameter in built.parameters())
