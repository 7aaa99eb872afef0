"""A network in the manner of AlexNet for small images."""

from torch import Tensor, nn

MIDDLE, SPREAD = 0.5, 0.2
"""What values are taken to vary by; without batch normalization, images of low contrast would not be learned."""


class SmallAlexNet(nn.Module):
    """Four convolutions and two fully connected layers (after Krizhevsky et al., 2012), without normalization layers.

    [N, 3, 64, 64] in [0, 1] to logits [N, classes]; 13 million multiply-adds an image.
    """

    def __init__(self, classes: int = 16) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 24, 5, 2, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(24, 48, 5, padding=2),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(48, 64, 3, padding=1),
            nn.ReLU(),
            nn.Conv2d(64, 64, 3, padding=1),
            nn.ReLU(),
            nn.MaxPool2d(2),
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Dropout(0.3),
            nn.Linear(64 * 4 * 4, 128),
            nn.ReLU(),
            nn.Linear(128, classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Images to logits."""
        logits: Tensor = self.classifier(self.features((x - MIDDLE) / SPREAD))
        return logits
