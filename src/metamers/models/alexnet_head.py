"""The fully connected layers of AlexNet."""

from torch import nn


def alexnet_head(inputs: int, classes: int) -> dict[str, nn.Module]:
    """Modules by name, in order: two layers of 4096 units with dropout before and a ReLU behind each, then the classes.

    Source: torchvision's AlexNet (Krizhevsky, 2014, arXiv:1404.5997); stages are named as in Feather et al. (2023).
    """
    return {
        "flatten": nn.Flatten(),
        **{"dropout0": nn.Dropout(), "fc0": nn.Linear(inputs, 4096), "fc0_relu": nn.ReLU()},
        **{"dropout1": nn.Dropout(), "fc1": nn.Linear(4096, 4096), "fc1_relu": nn.ReLU()},
        "fc2": nn.Linear(4096, classes),
    }
