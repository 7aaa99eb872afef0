"""A small sister of CochResNet50, for short clips."""

from collections import OrderedDict

from torch import nn

from metamers.models.small_cochcnn import WORDS, small_cochleagram
from metamers.models.small_resnet import SmallResNet

STAGES = ("cochleagram", "relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "output")


class SmallCochResNet(nn.Sequential):
    """`SmallResNet` with one input channel, over a cochleagram of 63 filters.

    Waveforms [N, 16000], 1 s at 16 kHz, to logits [N, classes].
    """

    def __init__(self, classes: int = WORDS) -> None:
        resnet = SmallResNet(classes)
        resnet.conv1 = nn.Conv2d(1, 16, 3, 2, padding=1, bias=False)
        modules: dict[str, nn.Module] = {
            **{"cochleagram": small_cochleagram(), "maps": nn.Unflatten(1, (1, -1))},
            **{name: part for name, part in resnet.named_children() if name != "fc"},
            **{"flatten": nn.Flatten(), "fc": resnet.fc},
        }
        super().__init__(OrderedDict(modules))
