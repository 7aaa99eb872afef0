from typing import Any

import pytest
import torch
from torch import Tensor, nn

from metamers.errors import MetamersError
from metamers.models import StagedModel


class Twice(nn.Module):
    """One layer called twice; a part that gives a tuple; an output that is a dictionary."""

    def __init__(self) -> None:
        super().__init__()
        self.layer, self.act, self.both = nn.Linear(4, 4), nn.ReLU(), Both()
        self.unused = nn.Linear(4, 4)

    def forward(self, x: Tensor) -> dict[str, Any]:
        x = self.layer(self.act(self.layer(x.flatten(1))))
        a, _ = self.both(x)
        return {"n": 3, "features": a, "logits": a[:, :3]}


class Both(nn.Module):
    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x + 1, x.mean(1)


class Frames(nn.Module):
    """Its modules have the names of the frames."""

    def __init__(self) -> None:
        super().__init__()
        self.input, self.output = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, x: Tensor) -> Tensor:
        return 2 * torch.as_tensor(self.output(self.input(x.flatten(1))))


class Positions(nn.Module):
    """Gives a tensor without stimuli, and one whose stimuli come second."""

    def __init__(self) -> None:
        super().__init__()
        self.table, self.turn, self.layer = Table(), Turn(), nn.Linear(2, 3)

    def forward(self, x: Tensor) -> Tensor:
        return torch.as_tensor(self.layer(self.turn(x[:, 0] + self.table())).mean(0))


class Table(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.values = nn.Parameter(torch.rand(2, 2))

    def forward(self) -> Tensor:
        return self.values * 2


class Turn(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x.transpose(0, 1)


def staged(network: nn.Module, **options: Any) -> StagedModel:
    return StagedModel(network, **{"input_size": 2, "channels": 1, **options})


def test_stages_are_listed_in_order_of_execution() -> None:
    listed = staged(Twice()).describe()
    assert [(i.name, i.shape, i.module, i.same_as) for i in listed] == [
        ("input", (1, 2, 2), "", ""),
        ("layer@1", (4,), "Linear", ""),
        ("act", (4,), "ReLU", ""),
        ("layer@2", (4,), "Linear", ""),
        ("layer", (4,), "Linear", "layer@2"),
        ("both[0]", (4,), "Both", ""),
        ("both", (4,), "Both", "both[0]"),
        ("both[1]", (), "Both", ""),
        ("output[features]", (4,), "Twice", ""),
        ("output", (3,), "Twice", ""),
    ]


def test_activations_by_every_kind_of_name() -> None:
    model, x = staged(Twice()), torch.rand(3, 1, 2, 2)
    network = model.network
    assert isinstance(network, Twice)
    first = network.layer(x.flatten(1))
    last = network.layer(first.relu())
    expected = {
        **{"input": x, "layer@1": first, "act": first.relu(), "act@1": first.relu(), "layer@2": last, "layer": last},
        **{"both": last + 1, "both[0]": last + 1, "both[1]": last.mean(1)},
        **{"output[features]": last + 1, "output[logits]": last[:, :3] + 1, "output": last[:, :3] + 1},
    }
    found = model.activations(x, list(expected))
    assert list(found) == list(expected)
    for name, value in expected.items():
        torch.testing.assert_close(found[name], value, msg=name)
        torch.testing.assert_close(model.activations(x, [name])[name], value, msg=name)


def test_cost_share_is_that_of_the_multiplications() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2), nn.ReLU(), nn.Linear(2, 12))
    shares = {i.name: i.cost_share for i in staged(network).describe()}
    assert shares == pytest.approx({"input": 0, "0": 0, "1": 0.25, "2": 0.25, "3": 1, "output": 1})


def test_cost_share_without_multiplications_is_that_of_the_calls() -> None:
    shares = [i.cost_share for i in staged(nn.Sequential(nn.Flatten(), nn.ReLU(), nn.Tanh())).describe()]
    assert shares == pytest.approx([0, 0.25, 0.5, 0.75, 1])


def test_resolve_gives_names_in_order_each_once() -> None:
    model = staged(Twice())
    assert model.resolve(["output", "layer", "input", "layer"]) == ("input", "layer", "output")
    assert model.resolve(["all"]) == model.stages
    assert model.resolve(["layer@?", "both[[]*"][:1]) == ("layer@1", "layer@2")
    assert model.resolve(["both[*"]) == ("both[0]", "both[1]")
    every = ("input", "layer@1", "act", "layer@2", "both[0]", "both[1]", "output[features]", "output")
    assert model.resolve(["*"]) == every
    assert model.resolve("act") == ("act",)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("layr", "has no stage 'layr'; did you mean 'layer'"),
        ("layer@3", "has no stage 'layer@3'; did you mean"),
        ("x*", "has no stage 'x\\*'; `metamers stages MODEL` lists them"),
        ("unused", "has no stage 'unused'"),
        ("", "has no stage ''"),
    ],
)
def test_unknown_stage_shows_the_nearest(pattern: str, message: str) -> None:
    model = staged(Twice(), name="twice")
    with pytest.raises(MetamersError, match=message) as caught:
        model.resolve([pattern])
    assert "\n" not in str(caught.value)
    with pytest.raises(MetamersError, match="'twice'"):
        model.activations(torch.rand(1, 1, 2, 2), [pattern])


def test_modules_named_like_the_frames_have_a_number() -> None:
    model, x = staged(Frames()), torch.rand(2, 1, 2, 2)
    assert [i.name for i in model.describe()] == ["input", "input@1", "output@1", "output"]
    found = model.activations(x, ["input", "input@1", "output@1", "output"])
    torch.testing.assert_close(found["input"], x)
    torch.testing.assert_close(2 * found["output@1"], found["output"])


def test_stimuli_may_come_second_but_must_come() -> None:
    model = staged(Positions())
    assert {i.name: i.shape for i in model.describe()} == {
        **{"input": (1, 2, 2), "turn": (2, 2), "layer": (2, 3), "output": (3,)}
    }
    assert model.activations(torch.rand(5, 1, 2, 2), ["turn"])["turn"].shape == (5, 2, 2)
    with pytest.raises(MetamersError, match=r"'table' .* cannot be matched .*\[2, 2\] for 2 stimuli"):
        model.resolve(["table"])


def test_own_default_stages() -> None:
    model = staged(Twice(), stages=["output", "layer@*"])
    assert model.stages == ("layer@1", "layer@2", "output")
    assert [i.name for i in model.describe() if i.default] == ["layer@1", "layer@2", "output"]
    assert model.with_stages("act").stages == ("act",)
    with pytest.raises(MetamersError, match="no stage 'actt'; did you mean 'act'"):
        _ = model.with_stages("actt").stages
