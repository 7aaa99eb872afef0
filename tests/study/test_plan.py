"""The plan: batches that a rerun cuts alike, and ids that change with all that determines the results."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.matching import PUBLISHED, AboveNull, Criterion, Representation
from metamers.models import StagedModel
from metamers.stimuli import StimulusSet
from metamers.store import slug
from metamers.study import ModelTask, Settings, run_local
from metamers.study.plan import cut_batches, describe_study
from metamers.synthesis import recipe_named

STAGE = Representation(("0",))
SETTINGS = Settings((recipe_named("fast").with_options(steps=3),), None, seeds=(0, 1), batch_size=2)


def task(seed=0, ids=("a", "b", "c")) -> ModelTask:
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU())
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), dtype=np.uint8)
    stimuli = StimulusSet.from_arrays(pixels, ids=ids)
    return ModelTask(StagedModel(network, name="net", input_size=8), stimuli, (STAGE,))


def ids(given=None, settings=SETTINGS, null_key=None, representation=STAGE) -> list[str]:
    return [batch.id for batch in cut_batches(given or task(), settings, null_key, representation)]


def test_batches_cover_every_reference_and_seed_once():
    batches = cut_batches(task(), SETTINGS, None, STAGE)
    assert [(batch.seed, batch.rows) for batch in batches] == [(0, (0, 1)), (0, (2,)), (1, (0, 1)), (1, (2,))]
    assert len(set(ids())) == 4
    assert ids() == ids()


@pytest.mark.parametrize(
    "changed",
    [
        {"given": task(seed=1)},
        {"given": task(ids=("a", "b", "d"))},
        {"settings": replace(SETTINGS, recipes=(recipe_named("fast"),))},
        {"settings": replace(SETTINGS, criterion=PUBLISHED)},
        {"null_key": "other"},
        {"representation": Representation(("0",), summary="gram")},
    ],
)
def test_an_id_changes_with_what_determines_the_results(changed):
    assert set(ids(**changed)) != set(ids())


def test_stimuli_whose_files_would_have_one_name_are_refused():
    assert slug("嶡二.png") == slug("嶳二.png")  # six digits of a hash
    with pytest.raises(MetamersError, match=r"'嶡二\.png' and '嶳二\.png' have the same short name; rename one"):
        task(ids=("嶡二.png", "c.png", "嶳二.png"))


def test_the_study_says_what_guessing_gives_and_what_is_judged():
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(144, 7))
    deciding = replace(task(), model=StagedModel(network, name="deciding", input_size=8))
    study = describe_study([deciding, task()], SETTINGS, "")
    assert [(model["n_classes"], model["classes"]) for model in study["models"]] == [(7, []), (None, [])]
    assert study["criterion"] == f"{PUBLISHED} or {Criterion(PUBLISHED.above)}"
    chosen = replace(SETTINGS, criterion=AboveNull("snr_db", "0.99"))
    assert describe_study([deciding, task()], chosen, "")["criterion"] == "snr_db > null 0.99"


@pytest.mark.parametrize(
    "wrong", [{"batch_size": 0}, {"null_pairs": 0}, {"seeds": ()}, {"seeds": (1, 1)}, {"seeds": (0, 2**63)}]
)
def test_settings_that_make_no_sense(wrong):
    with pytest.raises(MetamersError, match="give (at least|numbers of at most)"):
        replace(SETTINGS, **wrong)


def test_batches_come_in_the_order_of_the_stages(tmp_path):
    given = replace(task(), representations=(Representation(("1",)), STAGE))
    store = run_local(tmp_path / "run", [given], SETTINGS)
    assert [batch["stage"] for batch in store.batches()] == ["1"] * 4 + ["0"] * 4


def test_what_there_is_to_know_is_said_before_the_work(tmp_path):
    said: list[str] = []
    noted = replace(task(), model=task().model.with_notes("weights are random"))
    run_local(tmp_path / "run", [noted], SETTINGS, say=said.append)
    assert said[0] == "weights are random"
    assert "--null-stimuli with 50 different ones, or 200 stimuli; given: 3" in said[1]
    assert len(said) == 2
