"""A residual network for small images that pools without aliasing."""

from torch import Tensor, nn
from torch.nn import functional as F

from metamers.models.hann_pool import HannPool2d
from metamers.models.small_resnet import BasicBlock, SmallResNet

STAGES = ("conv1", "relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "output")


class LowPassBlock(BasicBlock):
    """A `BasicBlock` of stride 2 that convolves every position, rectifies, and then pools under a Hann window."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs, 1)
        self.pool = HannPool2d(9, 2, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Maps to maps of half the size."""
        y = self.pool(F.relu(self.bn1(self.conv1(x))))
        # The shortcut is linear: it may as well be pooled before, where that costs less.
        return F.relu(self.bn2(self.conv2(y)) + self.shortcut(self.pool(x)))


class SmallResNetLowPass(SmallResNet):
    """`SmallResNet` with each convolution of stride 2 replaced by one of stride 1 and pooling under a Hann window.

    [N, 3, H, W] to logits [N, classes]. Its weights have the names and shapes of `SmallResNet`'s. A 64 x 64 image costs
    28 million multiply-adds. Pooling as in LowPassAlexNet (Feather et al., 2023).
    """

    def __init__(self, classes: int = 16) -> None:
        super().__init__(classes)
        self.conv1 = nn.Conv2d(3, 16, 3, padding=1, bias=False)
        self.conv1_relu = nn.ReLU()
        self.pool = HannPool2d(9, 2, 3)
        self.layer2 = LowPassBlock(16, 32)
        self.layer3 = LowPassBlock(32, 64)
        self.layer4 = LowPassBlock(64, 96)

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        x = self.relu(self.pool(self.conv1_relu(self.bn1(self.conv1(x)))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        logits: Tensor = self.fc(self.avgpool(x).flatten(1))
        return logits
