"""CochCNN9: a convolutional network over a cochleagram."""

from collections import OrderedDict

from torch import nn

from metamers.models.cochleagram import Cochleagram
from metamers.models.same_padding import SameAvgPool2d, SameConv2d, SameMaxPool2d

STAGES = ("cochleagram", *(f"relu{i}" for i in range(5)), "avgpool", "relufc", "output")
SAMPLE_RATE, N_SAMPLES, WORDS = 20_000, 40_000, 794


class CochCNN9(nn.Sequential):
    """The network of Kell et al. (2018, Neuron 98) as trained by Feather et al. (2023).

    Waveforms [N, 40000], 2 s at 20 kHz, to logits [N, classes]; 794 words there. Kernels are frequency x time.
    mode: of the cochleagram.

    Source: Feather et al. (2023), Methods; sizes and paddings from the authors' code (audio_models/kell2018.py).
    """

    def __init__(self, classes: int = WORDS, mode: str = "fast") -> None:
        modules: dict[str, nn.Module] = {
            **{"cochleagram": Cochleagram(sample_rate=SAMPLE_RATE, mode=mode), "maps": nn.Unflatten(1, (1, -1))},
            **{"batchnorm0": nn.BatchNorm2d(1), **_conv(0, 1, 96, (7, 14), (3, 3)), "maxpool0": _maxpool()},
            **{"batchnorm1": nn.BatchNorm2d(96), **_conv(1, 96, 256, (4, 8), (2, 2)), "maxpool1": _maxpool()},
            **{"batchnorm2": nn.BatchNorm2d(256), **_conv(2, 256, 512, (2, 5))},
            **_conv(3, 512, 1024, (2, 5)),
            **_conv(4, 1024, 512, (2, 5)),
            **{"avgpool": SameAvgPool2d((2, 5), (2, 2)), "flatten": nn.Flatten()},
            **{"fc": nn.Linear(512 * 5 * 9, 4096), "relufc": nn.ReLU(), "dropout": nn.Dropout(0.5)},
            "classifier": nn.Linear(4096, classes),
        }
        super().__init__(OrderedDict(modules))


def _conv(
    i: int, inputs: int, outputs: int, kernel: tuple[int, int], stride: tuple[int, int] = (1, 1)
) -> dict[str, nn.Module]:
    return {f"conv{i}": SameConv2d(inputs, outputs, kernel, stride, bias=False), f"relu{i}": nn.ReLU()}


def _maxpool() -> SameMaxPool2d:
    return SameMaxPool2d((2, 5), (2, 2))
