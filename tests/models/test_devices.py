import pytest
import torch

from metamers.errors import MetamersError
from metamers.models.devices import parse_device


def test_cpu_is_always_there() -> None:
    assert parse_device("cpu") == parse_device(torch.device("cpu")) == parse_device("cpu:0") == torch.device("cpu")


@pytest.mark.parametrize("name", ["gpu", "cuda:x", "cuda:-1", "", "CPU", "cuda0"])
def test_unknown_device(name: str) -> None:
    with pytest.raises(MetamersError, match="no device .* choose cpu, cuda, cuda:N or mps"):
        parse_device(name)


def test_devices_that_are_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(MetamersError, match="device 'cuda' is not available: PyTorch sees no CUDA GPU here"):
        parse_device("cuda")
    with pytest.raises(MetamersError, match="device 'mps' is not available here; choose cpu"):
        parse_device("mps")


def test_devices_by_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    assert parse_device("cuda:1") == torch.device("cuda:1")
    assert parse_device("mps").type == "mps"
    with pytest.raises(MetamersError, match="this machine has cuda:0 to cuda:1"):
        parse_device("cuda:2")
