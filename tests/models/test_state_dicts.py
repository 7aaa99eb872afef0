import pickle
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from metamers.errors import MetamersError
from metamers.models.state_dicts import put_weights, randomize, read_weights, weights_hash


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4))


def saved(state: Any, path: Path) -> Path:
    save_file(state, path) if path.suffix == ".safetensors" else torch.save(state, path)
    return path


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt", "w.bin"])
def test_state_dicts_are_read(name: str, tmp_path: Path) -> None:
    state = network().state_dict()
    read = read_weights(saved(state, tmp_path / name))
    assert read.keys() == state.keys()
    assert all(torch.equal(read[key], state[key]) for key in state)


@pytest.mark.parametrize("prefix", ["", "module.", "_orig_mod.", "module._orig_mod."])
@pytest.mark.parametrize("wrapper", [None, "state_dict", "model"])
def test_wrappings_are_taken_off(prefix: str, wrapper: str | None, tmp_path: Path) -> None:
    state = {prefix + key: value for key, value in network().state_dict().items()}
    read = read_weights(saved({wrapper: state, "epoch": 3} if wrapper else state, tmp_path / "w.pt"))
    assert read.keys() == network().state_dict().keys()


class Hostile:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return Path.touch, (Path(f"{Hostile.path}"),)  # type: ignore[return-value]

    path = ""


def test_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    Hostile.path = str(tmp_path / "ran")
    for name, content in (("plain", pickle.dumps(Hostile())), ("zip", None)):
        path = tmp_path / name
        if content is None:
            torch.save({"w": Hostile()}, path)
        else:
            path.write_bytes(content)
        with pytest.raises(MetamersError, match="neither safetensors nor a state dict that loads without running code"):
            read_weights(path)
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("name", ["w.safetensors", "w.pt"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", b"\x80\x05garbage"])
def test_files_that_are_no_weights(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(MetamersError, match="cannot read weights") as caught:
        read_weights(tmp_path / name)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [{"epoch": 3}, [torch.ones(2)], {}, {"state_dict": {"a": 1}}])
def test_files_without_a_state_dict(content: Any, tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match="hold no state dict"):
        read_weights(saved(content, tmp_path / "w.pt"))


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match="no weights file .*none.pt"):
        read_weights(tmp_path / "none.pt")


def change(state: dict[str, Tensor]) -> dict[str, Tensor]:
    del state["0.bias"], state["1.weight"]
    state["0.weight"] = torch.zeros(4, 3, 5, 5)
    return {**state, "a.b": torch.ones(1), **{f"extra{i}": torch.ones(1) for i in range(5)}}


def test_weights_that_do_not_fit_are_named() -> None:
    with pytest.raises(MetamersError) as caught:
        put_weights(network(), change(network().state_dict()), "w.pt")
    assert str(caught.value) == (
        "weights 'w.pt' do not fit Sequential: 2 missing: 0.bias, 1.weight; "
        "6 unexpected: a.b, extra0, extra1, ...; 1 of another shape: 0.weight [4, 3, 5, 5] instead of [4, 3, 3, 3]"
    )


def test_weights_that_do_not_fit_change_nothing() -> None:
    target = network()
    before = weights_hash(target)
    with pytest.raises(MetamersError):
        put_weights(target, change(network().state_dict()), "w.pt")
    assert weights_hash(target) == before


def test_batch_counts_may_be_missing() -> None:
    source, target = network(), network()
    state = {key: value for key, value in source.state_dict().items() if "num_batches" not in key}
    put_weights(target, state, "w.pt")
    assert weights_hash(target) == weights_hash(source)


def test_random_weights_are_the_same_each_time_and_leave_the_state_alone() -> None:
    a, b = network(), network()
    a.get_buffer("1.running_mean").fill_(7)
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    randomize(a)
    assert torch.equal(torch.rand(2), expected)
    randomize(b)
    assert weights_hash(a) == weights_hash(b)
    assert float(a.get_buffer("1.running_mean").max()) == 0


class Own(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(3))


def test_weights_that_cannot_be_drawn_are_named() -> None:
    with pytest.raises(MetamersError, match=r"cannot draw weight '1.scale' at random: Own has no reset_parameters"):
        randomize(nn.Sequential(nn.Linear(2, 2), Own()))


def test_hash_sees_names_types_shapes_buffers_and_values() -> None:
    def hashed(**tensors: Tensor) -> str:
        module = nn.Module()
        for name, tensor in tensors.items():
            module.register_buffer(name, tensor)
        return weights_hash(module)

    zeros = torch.zeros(4)
    hashes = [
        hashed(a=zeros),
        hashed(b=zeros),
        hashed(a=zeros.int()),
        hashed(a=zeros.view(2, 2)),
        hashed(a=zeros + 1),
        hashed(a=zeros, b=torch.tensor(1.0)),
        hashed(a=zeros.bfloat16()),
    ]
    assert len(set(hashes)) == len(hashes)
    assert hashed(a=zeros, b=zeros + 1) == hashed(b=zeros + 1, a=zeros)
    assert hashed(a=torch.arange(6.0).view(2, 3).t()) == hashed(a=torch.arange(6.0).view(2, 3).t().contiguous())
