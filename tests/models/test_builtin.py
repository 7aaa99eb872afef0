import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from metamers.errors import MetamersError
from metamers.models import load_model
from metamers.models.builtin import ARCHITECTURES, CLASSES, Architecture
from metamers.models.hmax_patches import sample_patches

SMALL = ["small-resnet", "small-resnet-lowpass", "small-alexnet", "small-vgg"]


def weights(path: Path, network: nn.Module, **said: object) -> Path:
    save_file(network.state_dict(), path, metadata={"metamers": json.dumps(said)} if said else None)
    return path


@pytest.mark.parametrize("name", SMALL)
def test_small_networks_know_the_pictograms_where_nothing_else_is_said(name: str) -> None:
    model = load_model(f"builtin:{name}")
    assert (model.input_size, model.channels, model.classes) == ((64, 64), 3, CLASSES)
    assert model.logits(torch.rand(1, 3, 64, 64)).shape == (1, 16)
    assert model.notes == ("weights are random (seed 0)",)
    ten = load_model(f"builtin:{name}?classes=10", weights="random")
    assert (ten.spec, ten.name) == (f"builtin:{name}?classes=10", f"builtin:{name}?classes=10&weights=random")
    assert ten.classes == ()
    assert ten.logits(torch.rand(1, 3, 64, 64)).shape == (1, 10)


def test_weights_say_for_which_classes_and_size_they_are(tmp_path: Path) -> None:
    network = ARCHITECTURES["small-resnet"](3)
    file = weights(tmp_path / "w.safetensors", network, classes=["a", "b", "c"], input_size=[32, 48])
    model = load_model("builtin:small-resnet", weights=file)
    assert (model.classes, model.input_size, model.notes) == (("a", "b", "c"), (32, 48), ())
    assert model.spec == "builtin:small-resnet?classes=3"
    assert model.weights_hash() == load_model(network).weights_hash()
    assert load_model("builtin:small-resnet?classes=3", weights=file).classes == ("a", "b", "c")
    square = weights(tmp_path / "s.safetensors", network, classes=["a", "b", "c"], input_size=32)
    assert load_model("builtin:small-resnet", weights=square).input_size == (32, 32)
    unsaid = weights(tmp_path / "u.safetensors", network)
    model = load_model("builtin:small-resnet?classes=3", weights=unsaid)
    assert (model.classes, model.input_size) == ((), (64, 64))
    with pytest.raises(MetamersError, match="for 3 classes, not 4; leave classes= out of 'builtin:small-resnet"):
        load_model("builtin:small-resnet?classes=4", weights=file)
    with pytest.raises(MetamersError, match=r"fc.weight \[3, 96\] instead of \[16, 96\]"):
        load_model("builtin:small-resnet", weights=unsaid)
    with pytest.raises(MetamersError, match="no weights file"):
        load_model("builtin:small-resnet", weights=tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"classes": "a, b"}, "no list of two names"),
        ({"classes": {"a": 1}}, "no list of two names"),
        ({"classes": ["a"]}, "no list of two names"),
        ({"classes": [1, 2]}, "no list of two names"),
        ({"classes": False}, "no list of two names"),
        ({"classes": ""}, "no list of two names"),
        *(
            ({"input_size": size}, "metadata 'input_size' is .*, no number of pixels")
            for size in ([3, 4, 5], "thirty", 0, -8, [], [0, 8], True, [True, 8], False, 32.0)
        ),
    ],
)
def test_classes_and_sizes_that_make_no_sense(tmp_path: Path, metadata: dict[str, object], message: str) -> None:
    file = weights(tmp_path / "w.safetensors", ARCHITECTURES["small-resnet"](), **metadata)
    with pytest.raises(MetamersError, match=message):
        load_model("builtin:small-resnet", weights=file)


def test_weights_that_name_no_classes_have_none(tmp_path: Path) -> None:
    file = weights(tmp_path / "w.safetensors", ARCHITECTURES["small-resnet"]())
    assert load_model("builtin:small-resnet", weights=file).classes == ()
    assert load_model("builtin:small-resnet", weights="random").classes == CLASSES
    said = weights(tmp_path / "said.safetensors", ARCHITECTURES["small-resnet"](), classes=CLASSES, input_size=None)
    assert load_model("builtin:small-resnet", weights=said).classes == CLASSES
    assert load_model("builtin:small-resnet", weights=said).input_size == (64, 64)


@pytest.mark.parametrize("text", ["classes", "[]"])
def test_metadata_of_another_form(tmp_path: Path, text: str) -> None:
    save_file(ARCHITECTURES["small-resnet"]().state_dict(), tmp_path / "w.safetensors", metadata={"metamers": text})
    with pytest.raises(MetamersError, match="'metamers' is no JSON object"):
        load_model("builtin:small-resnet", weights=tmp_path / "w.safetensors")


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("small-vg", "no architecture 'small-vg'.*did you mean 'small-vgg'"),
        ("small-vgg?class=10", "no option 'class'; did you mean 'classes'.*there is classes=N"),
        ("small-vgg?patches=x", "no option 'patches'"),
        ("small-vgg?classes", "write what follows . as key=value"),
        ("small-vgg?classes=1", "classes is '1'; give a whole number from 2 to 1,000,000"),
        ("small-vgg?classes=1000001", "classes is '1000001'; give"),
        ("small-vgg?classes=99999999999", "classes is '99999999999'; give"),
        (f"small-vgg?classes={'9' * 5000}", "give a whole number from"),
        ("small-vgg?classes=²", "classes is '²'"),
        ("small-vgg?classes=-3", "classes is '-3'"),
        ("small-vgg?classes=2&", "write what follows . as key=value"),
        ("small-vgg?classes=ten", "classes is 'ten'"),
        ("small-vgg?classes=", "classes is ''"),
        ("small-vgg?classes=2&classes=3", "states an option twice"),
        ("hmax?patches=none.mat", "no file of patches 'none.mat'"),
        ("hmax?patches=a+b%20c=d.mat", r"no file of patches 'a\+b%20c=d.mat'"),
    ],
)
def test_names_that_mean_nothing(spec: str, message: str) -> None:
    with pytest.raises(MetamersError, match=message) as caught:
        load_model(f"builtin:{spec}")
    assert "\n" not in str(caught.value)


def test_hmax_takes_patches_of_ones_own_and_says_where_it_has_none(tmp_path: Path) -> None:
    given = sample_patches(torch.rand(1, 1, 96, 96), n=3)
    save_file({str(size): of_size for size, of_size in given.items()}, tmp_path / "my+patches 50%.safetensors")
    model = load_model(f"builtin:hmax?patches={tmp_path}/my+patches 50%.safetensors&classes=7")
    assert (model.channels, model.input_size, model.classes) == (1, (250, 250), ())
    assert torch.equal(model.network.get_buffer("s2.patches4"), given[4])
    small = model.with_input_size(48)
    assert small.notes == ("weights are random (seed 0)",)
    assert small.stages == ("s1", "c1", "s2", "c2", "output")
    assert small.logits(torch.rand(2, 1, 48, 48)).shape == (2, 7)


def test_hmax_without_patches_samples_them_from_pictograms_and_says_so() -> None:
    model = load_model("builtin:hmax", input_size=40)
    assert model.network.get_buffer("s2.patches16").shape == (400, 4, 16, 16)
    assert "its patches are sampled from pictograms" in model.notes[1]
    assert "builtin:hmax?patches=FILE" in model.notes[1]


def test_large_networks_at_a_smaller_size() -> None:
    model = load_model("builtin:lowpass-alexnet?classes=4", input_size=64)
    assert model.stages == ("relu0", "relu1", "relu2", "relu3", "relu4", "fc0_relu", "fc1_relu", "output")
    assert model.logits(torch.rand(1, 3, 64, 64)).shape == (1, 4)


def test_vone_metamers_see_the_same_noise_alone_and_together() -> None:
    model = load_model("builtin:vone-alexnet?classes=4", input_size=48)
    x = torch.rand(3, 3, 48, 48)
    together = model.activations(x, ["v1_output"])["v1_output"]
    assert not any("random" in note and "draws" in note for note in model.notes)
    torch.testing.assert_close(model.activations(x[1:2], ["v1_output"])["v1_output"], together[1:2])


def test_an_architecture_builds_its_own_number_of_classes_or_another() -> None:
    architecture = Architecture(lambda classes: nn.Linear(2, classes), classes=5)
    assert [architecture().out_features, architecture(3).out_features] == [5, 3]
