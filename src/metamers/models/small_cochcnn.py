"""A small sister of CochCNN9, for short clips."""

from collections import OrderedDict

from torch import nn

from metamers.models.cochleagram import Cochleagram

SAMPLE_RATE, N_SAMPLES, WORDS = 16_000, 16_000, 24
STAGES = ("cochleagram", *(f"relu{i}" for i in range(4)), "avgpool", "relufc", "output")


def small_cochleagram() -> Cochleagram:
    """63 filters at 100 frames a second: [N, 16000], 1 s at 16 kHz, to [N, 63, 90]."""
    return Cochleagram(sample_rate=SAMPLE_RATE, n_filters=29, overlap=2, frame_rate=100)


class SmallCochCNN(nn.Sequential):
    """Four convolutions and two fully connected layers over a cochleagram of 63 filters.

    Waveforms [N, 16000], 1 s at 16 kHz, to logits [N, classes]. Kernels are frequency x time.
    """

    def __init__(self, classes: int = WORDS) -> None:
        modules: dict[str, nn.Module] = {
            **{"cochleagram": small_cochleagram(), "maps": nn.Unflatten(1, (1, -1)), "batchnorm0": nn.BatchNorm2d(1)},
            **{"conv0": nn.Conv2d(1, 24, (5, 7), 2, padding=(2, 3), bias=False), "relu0": nn.ReLU()},
            **{"maxpool0": nn.MaxPool2d(2), "batchnorm1": nn.BatchNorm2d(24)},
            **{"conv1": nn.Conv2d(24, 48, (3, 5), padding=(1, 2), bias=False), "relu1": nn.ReLU()},
            **{"maxpool1": nn.MaxPool2d(2), "batchnorm2": nn.BatchNorm2d(48)},
            **{"conv2": nn.Conv2d(48, 64, 3, padding=1, bias=False), "relu2": nn.ReLU()},
            **{"batchnorm3": nn.BatchNorm2d(64), "conv3": nn.Conv2d(64, 64, 3, padding=1, bias=False)},
            **{"relu3": nn.ReLU(), "avgpool": nn.AvgPool2d(2), "flatten": nn.Flatten()},
            **{"fc": nn.Linear(64 * 4 * 5, 128), "relufc": nn.ReLU(), "dropout": nn.Dropout(0.3)},
            "classifier": nn.Linear(128, classes),
        }
        super().__init__(OrderedDict(modules))
