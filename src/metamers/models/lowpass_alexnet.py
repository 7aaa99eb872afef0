"""LowPassAlexNet: AlexNet that pools without aliasing."""

from collections import OrderedDict

from torch import nn

from metamers.models.alexnet_head import alexnet_head
from metamers.models.hann_pool import HannPool2d
from metamers.models.normalize import ImageNetNormalize

STAGES = ("relu0", "relu1", "relu2", "relu3", "relu4", "fc0_relu", "fc1_relu", "output")


class LowPassAlexNet(nn.Sequential):
    """AlexNet whose strided convolution and max pooling are replaced by pooling under Hann windows.

    RGB in [0, 1], [N, 3, 224, 224], to logits [N, classes]. 61,100,840 weights for 1000 classes, as AlexNet has.

    Source: Feather et al. (2023), Methods; sizes, strides and paddings from the authors' code
    (robustness/imagenet_models/alexnet_reduced_aliasing.py).
    """

    def __init__(self, classes: int = 1000) -> None:
        modules: dict[str, nn.Module] = {
            "normalize": ImageNetNormalize(),
            **{"conv0": nn.Conv2d(3, 64, 11, padding=5), "conv0_relu": nn.ReLU(), "conv0_pool": HannPool2d(17, 4, 5)},
            **{"relu0": nn.ReLU(), "pool0": HannPool2d(9, 2, 2)},
            **{"conv1": nn.Conv2d(64, 192, 5, padding=2), "relu1": nn.ReLU(), "pool1": HannPool2d(9, 2, 2)},
            **{"conv2": nn.Conv2d(192, 384, 3, padding=1), "relu2": nn.ReLU()},
            **{"conv3": nn.Conv2d(384, 256, 3, padding=1), "relu3": nn.ReLU()},
            **{"conv4": nn.Conv2d(256, 256, 3, padding=1), "relu4": nn.ReLU(), "pool2": HannPool2d(9, 2, 2)},
            "avgpool": nn.AdaptiveAvgPool2d(6),
            **alexnet_head(256 * 6 * 6, classes),
        }
        super().__init__(OrderedDict(modules))
