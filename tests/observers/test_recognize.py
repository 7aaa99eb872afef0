"""Models that name metamers and references: the table of responses."""

import numpy as np
import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.matching import Representation, decide
from metamers.models import StagedModel
from metamers.observers import recognize
from metamers.stimuli import StimulusSet, read_image
from metamers.store import Store, build_tables
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import fit_to_model, recipe_named

CLASSES = ("cat", "cup", "sun")


def model(name="net", channels=3, size=8, seed=0, classes=CLASSES):
    torch.manual_seed(seed)
    network = nn.Sequential(
        nn.Conv2d(channels, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)
    )
    return StagedModel(network, name=name, channels=channels, input_size=size, classes=classes)


def stimuli(labels=("cat", "cup", "horse"), dark=False):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    if dark:
        pixels[1] = 0
    return StimulusSet.from_arrays(pixels, labels)


def run(folder, models, images, stages=("0", "1")) -> Store:
    tasks = [ModelTask(*fit_to_model(m, images), tuple(Representation((s,)) for s in stages)) for m in models]
    return run_local(folder, tasks, Settings(recipe_named("fast").with_options(steps=5), None, batch_size=2))


def responses(store):
    return build_tables(store)["responses"]


def test_the_table_of_responses(tmp_path):
    generator, observer = model(), model("other", seed=1)
    store = run(tmp_path / "run", [generator], stimuli())
    assert recognize(store, generator) == recognize(store, observer) == 3 + 2 * 3
    table = responses(store)
    assert set(table.observer) == {"net", "other"}
    assert set(table.observer_kind) == {"model"}
    natural = table[table.stage == "natural"]
    assert len(natural) == 2 * 3  # each once for each observer, though there are two stages
    assert natural.model.isna().all()
    assert natural.seed.isna().all()
    cells = [cell for batch in store.batches() for cell in batch["cells"]]
    for row in table[(table.stage != "natural") & (table.observer == "other")].itertuples():
        (cell,) = (cell for cell in cells if cell["cell"] == row.cell)
        pixels = torch.from_numpy(read_image(store.path(cell["file"]))).permute(2, 0, 1)[None] / 255
        assert row.response == CLASSES[int(decide(observer, pixels)[0])]
    known = table[table.label != "horse"]
    assert (known.correct == (known.label == known.response)).all()
    assert table[table.label == "horse"].correct.isna().all()


def test_nothing_is_asked_twice(tmp_path, monkeypatch):
    store = run(tmp_path / "run", [model()], stimuli())
    recognize(store, model())
    before = responses(store)
    monkeypatch.setattr("metamers.observers.model_observer.decide", None)
    assert recognize(store, model()) == 0
    assert responses(store).equals(before)


def test_an_observer_with_other_weights_or_a_new_stage_is_asked(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(), stages=("0",))
    assert recognize(store, model()) == 6
    assert recognize(store, model(seed=5)) == 6


@pytest.mark.parametrize("size", [12, (6, 10), None])
def test_an_observer_of_another_input_size(tmp_path, size):
    store = run(tmp_path / "run", [model()], stimuli())
    assert recognize(store, model("other", size=size)) == 9
    assert responses(store).response.isin(CLASSES).all()


def test_labels_of_digits_are_indices(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(labels=("0", "1", None)), stages=("0",))
    recognize(store, model())
    recognize(store, model("nameless", classes=()))
    table = responses(store)
    for row in table[table.label.notna()].itertuples():
        index = row.response if row.observer == "nameless" else str(CLASSES.index(row.response))
        assert row.correct == (index == row.label)
    assert table[table.label.isna()].correct.isna().all()


def test_cells_without_a_file_are_not_asked_about(tmp_path):
    bias_free = model()
    bias_free.network[0].bias.data.zero_()
    store = run(tmp_path / "run", [bias_free], stimuli(dark=True))
    cells = [cell for batch in store.batches() for cell in batch["cells"]]
    assert sorted(cell["verdict"] for cell in cells) == ["error"] * 2 + ["no null"] * 4
    assert recognize(store, model("other")) == 2 + 4


def test_gray_and_color_models_in_one_run(tmp_path):
    gray, color = model("gray", channels=1), model("color")
    store = run(tmp_path / "run", [gray, color], stimuli(), stages=("0",))
    for observer in (gray, color):
        assert recognize(store, observer) == 3 + 3 + 2 * 3


def test_an_observer_without_a_decision_is_refused(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(), stages=("0",))
    with pytest.raises(MetamersError, match="makes no decision"):
        recognize(store, StagedModel(nn.Conv2d(3, 4, 3), input_size=8))
