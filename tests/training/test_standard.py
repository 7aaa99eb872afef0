"""Standard training: it learns, repeats itself, and stops on a loss that is not finite."""

from typing import Any

import pytest
import torch
from torch import nn

from metamers.training import TrainingRecipe, accuracy, train_standard


def make_task(n=256):
    """Images whose class is the brighter half."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.randint(2, (n,), generator=generator)
    images = torch.randint(0, 120, (n, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images[labels == 1, :, :4] += 100
    images[labels == 0, :, 4:] += 100
    return images, labels


def make_network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.ReLU(), nn.Dropout(0.1), nn.Linear(16, 2))


def test_it_learns_and_the_same_seed_gives_the_same_weights():
    images, labels = make_task()
    recipe = TrainingRecipe(epochs=3, batch_size=32)
    losses, networks = [], []
    for _ in range(2):
        network = make_network()
        train_standard(network, images, labels, recipe, lambda epoch, loss: losses.append(loss))
        networks.append(network)
    assert accuracy(networks[0], images, labels) > 0.95
    assert losses[2] < losses[0]
    assert losses[:3] == losses[3:]
    a, b = (network.state_dict() for network in networks)
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert not networks[0].training


@pytest.mark.parametrize("option", ["momentum", "momentum_at_peak"])
def test_the_momentum_of_the_recipe_is_used(option):
    images, labels = make_task()
    weights = []
    for value in (0.9, 0.5):
        network = make_network()
        changed: Any = {option: value}
        train_standard(network, images, labels, TrainingRecipe(epochs=1, batch_size=32, **changed))
        weights.append(network[1].weight)
    assert not torch.allclose(*weights)


@pytest.mark.parametrize("value", [torch.nan, torch.inf])
def test_a_loss_that_is_not_finite_stops(value):
    images, labels = make_task()
    network = make_network()
    with torch.no_grad():
        network[4].bias[0] = value
    with pytest.raises(ValueError, match="loss of epoch 1 is not finite"):
        train_standard(network, images, labels, TrainingRecipe(epochs=1, batch_size=32))
