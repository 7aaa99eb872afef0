import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.errors import MetamersError
from metamers.models import StagedModel


class Dropping(nn.Module):
    """Drops activations in evaluation mode too."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(12, 40), nn.Linear(40, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.b(F.dropout(self.a(x.flatten(1)), 0.5, training=True)))


class BatchMean(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x - x.mean(0)


class First(nn.Module):
    """Leaves the first stimulus of a batch as it is and gives something of it to the others."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([x[:1], x[1:] + x[:1]])


class Drifting(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.n = 0

    def forward(self, x: Tensor) -> Tensor:
        self.n += 1
        return x.flatten(1) + self.n


def staged(network: nn.Module) -> StagedModel:
    return StagedModel(network, name="tested", input_size=2)


def test_random_numbers_are_the_same_for_every_stimulus_batch_and_call() -> None:
    model, x = staged(Dropping()), torch.rand(1, 3, 2, 2).repeat(4, 1, 1, 1)
    found = model.activations(x, ["output"])["output"]
    torch.testing.assert_close(found, found[:1].repeat(4, 1))
    torch.testing.assert_close(model.activations(x[:2], ["output"])["output"], found[:2])
    assert model.notes == (
        "draws random numbers: each stimulus runs alone under one fixed seed, with equal noise in every pass",
    )


def test_random_state_of_the_caller_is_left_alone() -> None:
    model = staged(Dropping())
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    model.logits(torch.full((2, 3, 2, 2), 0.5))
    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("coupling", [BatchMean(), First()])
def test_stimuli_that_would_mix_run_alone(coupling: nn.Module) -> None:
    model = staged(nn.Sequential(nn.Flatten(), coupling, nn.Linear(12, 3)))
    x = torch.rand(4, 3, 2, 2)
    found = model.logits(x)
    torch.testing.assert_close(found, torch.cat([model.logits(row[None]) for row in x]))
    assert model.notes == ("mixes the stimuli of a batch: each stimulus runs alone",)


class Turned(nn.Module):
    """Holds the stimuli in the second dim, as transformers do that put the tokens first."""

    def __init__(self) -> None:
        super().__init__()
        self.turn = nn.Conv2d(3, 64, 1)
        self.layer, self.head = nn.Linear(64, 64), nn.Linear(64, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.head(self.layer(self.turn(x).flatten(2).permute(2, 0, 1)).mean(0)))


def test_stimuli_in_the_second_dim_run_together() -> None:
    model = StagedModel(Turned(), input_size=8)
    assert model.activations(torch.rand(3, 3, 8, 8), ["layer"])["layer"].shape == (3, 64, 64)
    assert model.notes == ()


def test_batch_norm_runs_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.BatchNorm2d(3), nn.Flatten(), nn.Dropout(0.9), nn.Linear(12, 3)).train()
    model = staged(network)
    assert model.notes == ()
    x = torch.rand(4, 3, 2, 2)
    torch.testing.assert_close(model.logits(x)[:1], model.logits(x[:1]))


def test_randomness_that_no_seed_fixes_is_refused() -> None:
    with pytest.raises(MetamersError, match="'tested' gives other activations in each pass"):
        _ = staged(Drifting()).stages


class Fixed(nn.Module):
    def __init__(self, output: Tensor | None) -> None:
        super().__init__()
        self.output_value = output

    def forward(self, x: Tensor) -> Tensor | None:
        return self.output_value


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (nn.Sequential(nn.Flatten(0), nn.Linear(12, 3)), "fails on an input"),
        (Fixed(torch.rand(10)), r"output of shape \[10\] for 2 stimuli, without a batch dimension"),
        (Fixed(torch.rand(2, 10)), r"output of shape \[2, 10\] for 2 stimuli, without a batch dimension"),
        (Fixed(torch.tensor(1.0)), "returns no floating-point tensor"),
        (Fixed(None), "returns no floating-point tensor"),
        (nn.Linear(5, 5), r"fails on an input of shape \[1, 3, 2, 2\] \(RuntimeError: .*--input-size"),
        (nn.LazyConv2d(4, 1), "weight 'weight' has no values yet"),
    ],
)
def test_networks_that_cannot_be_studied(network: nn.Module, message: str) -> None:
    with pytest.raises(MetamersError, match=message) as caught:
        _ = staged(network).stages
    assert "tested" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_weights_that_are_not_finite_are_named() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    network.get_parameter("0.weight").data[1, 1] = torch.inf
    with pytest.raises(MetamersError, match="weight '0.weight' holds NaN or infinite values"):
        _ = staged(network).stages
    network = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4))
    network.get_buffer("1.running_mean")[0] = torch.nan
    with pytest.raises(MetamersError, match="buffer '1.running_mean'"):
        _ = staged(network).stages


class Log(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 2).log()


def test_activations_that_are_not_finite_are_named() -> None:
    with pytest.raises(MetamersError, match="infinite activations, first at stage '1'"):
        _ = staged(nn.Sequential(nn.Flatten(), Log(), nn.Linear(12, 3))).stages


class Masked(nn.Module):
    """Has -inf in a mask and inside, and a finite output."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mask", torch.tensor([0.0, -torch.inf]))
        self.inside = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.inside(x.flatten(1)[:, :2] + self.get_buffer("mask"))).softmax(1)


def test_masks_may_be_infinite() -> None:
    assert [i.name for i in staged(Masked()).describe()] == ["input", "inside", "output"]


def test_network_that_works_in_place_leaves_the_stimuli_as_they_are() -> None:
    model = staged(nn.Sequential(nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(12, 3)))
    x = torch.rand(2, 3, 2, 2, requires_grad=True)
    before = x.detach().clone()
    found = model.activations(x - 0.5, ["input", "1"])
    torch.testing.assert_close(found["input"], before - 0.5)
    model.activations(x, ["1"])["1"].sum().backward()
    assert torch.equal(x.detach(), before)
    assert x.grad is not None
