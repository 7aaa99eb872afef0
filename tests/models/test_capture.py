from dataclasses import dataclass
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from metamers.errors import MetamersError
from metamers.models.capture import Site, capture, tensors_in


class Chain(nn.Module):
    """a, then an in-place ReLU, then b; counts how often b runs."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)
        self.n_full = 0

    def forward(self, x: Tensor) -> Tensor:
        y = self.b(F.relu(self.a(x), inplace=True))
        self.n_full += 1
        return y + 1


class Failing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a, self.b = nn.Linear(3, 4), nn.Linear(4, 2)

    def forward(self, x: Tensor) -> Tensor:
        self.a(x)
        raise RuntimeError("broken")


class Swallowing(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.a = nn.Linear(3, 4)

    def forward(self, x: Tensor) -> Tensor:
        try:
            return self.a(x)
        except Exception:
            return x


def n_hooks(network: nn.Module) -> int:
    return sum(len(m._forward_hooks) + len(m._forward_pre_hooks) for m in network.modules())


def test_pass_stops_at_the_deepest_site() -> None:
    network, x = Chain(), torch.randn(5, 3)
    found = capture(network, x, {"a": Site("a")})
    assert network.n_full == 0
    torch.testing.assert_close(found["a"], network.a(x))
    capture(network, x, {"a": Site("a"), "output": Site("")})
    assert network.n_full == 1


def test_activation_before_an_in_place_relu_is_kept_as_it_was() -> None:
    network, x = Chain(), torch.randn(5, 3)
    found = capture(network, x, {"b": Site("b"), "a": Site("a")})
    assert list(found) == ["b", "a"]
    torch.testing.assert_close(found["a"], network.a(x))
    torch.testing.assert_close(found["b"], network.b(network.a(x).relu()))


def test_last_activation_keeps_its_node() -> None:
    network = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    x = torch.randn(5, 3, requires_grad=True)
    found = capture(network, x, {"0": Site("0"), "1": Site("1")})
    assert [t.grad_fn.name() for t in found.values() if t.grad_fn] == ["CloneBackward0", "ReluBackward0"]


@pytest.mark.parametrize("network", [Chain(), Failing()], ids=["whole", "failing"])
@pytest.mark.parametrize("stages", [["a"], ["b"], ["a", "b"]])
def test_no_hook_remains(network: nn.Module, stages: list[str]) -> None:
    sites = {stage: Site(stage) for stage in stages}
    if isinstance(network, Failing) and "b" in stages:
        with pytest.raises(RuntimeError, match="broken"):
            capture(network, torch.randn(5, 3), sites)
    else:
        capture(network, torch.randn(5, 3), sites)
    assert n_hooks(network) == 0


def test_no_hook_remains_after_an_unknown_module() -> None:
    network = Chain()
    with pytest.raises(AttributeError):
        capture(network, torch.randn(5, 3), {"a": Site("a"), "c": Site("c")})
    assert n_hooks(network) == 0


def test_stop_is_not_swallowed_by_a_network_that_catches_exceptions() -> None:
    network, x = Swallowing(), torch.randn(5, 3)
    torch.testing.assert_close(capture(network, x, {"a": Site("a")})["a"], network.a(x))


def test_calls_of_a_module_are_told_apart() -> None:
    layer = nn.Linear(3, 3)
    network, x = nn.Sequential(layer, nn.Tanh(), layer), torch.randn(5, 3)
    found = capture(network, x, {"first": Site("0", 1), "last": Site("0", 2)})
    torch.testing.assert_close(found["first"], layer(x))
    torch.testing.assert_close(found["last"], layer(layer(x).tanh()))


def test_site_that_is_not_reached_is_named() -> None:
    network = Chain()
    with pytest.raises(MetamersError, match="'a@2' was not reached"):
        capture(network, torch.randn(5, 3), {"a@2": Site("a", 2)})
    assert n_hooks(network) == 0


def test_batch_dimension_comes_first() -> None:
    network = nn.Sequential(nn.Flatten(0, 0), nn.Identity())
    found = capture(network, torch.randn(7, 2, 3), {"1": Site("1", 1, (), 1)})
    assert found["1"].shape == (2, 7, 3)


class Pair(NamedTuple):
    left: Tensor
    right: Tensor


@dataclass
class Output:
    logits: Tensor
    hidden: Any = None


def test_tensors_are_found_in_structures() -> None:
    t, whole = torch.rand(2, 3), torch.ones(2, 3, dtype=torch.int64)
    output = {"a": whole, "b": [t, (t,)], "c": Pair(t, t), "d": Output(t), "e": None, 4: t, "scalar": torch.tensor(1.0)}
    paths = [path for path, _ in tensors_in(output)]
    assert paths == [("b", 0), ("b", 1, 0), ("c", "left"), ("c", "right"), ("d", "logits"), (4,)]


def test_fused_transformer_path_is_off_in_a_pass_and_on_after_it() -> None:
    layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True).eval().requires_grad_(False)
    x = torch.randn(2, 5, 8)
    before = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():
        found = capture(layer, x, {"linear1": Site("linear1")})
    assert found["linear1"].shape == (2, 5, 16)
    assert torch.backends.mha.get_fastpath_enabled() == before
