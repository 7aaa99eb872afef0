from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from metamers.errors import MetamersError
from metamers.models import SOURCES, StagedModel, load_model
from metamers.models.small_resnet import SmallResNet


def network() -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 5))


def test_module_is_copied_and_stays_as_it_is() -> None:
    own = network().train()
    model = load_model(own, input_size=4, input_range=(-1, 1))
    assert model.network is not own
    assert own.training
    assert all(p.requires_grad for p in own.parameters())
    assert (model.name, model.spec, model.input_range, model.stages) == (
        *("Sequential", None, (-1.0, 1.0), ("0", "1", "output")),
    )
    x = torch.rand(2, 3, 4, 4)
    torch.testing.assert_close(model.logits(x), own.eval()(2 * x - 1))


class Uncopyable(nn.Linear):
    def __deepcopy__(self, memo: Any) -> Any:
        raise TypeError("no")


def test_module_that_cannot_be_copied_is_used_in_place_and_said() -> None:
    own = nn.Sequential(nn.Flatten(), Uncopyable(12, 2))
    model = load_model(own, input_size=2)
    assert model.network is own
    assert model.notes == ("could not be copied: used in place, in evaluation mode and frozen",)


def test_parallel_wrapper_is_taken_off() -> None:
    assert "0" in load_model(nn.DataParallel(network()), input_size=4).resolve(["*"])


def test_stages_and_size_of_ones_own() -> None:
    model = load_model(network(), stages=["1", "output"], input_size=(4, 4))
    assert model.stages == ("1", "output")
    assert load_model(model, stages="0").stages == ("0",)


def test_weights_of_a_module(tmp_path: Path) -> None:
    source = network()
    save_file(source.state_dict(), tmp_path / "trained.safetensors")
    model = load_model(network(), weights=tmp_path / "trained.safetensors", input_size=4)
    assert model.weights_hash() == load_model(source).weights_hash()
    assert (model.name, model.weights) == ("Sequential?weights=trained", str(tmp_path / "trained.safetensors"))
    (tmp_path / "mine").mkdir()
    save_file(source.state_dict(), tmp_path / "mine" / "model.safetensors")  # as trainings name it
    assert load_model(network(), weights=tmp_path / "mine" / "model.safetensors").name == "Sequential?weights=mine"


def test_random_weights_are_said_and_repeat() -> None:
    models = [load_model(network(), weights="random", input_size=4) for _ in range(2)]
    assert models[0].weights_hash() == models[1].weights_hash()
    assert models[0].notes == ("weights are random (seed 0)",)
    assert models[0].name == "Sequential?weights=random"


def test_a_staged_model_that_is_given_other_weights_stays_as_it_is() -> None:
    given = StagedModel(network(), name="own", input_size=4)
    before, weight = given.weights_hash(), given.network.get_parameter("0.weight").clone()
    changed = load_model(given, weights="random")
    assert torch.equal(given.network.get_parameter("0.weight"), weight)
    assert (given.name, given.weights, given.weights_hash()) == ("own", None, before)
    assert (changed.name, changed.weights) == ("own?weights=random", "random")
    assert changed.weights_hash() == load_model(given.network, weights="random").weights_hash() != before
    assert load_model(changed).weights == "random"


def test_architectures_of_this_package(tmp_path: Path) -> None:
    model = load_model("builtin:small-resnet")
    assert model.notes == ("weights are random (seed 0)",)
    assert model.weights_hash() == load_model("builtin:small-resnet", weights="random").weights_hash()
    assert (model.spec, model.input_size, len(model.classes)) == ("builtin:small-resnet", (64, 64), 16)
    trained = SmallResNet()
    torch.save({"state_dict": trained.state_dict()}, tmp_path / "w.pt")
    loaded = load_model("builtin:small-resnet", weights=tmp_path / "w.pt")
    assert loaded.notes == ()
    assert loaded.weights_hash() == load_model(trained).weights_hash()


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("builtin:small-resnt", "no architecture 'small-resnt'.*did you mean 'small-resnet'"),
        ("bundled:picto-resnett", "no bundled model 'picto-resnett'.*did you mean 'picto-resnet'"),
        ("torchvison:resnet18", "no model 'torchvison:resnet18'; did you mean 'torchvision'"),
        ("resnet50", "no model 'resnet50'; a model is one of torchvision:NAME, timm:NAME"),
        ("timm:", "model 'timm:' names none; write timm:NAME"),
        ("", "no model ''"),
        ("none.py:load", "no Python file 'none.py'"),
        ("none.py", "names no function"),
    ],
)
def test_unknown_models(spec: str, message: str) -> None:
    with pytest.raises(MetamersError, match=message) as caught:
        load_model(spec)
    assert "\n" not in str(caught.value)


def test_device_is_checked_before_anything_is_loaded() -> None:
    with pytest.raises(MetamersError, match="no device 'gpu'"):
        load_model("none.py:load", device="gpu")


def test_description_of_a_model_that_has_its_own_is_refused() -> None:
    with pytest.raises(MetamersError, match="'builtin:small-resnet' has its own input_range; leave it out"):
        load_model("builtin:small-resnet", input_range=(0, 255))
    with pytest.raises(MetamersError, match="has its own channels"):
        load_model(StagedModel(network(), input_size=4), channels=1)


def test_every_form_says_what_it_is() -> None:
    assert all(form and what for form, what in SOURCES.items())


FILE = """
import sibling
import torch
from torch import nn
from metamers.models import StagedModel

def module(width="4"):
    n = int(width)
    return nn.Sequential(nn.Conv2d(3, n, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * n, sibling.CLASSES))

def sized():
    return module(), 4

def staged():
    return StagedModel(module(), name="mine", input_size=(4, 4), mean=[0.5] * 3, classes="abcde")

def wrong():
    return "resnet"

def broken():
    raise KeyError("weights\\nare gone")

def own_error():
    return StagedModel(module(), device="gpu")
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "sibling.py").write_text("CLASSES = 5\n")
    (tmp_path / "nets.py").write_text(FILE)
    return tmp_path / "nets.py"


def test_functions_of_a_file(file: Path) -> None:
    model = load_model(f"{file}:module")
    assert (model.name, model.spec, model.input_size) == ("module", f"{file}:module", None)
    model = load_model(f"{file}:module:7", input_size=4)
    assert (model.name, model.describe()[1].shape) == ("7", (7, 2, 2))
    assert load_model(f"{file}:sized").input_size == (4, 4)
    assert load_model(f"{file}:sized", input_size=6).input_size == (6, 6)
    model = load_model(f"{file}:staged")
    assert (model.name, model.spec, model.mean, model.classes) == (
        *("staged", f"{file}:staged", (0.5, 0.5, 0.5), ("a", "b", "c", "d", "e")),
    )


def test_weights_of_a_function(file: Path, tmp_path: Path) -> None:
    source = network()
    torch.save(source.state_dict(), tmp_path / "w.pt")
    assert load_model(f"{file}:sized", weights=tmp_path / "w.pt").weights_hash() == load_model(source).weights_hash()
    assert load_model(f"{file}:sized", weights="random").notes == ("weights are random (seed 0)",)
    with pytest.raises(MetamersError, match=r"do not fit Sequential: 3 of another shape: 0.weight \[4, 3, 3, 3\]"):
        load_model(f"{file}:module:2", weights=tmp_path / "w.pt")


@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("modul", "has no function 'modul'; did you mean 'module'"),
        ("wrong", "returned str; it must return a module"),
        ("broken", r"failed with KeyError: 'weights.*gone' \(.*nets.py, line 21\); mend the function or its argument"),
        ("sized:3", r"failed with TypeError: sized\(\) takes 0 positional arguments"),
        ("own_error", "no device 'gpu'"),
        ("", "names no function; write .*nets.py:FUNCTION"),
    ],
)
def test_functions_that_fail(file: Path, function: str, message: str) -> None:
    with pytest.raises(MetamersError, match=message) as caught:
        load_model(f"{file}:{function}")
    assert "\n" not in str(caught.value)


def test_file_that_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "bad.py").write_text("def load(:\n")
    with pytest.raises(MetamersError, match="failed with SyntaxError"):
        load_model(f"{tmp_path / 'bad.py'}:load")


def test_path_is_left_as_it_was(file: Path) -> None:
    import sys

    before = list(sys.path)
    load_model(f"{file}:sized")
    assert sys.path == before


def test_bundled_model_takes_other_weights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from metamers.models import bundled

    save_file(SmallResNet().state_dict(), tmp_path / "picto-resnet.safetensors")
    monkeypatch.setattr(bundled, "WEIGHTS", tmp_path)
    model = load_model("bundled:picto-resnet")
    assert (model.name, model.weights, model.notes) == ("picto-resnet", None, ())
    other: Tensor = load_model("bundled:picto-resnet", weights="random").network.get_parameter("conv1.weight")
    assert not torch.equal(other, model.network.get_parameter("conv1.weight"))
