"""Real networks and images that nobody here made or trained; the shape that shared/data/README.md gives."""

import os
import zipfile
from pathlib import Path

import pytest
import torch

import metamers
from metamers.errors import MetamersError
from metamers.labels import label_space
from metamers.matching import Representation
from metamers.models import fit_to_model
from metamers.observers import model_observer, recognize
from metamers.store import Store, build_tables, read_table
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import recipe_named

DATA = Path(os.environ.get("METAMERS_REAL_DATA", ""))
pytestmark = pytest.mark.skipif(
    "METAMERS_REAL_DATA" not in os.environ, reason="METAMERS_REAL_DATA names no folder with real networks and images"
)
SAMPLES = DATA / "imagenet_samples" / "imagenet_samples_256.zip"


def cifar(name):
    return metamers.load_model(f"{DATA}/nets/cifar_nets.py:load:{name}", input_size=32)


def test_others_recognize_cifar_metamers_less_and_less_with_depth(tmp_path):
    stages = ("net.layer1", "net.layer2", "net.layer3", "output")
    images = metamers.load_stimuli(DATA / "cifar10" / "test_100.npz")[:16]
    task = ModelTask(
        *fit_to_model(cifar("cifar_resnet20"), images), tuple(Representation((stage,)) for stage in stages)
    )
    store = run_local(tmp_path / "run", [task], Settings((recipe_named("fast").with_options(steps=100),), None))
    for observer in ("cifar_resnet20", "cifar_resnet56", "cifar_mlperf_resnet8"):
        assert recognize(store, cifar(observer)) == 16 * 5
    build_tables(store)
    responses = read_table(store, "responses")
    others = responses[responses.observer != "cifar_resnet20"]
    right = others.groupby("stage").correct.mean().astype(float)
    assert right["natural"] >= 0.85
    assert right["net.layer1"] >= 0.7
    # 32 answers to a stage, after few steps: the first two may tie on one machine and not on another.
    assert right["net.layer1"] >= right["net.layer2"] - 0.05
    assert right["net.layer2"] >= right["net.layer3"] + 0.2
    assert right[["net.layer3", "output"]].max() <= 0.45
    own = responses[responses.observer == "cifar_resnet20"].groupby("stage").correct.mean().astype(float)
    assert own["output"] >= own["natural"] - 0.1  # to the model itself, they are the references
    assert own["net.layer3"] >= right["net.layer3"] + 0.2


def test_mobilenet_metamers_of_imagenet_samples_are_verified(tmp_path):
    model = metamers.load_model(f"{DATA}/nets/imagenet_nets.py:load:mobilenet_v2_1.0_224_tf2")
    images = metamers.load_stimuli(
        SAMPLES, labels=DATA / "imagenet_samples" / "labels.csv", label_column="imagenet_index", limit=2
    )
    assert images.labels == ("0", "1")
    task = ModelTask(*fit_to_model(model, images), (Representation(("blocks.1",)), Representation(("blocks.15",))))
    null = metamers.load_stimuli(others(tmp_path / "others.zip")).fit((224, 224))
    settings = Settings((recipe_named("fast").with_options(steps=100),), None, null_stimuli=null)
    store = run_local(tmp_path / "run", [task], settings)
    outcome = metamers.verify(store.folder)
    assert outcome.ok
    assert outcome.n_passed == 4
    assert (outcome.matches.null_n_images == 60).all()
    distances = [
        float((signals(store, cell["file"]) - signals(store, cell["reference_file"])).abs().mean())
        for batch in store.batches()
        for cell in batch["cells"]
    ]
    early, late = distances[:2], distances[2:]
    assert all(a < b for a, b in zip(early, late, strict=True))  # further from the reference's pixels


def test_mobilenet_metamers_in_sixteen_classes(tmp_path):
    def net(name):
        return metamers.load_model(f"{DATA}/nets/imagenet_nets.py:load:{name}")

    images = metamers.load_stimuli(
        SAMPLES, labels=DATA / "imagenet_samples" / "labels.csv", label_column="class16", limit=420
    )
    rows = [images.labels.index(name) for name in ("bear", "bird", "cat", "dog")]
    model = net("mobilenet_v2_1.0_224_tf2")
    task = ModelTask(
        *fit_to_model(model, images[rows]), (Representation(("blocks.1",)), Representation(("blocks.15",)))
    )
    store = run_local(tmp_path / "run", [task], Settings((recipe_named("fast").with_options(steps=60),), None))
    for name in ("mobilenet_v2_1.0_224_tf2", "mobilenet_v1_0.5_160", "squeezenet_v1.0_deepcompression"):
        assert recognize(store, model_observer(store, net(name), label_space("imagenet16"))) == 4 * 3
    build_tables(store)
    table = read_table(store, "responses")
    assert table.correct.notna().all()
    right = table.groupby(["observer", "stage"]).correct.mean().astype(float).unstack()
    assert (right.loc["mobilenet_v2_1.0_224_tf2"] == 1).all()
    others = right.drop("mobilenet_v2_1.0_224_tf2").mean()
    assert others["natural"] >= 0.75
    assert others["blocks.1"] >= others["blocks.15"] + 0.25
    with pytest.raises(MetamersError, match="has 1000 outputs, and the labels 'cifar10' are of 10"):
        model_observer(store, model, label_space("cifar10"))


def signals(store: Store, file: str) -> torch.Tensor:
    return metamers.load_stimuli(store.path(file)).read()


def others(path: Path) -> Path:
    """An archive of 60 samples that are no references."""
    with zipfile.ZipFile(SAMPLES) as archive, zipfile.ZipFile(path, "w") as part:
        for entry in [entry for entry in archive.infolist() if not entry.is_dir()][100:160]:
            part.writestr(entry.filename, archive.read(entry))
    return path
