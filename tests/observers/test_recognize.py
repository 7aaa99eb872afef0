"""Models that name metamers and references: the table of responses."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.labels import LabelSpace
from metamers.matching import Representation, decide
from metamers.models import StagedModel, fit_to_model
from metamers.observers import ModelObserver, model_observer, recognize, require_scored, shown
from metamers.stimuli import StimulusSet, read_image
from metamers.store import Cell, Store, build_tables, read_table
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import recipe_named
from metamers.synthesis.metamers import start_signals

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
    return run_local(folder, tasks, Settings((recipe_named("fast").with_options(steps=5),), None, batch_size=2))


GROUPS = LabelSpace("groups", ("cup", "sky"), ((1,), (0, 2)), 3)


def responses(store):
    build_tables(store)
    return read_table(store, "responses")


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


def test_metamers_of_some_models_are_shown(tmp_path):
    store = run(tmp_path / "run", [model(), model("other", seed=1)], stimuli())
    assert recognize(store, model(), of=("net",)) == 3 + 2 * 3
    assert set(responses(store).model.dropna()) == {"net"}
    assert recognize(store, model(), of=()) == 0
    assert recognize(store, model()) == 2 * 3
    assert set(responses(store).model.dropna()) == {"net", "other"}


def refuse(*_):
    raise AssertionError("an observer was asked")


def test_nothing_is_asked_twice(tmp_path, monkeypatch):
    store = run(tmp_path / "run", [model()], stimuli())
    recognize(store, model())
    before = responses(store)
    monkeypatch.setattr(ModelObserver, "answer", refuse)
    assert recognize(store, model()) == 0
    assert responses(store).equals(before)


def test_only_what_is_new_is_asked(tmp_path):
    net = model()
    images = stimuli()
    store = run(tmp_path / "run", [net], images, stages=("0",))
    recognize(store, net)
    first = next((store.folder / "batches").rglob("*.json"))
    record = first.read_bytes()
    first.unlink()
    n_left = len([cell for batch in store.batches() for cell in batch["cells"]])
    other = model("other", seed=1)
    assert recognize(store, other) == 2 * n_left  # with their references
    first.write_bytes(record)
    assert recognize(store, other) == 2 * (3 - n_left)
    table = responses(store)
    assert not table.duplicated(["observer", "cell"]).any()
    assert len(table) == 2 * 6


def test_one_model_has_one_name_and_one_name_has_one_model(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(), stages=("0",))
    assert recognize(store, model()) == 6
    assert recognize(store, model("the same by another name")) == 0
    assert recognize(store, model(seed=5)) == 6
    assert recognize(store, model(seed=5)) == 0
    names = set(responses(store).observer)
    assert names == {"net", f"net#{model(seed=5).weights_hash()[:6]}"}


def test_other_networks_of_the_same_weights_are_other_models(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(), stages=("0",))
    recognize(store, model())
    layers: Any = model().network
    smooth = nn.Sequential(layers[0], nn.Softplus(), *layers[2:])
    assert recognize(store, StagedModel(smooth, name="smooth", input_size=8, classes=CLASSES)) == 6
    for name in ("mean", "mean too"):
        pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten())
        recognize(store, StagedModel(pool, name=name, input_size=8, classes=CLASSES))
    assert set(responses(store).observer) == {"net", "smooth", "mean"}


def test_answers_in_other_labels_replace_the_first(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(), stages=("0",))
    recognize(store, model())
    assert recognize(store, model_observer(store, model(), GROUPS)) == 6
    assert recognize(store, model_observer(store, model(), GROUPS)) == 0
    table = responses(store)
    assert len(table) == 6
    assert set(table.response) <= {"cup", "sky"}
    assert table[table.label != "cup"].correct.isna().all()
    assert table[table.label == "cup"].correct.notna().all()
    assert {record["n_labels"] for record in store.responses()} == {2}
    assert recognize(store, model_observer(store, model(), GROUPS, "mean-probability")) == 6
    assert recognize(store, model_observer(store, model(), GROUPS), controls=["start"]) == 9
    assert recognize(store, model_observer(store, model(), GROUPS, "mean-probability")) == 6
    build_tables(store)
    assert len(read_table(store, "controls")) == 0  # the answers by the other decision go with the rest
    assert recognize(store, model()) == 6
    assert len(responses(store)) == 6


def test_no_label_in_common_is_refused(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(labels=("dog", "fish", "horse")), stages=("0",))
    with pytest.raises(MetamersError, match=r"none of the stimuli's labels \('dog', 'fish', 'horse'\)"):
        require_scored(store, model_observer(store, model()))
    unlabeled = run(tmp_path / "unlabeled", [model()], stimuli(labels=(None, None, None)), stages=("0",))
    with pytest.raises(MetamersError, match="no labels to score by"):
        require_scored(unlabeled, model_observer(unlabeled, model()))
    with pytest.raises(MetamersError, match="choose other --labels"):
        model_observer(store, model(), LabelSpace("two", ("a", "b"), ((0,), (1,)), 2))
    with pytest.raises(MetamersError, match="no decision 'last'"):
        model_observer(store, model(), None, "last")


class AfraidOfTheDark(nn.Sequential):
    def forward(self, x):
        dark = x.flatten(1).amax(1) < 0.1
        return super().forward(x).masked_fill(dark[:, None], float("nan"))


def test_an_observer_that_gives_nan_gives_no_answer(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(dark=True), stages=("1",))
    afraid = StagedModel(AfraidOfTheDark(*model().network), name="afraid", input_size=8, classes=CLASSES)
    recognize(store, afraid)
    table = responses(store)
    natural = table[table.stage == "natural"]
    assert natural.response.isna().tolist() == [False, True, False]
    assert natural.correct.isna().tolist() == [False, True, True]


def test_the_start_is_shown_as_it_was_and_once(tmp_path):
    gray = model("gray", channels=1)
    store = run(tmp_path / "run", [model(), gray], stimuli())
    starts = {s["cell"]: s for s in shown(store, ["start"]) if s["stage"] == "start"}
    assert len(starts) == 3 + 3  # color and gray; not for each stage
    cell = next(c for b in store.batches() for c in b["cells"] if c["model"] == "net")
    key = Cell(*(cell[name] for name in ("model", "stage", "recipe", "reference", "seed")))
    expected = start_signals(recipe_named("fast"), [key], (3, 8, 8), None, kind="image")[0]
    file = starts[f"start/{cell['cell']}"]["file"]
    pixels = torch.from_numpy(read_image(store.path(file))).permute(2, 0, 1)
    assert torch.equal(pixels, (expected * 255).round().to(torch.uint8))
    assert recognize(store, model(), controls=["start", "reference"]) == 6 + 6 + 2 * 2 * 3
    assert recognize(store, model(), controls=["start"]) == 0
    assert set(responses(store).stage) == {"natural", "0", "1"}
    controls = read_table(store, "controls")
    assert set(controls.control) == set(controls.stage) == {"start"}
    assert controls.model.isna().all()
    assert len(controls) == 6
    with pytest.raises(MetamersError, match="did you mean 'start'"):
        shown(store, ["starts"])


@pytest.mark.parametrize("size", [12, (6, 10), None])
def test_an_observer_of_another_input_size(tmp_path, size):
    store = run(tmp_path / "run", [model()], stimuli())
    assert recognize(store, model("other", size=size)) == 9
    assert responses(store).response.isin(CLASSES).all()


def test_another_input_size_of_one_observer_is_asked_again(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli())
    assert recognize(store, model("other", seed=1)) == 9
    assert recognize(store, model("other", seed=1, size=12)) == 9
    assert recognize(store, model("other", seed=1, size=12)) == 0
    assert len(responses(store)) == 9


def test_labels_of_digits_are_indices(tmp_path):
    store = run(tmp_path / "run", [model()], stimuli(labels=("0", "1", None)), stages=("0",))
    recognize(store, model())
    recognize(store, model("nameless", seed=1, classes=()))
    table = responses(store)
    for row in table[table.label.notna()].itertuples():
        assert row.label in (CLASSES[:2] if row.observer == "net" else ("0", "1"))  # in the observer's words
        assert row.correct == (row.response == row.label)
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
