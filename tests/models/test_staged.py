from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metamers.errors import MetamersError
from metamers.models import StagedModel


def tiny(**options: Any) -> StagedModel:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))
    return StagedModel(network, **{"name": "tiny", "input_size": 4, **options})


def test_input_is_mapped_to_its_range_and_normalized() -> None:
    model = tiny(input_range=(-1, 3), mean=(0.5, 1.0, 1.5), std=(1.0, 2.0, 4.0))
    x = torch.rand(2, 3, 4, 4)
    expected = torch.stack([(4 * x[:, 0] - 1.5), (4 * x[:, 1] - 2) / 2, (4 * x[:, 2] - 2.5) / 4], 1)
    torch.testing.assert_close(model.activations(x, ["input"])["input"], expected)
    torch.testing.assert_close(model.logits(x), model.network(expected))


def test_gradient_is_that_of_the_plain_network() -> None:
    model = tiny(mean=[0.5] * 3, std=[0.25] * 3)
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    (found,) = torch.autograd.grad(model.activations(x, ["1"])["1"].square().sum(), x)
    plain = model.network[:2]((x - 0.5) / 0.25)  # type: ignore[index]
    (expected,) = torch.autograd.grad(plain.square().sum(), x)
    torch.testing.assert_close(found, expected)


def test_batch_equals_single() -> None:
    model, x = tiny(), torch.rand(3, 3, 4, 4)
    for stage, found in model.activations(x, model.resolve(["*"])).items():
        for i in range(3):
            torch.testing.assert_close(model.activations(x[i : i + 1], [stage])[stage], found[i : i + 1])


def test_decision_is_the_greatest_output() -> None:
    model, x = tiny(), torch.rand(6, 3, 4, 4, requires_grad=True)
    assert model.has_decision
    assert torch.equal(model.decide(x), model.network(x).argmax(1))
    assert model.decide(x).dtype == torch.int64
    assert model.logits(x).requires_grad


def test_an_embedding_makes_no_decision_where_it_says_so() -> None:
    embedding = nn.Sequential(nn.Flatten(), nn.Linear(48, 8))
    assert StagedModel(embedding, input_size=4).has_decision
    assert not StagedModel(embedding, input_size=4, decides=False).has_decision


@pytest.mark.parametrize("head", [nn.Identity(), nn.Sequential(nn.Flatten(), nn.Linear(16, 1))])
def test_output_without_classes_makes_no_decision(head: nn.Module) -> None:
    model = StagedModel(nn.Sequential(nn.Conv2d(3, 4, 3), head), name="headless", input_size=4)
    assert not model.has_decision
    with pytest.raises(MetamersError, match="'headless' makes no decision"):
        model.decide(torch.rand(1, 3, 4, 4))


def test_half_precision_gives_float32() -> None:
    model, x = tiny(), torch.rand(2, 3, 4, 4, requires_grad=True)
    found = model.activations(x, ["1", "output"], precision="bfloat16")
    assert {t.dtype for t in found.values()} == {torch.float32}
    torch.testing.assert_close(found["output"], model.logits(x), atol=0.03, rtol=0.03)
    with pytest.raises(MetamersError, match="no precision 'half'; choose float32 or bfloat16"):
        model.activations(x, ["1"], precision="half")
    doubled = StagedModel(nn.Sequential(nn.Flatten(), nn.Linear(12, 2)).double(), input_size=2)
    assert doubled.logits(torch.rand(1, 3, 2, 2)).dtype == torch.float32


def test_channels_last_agrees() -> None:
    model, x = tiny(), torch.rand(2, 3, 4, 4)
    other = model.channels_last()
    assert other.network is not model.network
    assert other.network.get_parameter("0.weight").is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(other.logits(x.contiguous(memory_format=torch.channels_last)), model.logits(x))


class Detaching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.detach() * 2


def test_stage_without_gradient_is_named() -> None:
    model = StagedModel(nn.Sequential(nn.Flatten(), Detaching(), nn.Linear(12, 3)), input_size=2)
    x = torch.rand(1, 3, 2, 2)
    assert not model.logits(x).requires_grad
    with pytest.raises(MetamersError, match="stage '1' .* has no gradient with respect to the input"):
        model.activations(x.requires_grad_(), ["0", "1"])


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (torch.rand(2, 1, 4, 4), r"takes stimuli of shape \[N, 3, H, W\], not \[2, 1, 4, 4\]"),
        (torch.rand(3, 4, 4), r"not \[3, 4, 4\]"),
        (torch.rand(0, 3, 4, 4), r"not \[0, 3, 4, 4\]"),
        (torch.zeros(2, 3, 4, 4, dtype=torch.uint8), r"takes floats in \[0, 1\], not torch.uint8"),
        (torch.rand(2, 3, 5, 5), r"fails on an input of shape \[1, 3, 5, 5\]"),
        (torch.empty(2, 3, 4, 4, device="meta"), "stimuli are on meta, model 'tiny' on cpu"),
    ],
)
def test_stimuli_that_do_not_fit(x: Tensor, message: str) -> None:
    with pytest.raises(MetamersError, match=message):
        tiny().activations(x, ["1"])


def test_no_stage_and_a_glob_are_refused() -> None:
    with pytest.raises(MetamersError, match="no stage of model 'tiny' is asked for"):
        tiny().activations(torch.rand(1, 3, 4, 4), [])
    with pytest.raises(MetamersError, match=r"'\*' is not one stage"):
        tiny().activations(torch.rand(1, 3, 4, 4), ["*"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "smell"}, "kind 'smell' is neither 'image' nor 'sound'"),
        ({"input_range": (1, 0)}, r"input range \(1.0, 0.0\) is not \(low, high\)"),
        ({"channels": 0}, "0 channels"),
        ({"mean": (0.5, 0.5)}, "2 values of mean; give 3, one a channel"),
        ({"std": (1.0, 0.0, 1.0)}, "must be positive"),
        ({"input_size": 0}, "input size 0"),
        ({"input_size": "big"}, "input size 'big'"),
        ({"input_size": 4.5}, "input size 4.5"),
        ({"input_size": (1, 2, 3)}, r"input size \(1, 2, 3\)"),
        ({"device": "gpu"}, "no device 'gpu'"),
    ],
)
def test_descriptions_that_make_no_sense(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MetamersError, match=message):
        tiny(**options)


def test_without_input_size_only_what_needs_none_works() -> None:
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    model = StagedModel(network, name="sizeless")
    assert (model.input_size, model.notes) == (None, ())
    for ask in (lambda: model.stages, model.describe, lambda: model.resolve(["all"]), lambda: model.has_decision):
        with pytest.raises(MetamersError, match="'sizeless' does not say its input size; give it with --input-size"):
            ask()
    sized = model.with_input_size((6, 8))
    assert (sized.input_size, model.input_size) == ((6, 8), None)
    assert sized.describe()[1].shape == (4, 4, 6)
    assert model.activations(torch.rand(2, 3, 9, 9), ["0"])["0"].shape == (2, 4, 7, 7)
    assert model.describe()[1].shape == (4, 7, 7)


def test_weights_hash_is_that_of_the_weights() -> None:
    model = tiny()
    same, other = tiny(), tiny()
    same.network.load_state_dict(model.network.state_dict())
    assert model.weights_hash() == same.weights_hash() == model.channels_last().weights_hash()
    assert model.weights_hash() != other.weights_hash()
    assert len(model.weights_hash()) == 64


def test_sound_goes_in_as_it_is() -> None:
    network = nn.Sequential(nn.Unflatten(1, (1, 16)), nn.Conv1d(1, 4, 5), nn.Flatten(), nn.Linear(48, 3))
    model = StagedModel(network, kind="sound", sample_rate=16, input_size=16)
    assert (model.input_size, model.sample_rate) == ((1, 16), 16)
    x = torch.rand(2, 16) - 0.5
    assert torch.equal(model.activations(x, ["input"])["input"], x)
    assert [i.shape for i in model.describe()] == [(16,), (1, 16), (4, 12), (48,), (3,), (3,)]
    assert model.decide(x).shape == (2,)


def test_sound_is_mapped_and_normalized() -> None:
    model = StagedModel(nn.Linear(16, 3), kind="sound", input_size=16, input_range=(0, 2), mean=[0.5], std=[4.0])
    x = torch.rand(2, 16) - 0.5
    torch.testing.assert_close(model.activations(x, ["input"])["input"], (x + 1 - 0.5) / 4)
    assert model.decide(x).shape == (2,)
    with pytest.raises(MetamersError, match="3 values of mean; give 1"):
        StagedModel(nn.Linear(16, 3), kind="sound", input_size=16, mean=[0.5] * 3)


def test_to_the_same_device_is_the_same_model() -> None:
    model = tiny()
    assert model.to("cpu") is model
    with pytest.raises(MetamersError, match="no device 'cpo'; did you mean 'cpu'"):
        model.to("cpo")


def test_repr_names_it() -> None:
    assert repr(tiny()) == "StagedModel('tiny', input_size=(4, 4), device='cpu')"
