"""A network in the manner of VGG for small images."""

from torch import Tensor, nn

WIDTHS = (12, 24, 48, 96)


class SmallVGG(nn.Module):
    """Four pairs of 3 x 3 convolutions, each pair followed by max pooling, and two fully connected layers.

    [N, 3, 64, 64] to logits [N, classes]; 30 million multiply-adds an image. After Simonyan & Zisserman (2015,
    arXiv:1409.1556), configuration B, with batch normalization.
    """

    def __init__(self, classes: int = 16) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inputs, outputs in zip((3, *WIDTHS), WIDTHS, strict=False):
            for width in (inputs, outputs):
                convolution = nn.Conv2d(width, outputs, 3, padding=1, bias=False)
                layers += [convolution, nn.BatchNorm2d(outputs), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(WIDTHS[-1] * 4 * 4, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.classifier(self.features(x))
        return logits
