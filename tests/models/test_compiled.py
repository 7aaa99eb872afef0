from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.models import StagedModel


@pytest.fixture
def runs(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Which modules ran compiled; the compiler itself, which takes minutes, is left out."""
    ran: list[str] = []

    def compile(forward: Any) -> Callable[..., Any]:
        def run(*args: Any) -> Any:
            ran.append(str(len(list(forward.__self__.children()))))
            return forward(*args)

        return run

    monkeypatch.setattr(torch, "compile", compile)
    return ran


def model() -> StagedModel:
    def block(n: int) -> nn.Sequential:
        return nn.Sequential(*(nn.Conv2d(3, 3, 1) for _ in range(n)), nn.ReLU())

    network = nn.Sequential(block(1), block(2), block(3), nn.Conv2d(3, 3, 1), nn.Flatten(), nn.Linear(12, 2))
    return StagedModel(network, input_size=2)


@pytest.mark.parametrize(
    ("stages", "expected"),
    [
        (["output"], "234"),
        (["2"], "23"),
        (["1"], "2"),
        (["1.0"], "2"),
        (["0", "2.1"], "3"),
        (["3"], "234"),
        (["0"], ""),
    ],
)
def test_regions_run_compiled_unless_read(runs: list[str], stages: list[str], expected: str) -> None:
    plain = model()
    compiled, x = plain.compiled(), torch.rand(3, 3, 2, 2, requires_grad=True)
    found = compiled.activations(x, stages)
    assert "".join(runs) == expected
    for stage, activation in plain.activations(x, stages).items():
        torch.testing.assert_close(found[stage], activation)


def test_relu_of_the_stage_is_seen(runs: list[str]) -> None:
    found = model().compiled().activations(torch.rand(1, 3, 2, 2, requires_grad=True), ["2"])["2"]
    assert found.grad_fn is not None
    assert found.grad_fn.name() == "ReluBackward0"


def test_plain_model_and_weights_stay(runs: list[str]) -> None:
    plain = model()
    compiled = plain.compiled()
    plain.logits(torch.rand(1, 3, 2, 2))
    assert not runs
    assert compiled.weights_hash() == plain.weights_hash()
    assert compiled.with_input_size(2).stages == plain.stages
    assert not runs
    with pytest.raises(MetamersError, match=r"is compiled; call channels_last\(\) before compiled\(\)"):
        compiled.channels_last()
