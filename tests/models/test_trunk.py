import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.models import StagedModel
from metamers.models.small_alexnet import SmallAlexNet
from metamers.models.small_resnet import SmallResNet


class Norm(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5) / 0.2


class Block(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv, self.bn = nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(x)) + x)


class Listed(nn.Module):
    """A trunk in a list, which is never called itself."""

    def __init__(self, n: int) -> None:
        super().__init__()
        self.stem, self.blocks = nn.Conv2d(3, 4, 3, padding=1), nn.ModuleList(Block() for _ in range(n))
        self.norm, self.head = nn.BatchNorm2d(4), nn.Linear(4, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        return torch.as_tensor(self.head(self.norm(x).mean((2, 3))))


def stages(network: nn.Module, size: int = 8) -> tuple[str, ...]:
    return StagedModel(network, input_size=size).stages


def test_outermost_modules_without_normalization_and_the_last() -> None:
    trunk = ("conv1", "relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "output")
    assert stages(SmallResNet(), 64) == trunk


def test_wrappers_and_what_precedes_the_weights_are_passed_over() -> None:
    assert stages(nn.Sequential(Norm(), Listed(3))) == ("1.stem", "1.blocks.0", "1.blocks.1", "1.blocks.2", "output")
    deeper = nn.Sequential(nn.Sequential(Norm(), nn.Sequential(Listed(3))))
    assert stages(deeper) == ("0.1.0.stem", "0.1.0.blocks.0", "0.1.0.blocks.1", "0.1.0.blocks.2", "output")


def test_flat_chains_keep_one_stage_a_layer() -> None:
    assert stages(SmallAlexNet(), 64) == (
        *("features.1", "features.4", "features.7", "features.9", "classifier.3", "output"),
    )


def test_at_most_twelve_with_the_first_and_the_last() -> None:
    listed = stages(Listed(30))
    assert len(listed) == 13
    assert (listed[0], listed[-2], listed[-1]) == ("stem", "blocks.29", "output")


def test_part_that_is_nearly_everything_is_opened() -> None:
    blocks = nn.Sequential(*(nn.Sequential(Block(), Block()) for _ in range(4)))
    network = nn.Sequential(
        *(nn.Conv2d(3, 4, 1), blocks, nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 5))
    )
    assert stages(network) == ("0", "1.0", "1.1", "1.2", "1.3", "2", "3", "output")


def test_block_that_ends_in_a_functional_relu_stays_beside_its_parts() -> None:
    assert stages(nn.Sequential(nn.Conv2d(3, 4, 1), Block(), nn.Conv2d(4, 2, 1))) == ("0", "1.conv", "1", "output")


def test_few_modules_give_few_stages() -> None:
    assert stages(nn.Sequential(nn.Flatten(), nn.Linear(192, 4), nn.ReLU(), nn.Linear(4, 2))) == ("1", "2", "output")
    assert stages(nn.Conv2d(3, 4, 3)) == ("output",)


def test_zero_initialized_blocks_are_stages_too() -> None:
    network = Listed(3)
    for block in network.blocks:
        assert isinstance(block, Block)
        nn.init.zeros_(block.bn.weight)
    assert stages(network) == ("stem", "blocks.0", "blocks.1", "blocks.2", "output")
