"""Virtual participants, and what is exported of them."""

import json
from hashlib import sha256

import pytest
from scipy.stats import binom
from sqlalchemy import insert, select, update
from tests.experiment.conftest import rows

from metamers.errors import MetamersError
from metamers.experiment.database import IDENTITY, SESSION, TRIAL
from metamers.experiment.export import _cell, export
from metamers.experiment.opened import open_experiment
from metamers.experiment.purging import purge
from metamers.experiment.simulate import falling, published, simulate


@pytest.fixture
def opened(experiment):
    opened = open_experiment(experiment)
    yield opened
    opened.engine.dispose()


def test_what_is_exported_is_what_was_answered(opened, tmp_path):
    visits = simulate(opened, 10, seed=1, accuracy=lambda stimulus: 0.9)
    found = export(opened, tmp_path / "out")
    trials = rows(tmp_path / "out" / "trials.csv")
    ids = {stimulus.cell: stimulus.stimulus for stimulus in opened.design.stimuli}
    for number, visit in enumerate(visits, 1):
        own = [row for row in trials if row["participant"] == f"p{number:04d}" and row["state"] == "answered"]
        assert {int(row["trial"]): (ids[row["cell"]], row["response"]) for row in own} == visit.answers
    assert all(row["correct"] == str(int(row["response"] == row["label"])) for row in trials if row["response"])
    included = rows(tmp_path / "out" / "responses.csv")
    assert len(included) == sum(row["included"] == "1" for row in trials) > 0
    out = {row["participant"] for row in rows(tmp_path / "out" / "exclusions.csv")}
    assert found["included"] == 10 - len(out) and not out & {row["participant"] for row in included}
    hashes = json.loads((tmp_path / "out" / "manifest.json").read_text())["files"]
    for name, digest in hashes.items():
        assert sha256((tmp_path / "out" / name).read_bytes()).hexdigest() == digest
    assert set(trials[0]) == {row["name"] for row in rows(tmp_path / "out" / "codebook.csv")}
    assert not (tmp_path / "out" / "identities.csv").exists()
    with pytest.raises(MetamersError, match="not empty"):
        export(opened, tmp_path / "out")


def test_one_seed_gives_one_set_of_answers(experiment, tmp_path):
    answers = []
    for name in ("a", "b"):
        opened = open_experiment(experiment, str(tmp_path / f"{name}.sqlite"))
        answers.append([visit.answers for visit in simulate(opened, 10, seed=3)])
        export(opened, tmp_path / name)
    assert answers[0] == answers[1]
    assert (tmp_path / "a" / "responses.csv").read_bytes() == (tmp_path / "b" / "responses.csv").read_bytes()


def test_accuracies_come_back(opened, tmp_path):
    wanted = {"natural": 0.95, "secretnet/alpha": 0.7, "secretnet/omega": 0.3}
    simulate(opened, 40, seed=0, accuracy=lambda s: wanted[s.condition] if s.phase == "main" else 1.0)
    export(opened, tmp_path / "out")
    trials = [row for row in rows(tmp_path / "out" / "trials.csv") if row["phase"] == "main"]
    assert len(trials) == 40 * 6
    for condition, p in wanted.items():
        own = [row["correct"] == "1" for row in trials if row["condition"] == condition]
        assert len(own) == 80
        low, high = binom.interval(0.999, len(own), p)
        assert low <= sum(own) <= high
    cells = {(row["condition"], row["cell"]) for row in trials}
    counts = [sum((row["condition"], row["cell"]) == cell for row in trials) for cell in cells]
    assert len(cells) == 18 and max(counts) - min(counts) <= 1


def test_a_published_profile_goes_by_relative_depth(opened, tmp_path):
    path = tmp_path / "means.csv"
    path.write_text("model,stage_index,human_mean\nnet,0,0.9\nnet,1,0.7\nnet,2,0.1\nother,0,0.5\nnet,0,0.2\n")
    by_condition = {s.condition: s for s in opened.design.stimuli}
    accuracy = published(path, "net", opened.design.stimuli)
    assert [accuracy(by_condition[c]) for c in ("natural", "secretnet/alpha", "secretnet/omega")] == [0.9, 0.7, 0.1]
    assert falling(opened.design.stimuli)(by_condition["secretnet/omega"]) == pytest.approx(0.2)
    with pytest.raises(MetamersError, match="no model 'nett'; did you mean 'net'"):
        published(path, "nett", opened.design.stimuli)
    path.write_text("a,b\n1,2\n")
    with pytest.raises(MetamersError, match="model, stage_index, human_mean"):
        published(path, "net", opened.design.stimuli)


def test_nobody_yet(opened, tmp_path):
    with pytest.raises(MetamersError, match="nobody has taken part yet"):
        export(opened, tmp_path / "out")


@pytest.mark.parametrize("text", ["=1+1", "+x", "-x", "@x", "\tx"])
def test_no_cell_is_a_formula(text):
    assert _cell(text) == f"'{text}"
    assert _cell(-1.5) == -1.5 and _cell("x=1") == "x=1" and _cell(None) == "" and _cell(True) == 1


def test_old_sessions_are_purged_and_the_others_keep_their_names(opened, tmp_path):
    with pytest.raises(MetamersError, match="retention_days"):
        purge(opened)
    simulate(opened, 4, seed=1)
    opened = open_experiment(opened.folder)
    with opened.engine.begin() as db:
        first = db.execute(select(SESSION.c.session_id).order_by(SESSION.c.created_at)).scalars().first()
        old = update(SESSION).where(SESSION.c.session_id == first)
        db.execute(old.values(created_at="2020-01-01T00:00:00.000+00:00"))
        db.execute(insert(IDENTITY).values(session_id=first, source="prolific", external_id="x"))
    assert purge(opened, older_than_days=30) == {"identities": 0, "sessions": 1}
    assert purge(opened, older_than_days=30, identities=True) == {"identities": 0, "sessions": 0}
    export(opened, tmp_path / "out")
    assert {row["participant"] for row in rows(tmp_path / "out" / "trials.csv")} == {"p0002", "p0003", "p0004"}
    with opened.engine.begin() as db:
        assert not db.execute(select(TRIAL).where(TRIAL.c.session_id == first)).all()
        assert not db.execute(select(IDENTITY)).all()
    opened.engine.dispose()
