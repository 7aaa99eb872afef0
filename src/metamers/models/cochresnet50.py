"""CochResNet50: ResNet-50 over a cochleagram."""

from collections import OrderedDict
from typing import Any

from torch import nn

from metamers.models.cochcnn9 import SAMPLE_RATE, WORDS
from metamers.models.cochleagram import Cochleagram
from metamers.models.torchvision_compat import import_torchvision

STAGES = ("cochleagram", "relu", "layer1", "layer2", "layer3", "layer4", "avgpool", "output")


class CochResNet50(nn.Sequential):
    """torchvision's ResNet-50 (stride in the 3 x 3 convolutions) with one input channel, over a cochleagram.

    Waveforms [N, 40000], 2 s at 20 kHz, to logits [N, classes]; 794 words in the study. mode: of the cochleagram.

    Source: Feather et al. (2023), Methods; the authors' code (audio_models/resnet.py). Raises MetamersError where
    torchvision (extra: vision) is missing.
    """

    def __init__(self, classes: int = WORDS, mode: str = "fast") -> None:
        import_torchvision()
        from torchvision.models import resnet50

        resnet: Any = resnet50(weights=None, num_classes=classes)
        resnet.conv1 = nn.Conv2d(1, 64, 7, stride=2, padding=3, bias=False)
        modules: dict[str, nn.Module] = {
            **{"cochleagram": Cochleagram(sample_rate=SAMPLE_RATE, mode=mode), "maps": nn.Unflatten(1, (1, -1))},
            **{name: part for name, part in resnet.named_children() if name != "fc"},
            **{"flatten": nn.Flatten(), "fc": resnet.fc},
        }
        super().__init__(OrderedDict(modules))
