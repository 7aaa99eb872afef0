"""Proof from the files: what was altered, and verdicts that do not hold."""

import json
import shutil

import numpy as np
import pytest
import torch
from torch import nn

from metamers.errors import MetamersError
from metamers.matching import AboveNull, Representation, verify
from metamers.models import StagedModel, load_model
from metamers.stimuli import StimulusSet, encode_png
from metamers.store import sha256
from metamers.study import ModelTask, Settings, run_local
from metamers.synthesis import recipe_named

NET = """
import torch
from torch import nn

def net(seed="0"):
    torch.manual_seed(int(seed))
    return nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.Flatten(), nn.Linear(36, 5)), 8
"""


def coarse(n, seed):
    pixels = np.random.default_rng(seed).integers(0, 256, (n, 4, 4, 3), dtype=np.uint8).repeat(2, 1).repeat(2, 2)
    return StimulusSet.from_arrays(pixels, name=f"set{seed}", ids=[f"i{k}" for k in range(n)])


def make(folder, model, null=True):
    settings = Settings(
        (recipe_named("fast").with_options(steps=50),),
        AboveNull("pearson_r"),
        null_stimuli=coarse(60, 1) if null else None,
        batch_size=2,
    )
    run_local(folder, [ModelTask(model, coarse(3, 0), (Representation(("1",)),))], settings)
    return folder


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("run")
    (folder / "net.py").write_text(NET)
    return make(folder / "run", load_model(f"{folder}/net.py:net"))


@pytest.fixture
def run(finished, tmp_path):
    shutil.copytree(finished, tmp_path / "run")
    return tmp_path / "run"


def files(run, kind):
    return sorted(path for path in (run / kind).rglob("*") if path.is_file())


def edit_record(run, change):
    """Apply `change` to the first batch record."""
    path = files(run, "batches")[0]
    record = json.loads(path.read_text())
    change(record)
    path.write_text(json.dumps(record))
    return record


def test_an_untouched_run_verifies(run):
    told = []
    outcome = verify(run, progress=lambda *args: told.append(args))
    assert outcome.ok
    assert (outcome.n_cells, outcome.n_passed, outcome.altered, outcome.changed) == (3, 3, (), ())
    assert list(outcome.matches.verdict) == list(outcome.matches.recorded_verdict) == ["passed"] * 3
    assert told == [(2, 3), (3, 3)]
    recorded = [cell for path in files(run, "batches") for cell in json.loads(path.read_text())["cells"]]
    assert list(outcome.matches.pearson_r) == pytest.approx([cell["pearson_r"] for cell in recorded], abs=1e-6)


@pytest.mark.parametrize("kind", ["metamers", "references", "null"])
@pytest.mark.parametrize("how", ["byte", "missing", "empty"])
def test_an_altered_file_is_found(run, kind, how):
    path = files(run, kind)[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(content if how == "byte" else b"")
    outcome = verify(run)
    assert not outcome.ok
    assert outcome.altered == (path.relative_to(run).as_posix(),)
    n_touched = 3 if kind == "null" else 1
    assert (outcome.matches.verdict == "altered").sum() == n_touched
    assert outcome.n_passed == 3 - n_touched
    assert outcome.changed == ()


def test_a_verdict_that_does_not_hold_is_found_where_picture_and_hash_agree(run):
    noise = encode_png(np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8))

    def forge(record):
        cell = record["cells"][0]
        (run / cell["file"]).write_bytes(noise)
        cell["sha256"] = sha256(noise)

    record = edit_record(run, forge)
    outcome = verify(run)
    assert outcome.altered == ()
    assert outcome.changed == (record["cells"][0]["cell"],)
    assert not outcome.ok
    row = outcome.matches[outcome.matches.cell == outcome.changed[0]].iloc[0]
    assert (row.verdict, row.recorded_verdict) == ("failed", "passed")


def test_a_verdict_that_was_only_written_is_found(run):
    record = edit_record(run, lambda record: record["cells"][1].update(verdict="failed"))
    assert verify(run).changed == (record["cells"][1]["cell"],)


def test_a_forged_picture_of_another_size_is_one_line(run):
    small = encode_png(np.zeros((4, 4, 3), dtype=np.uint8))

    def forge(record):
        cell = record["cells"][1]
        (run / cell["file"]).write_bytes(small)
        cell["sha256"] = sha256(small)

    edit_record(run, forge)
    with pytest.raises(MetamersError, match="unlike others of its batch"):
        verify(run)


def test_changed_weights_are_one_line(run):
    study = run / "study.yaml"
    study.write_text(study.read_text().replace("net.py:net", "net.py:net:1"))
    with pytest.raises(MetamersError, match="weights have changed since the run was made"):
        verify(run)


def test_a_cell_without_a_result_stays_an_error(tmp_path):
    class Silent(nn.Module):
        def forward(self, x):
            return nn.functional.relu(x.flatten(1) - (x[:, 0, :1, :1].mean((1, 2)) > 0.5)[:, None].float())

    model = StagedModel(Silent(), name="silent", input_size=8)
    settings = Settings((recipe_named("fast").with_options(steps=5),), AboveNull(), null_stimuli=coarse(60, 1))
    stimuli = coarse(6, 0)
    n_silent = int((stimuli.read()[:, 0, 0, 0] > 0.5).sum())
    assert 0 < n_silent < 6
    run_local(tmp_path / "run", [ModelTask(model, stimuli, (Representation(("output",)),))], settings)
    outcome = verify(tmp_path / "run", models=[model])
    assert outcome.ok
    errors = outcome.matches.verdict == "error"
    assert n_silent <= errors.sum() < 6
    assert len(files(tmp_path / "run", "metamers")) == 6 - errors.sum()


def test_no_null_stays_no_null(tmp_path):
    (tmp_path / "net.py").write_text(NET)
    outcome = verify(make(tmp_path / "run", load_model(f"{tmp_path}/net.py:net"), null=False))
    assert outcome.ok
    assert set(outcome.matches.verdict) == {"no null"}


def python_model(seed=0):
    torch.manual_seed(seed)
    return StagedModel(nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU()), name="mine", input_size=8)


def test_a_model_given_as_an_object_must_be_given_again(tmp_path):
    run = make(tmp_path / "run", python_model())
    with pytest.raises(MetamersError, match=r"'mine' was given as a Python object; .*models=\[model\]"):
        verify(run)
    assert verify(run, models=[python_model()]).ok
    with pytest.raises(MetamersError, match="'mine': its weights have changed"):
        verify(run, models=[python_model(1)])


def test_what_is_no_run_is_one_line(tmp_path, run):
    with pytest.raises(MetamersError, match="not a run"):
        verify(tmp_path / "nothing")
    for path in files(run, "batches"):
        path.unlink()
    with pytest.raises(MetamersError, match="no finished batch"):
        verify(run)


def test_a_record_that_leads_out_of_the_run_is_refused(run):
    edit_record(run, lambda record: record["cells"][0].update(file="../../secret.png"))
    with pytest.raises(MetamersError, match="outside the run"):
        verify(run)
