"""The identity gradient through the ReLU that a stage ends in."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from metamers.models import StagedModel
from metamers.synthesis.relu import pass_gradient_through_relu

X = torch.linspace(-1, 1, 8).view(1, 8)


def gradient_through(function, n_found):
    x = X.clone().requires_grad_()
    y = function(x * 2)
    assert pass_gradient_through_relu([y]) == n_found
    y.sum().backward()
    return x.grad


@pytest.mark.parametrize(
    "function",
    [F.relu, torch.relu, nn.ReLU(), nn.ReLU(inplace=True), F.relu_, lambda x: F.relu(x).clone(), torch.Tensor.relu],
    ids=["F.relu", "torch.relu", "module", "in place", "F.relu_", "cloned", "method"],
)
def test_a_relu_passes_all_of_the_gradient(function):
    assert torch.equal(gradient_through(function, 1), torch.full((1, 8), 2.0))


@pytest.mark.parametrize(
    "function",
    [lambda x: F.relu(x) * 1, F.gelu, F.relu6, lambda x: x, lambda x: F.max_pool1d(F.relu(x), 1)],
    ids=["relu then times", "gelu", "relu6", "none", "relu then pool"],
)
def test_what_does_not_end_in_a_relu_is_left_as_it_is(function):
    x = X.clone().requires_grad_()
    function(x * 2).sum().backward()
    assert x.grad is not None
    assert torch.equal(gradient_through(function, 0), x.grad)


def test_an_earlier_relu_keeps_its_gradient():
    gradient = gradient_through(lambda x: F.relu(F.relu(x) - 0.5), 1)
    assert torch.equal(gradient, 2.0 * (X > 0))


def test_the_values_stay_as_they_are():
    x = X.clone().requires_grad_()
    y = F.relu(x)
    pass_gradient_through_relu([y])
    assert torch.equal(y, F.relu(X))


def test_a_leaf_has_none():
    assert pass_gradient_through_relu([X.clone().requires_grad_()]) == 0


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("inplace", [False, True])
def test_it_is_found_in_the_activations_of_a_model(precision, inplace):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace), nn.Conv2d(4, 4, 3), nn.ReLU(inplace))
    model = StagedModel(network, input_size=8)
    x = torch.rand(2, 3, 8, 8).requires_grad_()
    activations = model.activations(x, ["1", "2", "3"], precision)
    assert pass_gradient_through_relu(activations.values()) == 2
    (gradient,) = torch.autograd.grad(activations["1"].sum(), x)
    (expected,) = torch.autograd.grad(network[0](x).sum(), x)
    assert torch.allclose(gradient, expected, atol=0.02)


def test_a_deeper_stage_keeps_its_gradient_through_the_relu_of_an_earlier_one():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 4, 3), nn.ReLU())
    model = StagedModel(network, input_size=8)
    x = torch.rand(2, 3, 8, 8).requires_grad_()
    (early,) = torch.autograd.grad(network[0](x).sum(), x)
    (late,) = torch.autograd.grad(network[:3](x).sum(), x)
    for wanted, expected in ((["1", "3"], early + late), (["3"], late), (["1"], early)):
        activations = model.activations(x, ["1", "3"])
        assert pass_gradient_through_relu(activations.values()) == 2
        (gradient,) = torch.autograd.grad([activations[stage].sum() for stage in wanted], x)
        assert torch.allclose(gradient, expected, atol=1e-5)


def test_it_is_found_where_stimuli_run_one_at_a_time():
    class Mixing(nn.Module):
        def __init__(self):
            super().__init__()
            self.relu = nn.ReLU()

        def forward(self, x):
            return self.relu(x - x.mean())

    model = StagedModel(Mixing(), input_size=4)
    x = torch.rand(3, 3, 4, 4).requires_grad_()
    activations = model.activations(x, ["relu"])
    assert pass_gradient_through_relu(activations.values()) == 1
    (gradient,) = torch.autograd.grad((activations["relu"] * x.detach()).sum(), x)
    centered = x.detach() - x.detach().mean((1, 2, 3), keepdim=True)
    assert torch.allclose(gradient, centered, atol=1e-5)
