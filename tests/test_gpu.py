"""On a CUDA device: what the CPU computes and the verdicts that it gives, and nothing that waits within the loop."""

import json
import subprocess
import sys
import warnings

import pytest
import torch
import yaml

import metamers
from metamers.matching import Representation, match, null_distribution
from metamers.models.fingerprint import fingerprint
from metamers.stimuli import load_stimuli
from metamers.store import Store, read_table
from metamers.store.identity import agree
from metamers.synthesis import engine, recipe_named

DEVICE = "cuda"
NULL = "bundled:pictograms?split=test&n=200&seed=1"
REFERENCES = "bundled:pictograms?split=test&n=8&seed=0"
METAMERS = (sys.executable, "-c", "from metamers.cli import main; main()")

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="PyTorch sees no CUDA GPU here"),
]


@pytest.fixture(scope="module")
def model():
    return metamers.load_model("bundled:picto-resnet", device=DEVICE)


@pytest.fixture(scope="module")
def images():
    return load_stimuli(REFERENCES)


@pytest.mark.parametrize(
    ("name", "stimuli"),
    [("bundled:picto-resnet", REFERENCES), ("bundled:word-cochcnn", "bundled:spoken_clips")],
)
def test_activations_are_those_of_the_cpu(name, stimuli):
    model, here = metamers.load_model(name, device=DEVICE), metamers.load_model(name)
    x = load_stimuli(stimuli, limit=8).read()
    for stage in model.stages:
        found = model.activations(x.to(DEVICE), [stage])[stage].cpu()
        expected = here.activations(x, [stage])[stage]
        assert float((found - expected).norm() / expected.norm()) < 1e-4, stage  # TF32 gives about 1e-3
    shape = (2, *here.input_shape)
    assert agree(fingerprint(model, shape), fingerprint(here, shape))


def test_the_null_distribution_is_that_of_the_cpu(model):
    representation, stimuli = Representation(("layer3",)), load_stimuli(NULL)
    found, expected = (null_distribution(m, representation, stimuli, pairs=5_000) for m in (model, model.to("cpu")))
    for measure in ("pearson_r", "spearman_rho", "snr_db"):
        assert found.quantile(measure) == pytest.approx(expected.quantile(measure), rel=1e-3, abs=1e-3)


@pytest.mark.parametrize(
    ("recipe", "options"),
    [
        ("fast", {}),
        ("adam", {}),
        ("adam", {"compile": True}),
        ("feather2023-scaled", {"steps": 1600, "halve_every": 200}),
    ],
)
def test_metamers_pass_here_and_on_the_cpu(model, images, recipe, options):
    result = metamers.synthesize(model, images, "layer3", recipe=recipe, null=load_stimuli(NULL), **options)
    assert list(result.matches.verdict) == ["passed"] * len(images)
    again = match(model.to("cpu"), Representation(("layer3",)), images.read(), result.signals)
    rows = torch.arange(len(images))
    assert again.measure("pearson_r", rows).tolist() == pytest.approx(list(result.matches.pearson_r), abs=1e-4)
    assert again.measure("snr_db", rows).tolist() == pytest.approx(list(result.matches.snr_db), abs=0.05)


@pytest.mark.parametrize("recipe", ["fast", "adam", "feather2023", "feather2023-scaled"])
def test_nothing_waits_for_the_device_between_two_checks(model, images, recipe):
    waits(model, images, recipe, 5)  # the first pass looks at the model
    few, many = (waits(model, images, recipe, steps) for steps in (5, 45))
    assert engine.CHECK_EVERY > 45  # so that both look at the losses at their first and last step alone
    assert few == many > 0


def waits(model, images, recipe, steps):
    """How often a search waits for the device."""
    chosen = recipe_named(recipe, "image").with_options(steps=steps, early_stop=False)
    starts = torch.rand(images.read().shape, generator=torch.Generator().manual_seed(0))
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            engine.search(model, Representation(("layer3",)), images.read(), starts, chosen)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return sum("synchronizing" in str(each.message) for each in caught)


def test_a_batch_that_does_not_fit_in_memory_is_halved(model, images):
    references = torch.cat([images.read()] * 32)
    recipe = recipe_named("adam", "image").with_options(steps=2, early_stop=False)
    arguments = (model, Representation(("output",)), references, references * 0.5, recipe)
    engine.search(*arguments)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    whole = engine.search(*arguments)
    peak, total = torch.cuda.max_memory_reserved(), torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    torch.cuda.set_per_process_memory_fraction(0.7 * peak / total)
    try:
        halved = engine.search(*arguments)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert torch.cuda.max_memory_reserved() < 0.7 * peak
    assert torch.allclose(halved.raw, whole.raw, atol=1e-3)


def test_metamers_of_sounds_pass():
    model = metamers.load_model("bundled:word-cochcnn", device=DEVICE)
    clips = load_stimuli("bundled:spoken_clips", limit=4)
    result = metamers.synthesize(model, clips, model.stages[-2])
    assert (result.matches.snr_db > 10).all()
    assert result.matches.same_class.all()


@pytest.mark.parametrize("runner", [[], ["--runner", "dask", "--workers", "1"]])
def test_a_study_verifies_on_the_cpu(tmp_path, runner):
    if runner:
        pytest.importorskip("distributed")
    study = {
        **{"models": ["bundled:picto-resnet"], "stages": ["layer3", "output"], "device": DEVICE},
        **{"stimuli": REFERENCES, "null_stimuli": NULL, "report": False},
        **{"recipes": [{"name": "adam", "set": {"steps": 200}}], "observers": ["bundled:picto-alexnet"]},
    }
    file, run = tmp_path / "study.yaml", tmp_path / "run"
    file.write_text(yaml.safe_dump(study))
    subprocess.run([*METAMERS, "run", str(file), "--out", str(run), *runner], check=True)
    store = Store.open(run)
    assert all(batch["device"].startswith(f"{DEVICE}:0 (") for batch in store.batches())
    assert (read_table(store, "matches").verdict == "passed").sum() >= 15
    assert metamers.verify(run, device="cpu").ok


def test_training(tmp_path):
    change = ("stimuli=bundled:pictograms?split=train&n=64", "validation=bundled:pictograms?n=16", "epochs=1")
    command = [*METAMERS, "train", "bundled:picto-resnet-l2", "--out", str(tmp_path / "t"), "--json", "--set"]
    said = subprocess.run([*command, *change, f"device={DEVICE}"], check=True, capture_output=True, text=True)
    assert json.loads(said.stdout)["epochs"] == 1
