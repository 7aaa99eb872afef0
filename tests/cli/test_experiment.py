"""`metamers experiment`: from a run to what people are asked."""

import csv
import json
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

LABELS = ["airplane", "anchor"]
PAIRS = "pairs-vision"
INIT = ("experiment", "init", "run", "--out", "exp", "--set", "missing=skip")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A run of two models and two stages, some cells of which fail."""
    from metamers.matching import AboveNull, Representation
    from metamers.models import load_model
    from metamers.stimuli.pictograms import pictograms
    from metamers.study import ModelTask, Settings, run_local
    from metamers.synthesis import recipe_named

    folder = tmp_path_factory.mktemp("made") / "run"
    recipe = recipe_named("fast").with_options(steps=30)
    settings = Settings((recipe,), AboveNull(quantile="0.9"), null_stimuli=pictograms(n=60, seed=1), null_pairs=500)
    stages = Representation(("relu",)), Representation(("output",))
    nets = [load_model(f"bundled:{name}") for name in ("picto-resnet", "picto-resnet-b")]
    run_local(folder, [ModelTask(net, pictograms(n=18)[[0, 1, 16, 17]], stages) for net in nets], settings)
    return folder


@pytest.fixture
def run(cli, made):
    Path("run").symlink_to(made)


def repeat_a_row():
    table = Path("exp/stimuli.csv")
    table.write_text(table.read_text() + table.read_text().splitlines()[1] + "\n")


def rows(path="exp/stimuli.csv"):
    with Path(path).open(newline="") as file:
        return list(csv.DictReader(file))


def test_an_experiment_is_made_of_verified_metamers(cli, run):
    told = cli(*INIT, "times.deadline_ms=3000", "--json").json
    main = [row for row in rows() if row["phase"] == "main"]
    natural = [row for row in main if row["condition"] == "natural"]
    assert told["labels"] == LABELS and told["main"] == len(main) and told["stimuli"] == len(rows())
    assert len(natural) == 4 and len(main) > 4 and {row["source"] for row in main} == {row["source"] for row in natural}
    assert {row["condition"] for row in main} > {"natural", "picto-resnet/output"}
    held = yaml.safe_load(Path("exp/experiment.yaml").read_text())
    assert held["times"]["deadline_ms"] == 3000 and held["times"]["mask_ms"] == 300 and held["catch"]["pass"] == 15
    for row in rows():
        image = np.asarray(Image.open(f"exp/{row['file']}"))
        assert image.shape == (256, 256, 3) and row["factor"] == "4"
        assert (image[::4, ::4] == image[3::4, 3::4]).all()
        name = Path(row["file"]).stem
        assert name == row["stimulus"] and len(name) == 16 and not any(word in name for word in ("picto", *LABELS))
    of_cell = next(row for row in main if row["model"])
    original = Image.open(f"run/metamers/{of_cell['cell'].replace('/s0', '.s0.png')}")
    shown = Image.open(f"exp/{of_cell['file']}")
    assert (np.asarray(shown)[::4, ::4] == np.asarray(original)).all()


def test_practice_screening_and_catch_stimuli_are_no_references(cli, run):
    assert cli(*INIT).code == 0
    phases = {phase: [row for row in rows() if row["phase"] == phase] for phase in ("practice", "screening", "catch")}
    assert {phase: len(found) for phase, found in phases.items()} == {"practice": 16, "screening": 12, "catch": 16}
    assert all({row["label"] for row in found} == set(LABELS) for found in phases.values())
    assert len({row["sha256"] for row in rows()}) == len(rows())
    stimuli = [row["stimulus"] for row in rows()]
    assert cli("experiment", "init", "run", "--out", "other", "--set", "missing=skip", "seed=1").code == 0
    assert not set(stimuli) & {row["stimulus"] for row in rows("other/stimuli.csv")}


def test_a_plan_tells_trials_coverage_and_precision(cli, run):
    assert cli(*INIT).code == 0
    told = cli("experiment", "plan", "exp", "--participants", "10", "--json").json
    assert (told["conditions"], told["sources"], told["main_trials"], told["trials"]) == (5, 4, 4, 48)
    assert told["trials_per_condition"] == [0, 1] and told["natural_trials"] == [0, 1] and told["seen"] == [2, 2]
    assert told["se_participant"] == pytest.approx((0.25 / 0.8) ** 0.5)
    assert told["se_mean"] == pytest.approx(told["se_participant"] / 10**0.5)
    size = sum(Path(f"exp/{row['file']}").stat().st_size for row in rows()) / len(rows())
    assert told["megabytes"] == pytest.approx(48 * size / 1e6)
    words = cli("experiment", "plan", "exp").out
    assert "48 trials a participant, 4 main ones" in words and "of 20 participants, 4 see each" in words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("missing=refuse",), "cells did not pass (first picto-resnet"),
        (("missing=skip", "labels=[airplane, cat]"), "is labeled 'anchor', which is none of the experiment's labels"),
        (("screening={trials: 3, pass: 4}",), "4 of 3 cannot be right"),
        (("times.mask_ms=-1",), "times.mask_ms"),
        (("tasks=image",), "tasks: Extra inputs are not permitted"),
        (("missing=skip", "--preset", "feather-audio"), "holds images, which the task 'word' does not show"),
        (("missing=refuse", "--preset", "pairs-vision"), "or set missing to skip"),
        (("missing=substitute_natural", "--preset", "pairs-vision"), "compare a reference with itself"),
        (("missing=skip", "pairs=[[a/b, c/d]]", "--preset", "pairs-vision"), "'a/b' is no MODEL/STAGE of the metamers"),
        (("missing=skip", "pairs=[[a/b, c/d]]"), "pairs are of the tasks image_pair and sound_pair, not of image"),
        (("missing=skip", "--practice", "photos"), "'photos' has too few stimuli with the experiment's labels"),
    ],
)
def test_what_cannot_be_asked_is_refused(cli, run, options, words):
    Path("photos/frog").mkdir(parents=True)
    for i in range(3):
        Image.new("RGB", (32, 32), (i, 0, 0)).save(f"photos/frog/{i}.png")
    ended = cli(*INIT[:-1], *options)
    assert ended.code == 2 and words in ended.err and ended.err.count("\n") == 1


def test_a_folder_in_use_and_a_run_without_metamers_are_refused(cli, run):
    assert cli(*INIT).code == 0
    assert "is not empty" in cli(*INIT).err
    assert "not a run" in cli("experiment", "init", "exp", "--out", "other").err


@pytest.mark.parametrize(
    ("harm", "words"),
    [
        (lambda rows: Path("exp", rows[0]["file"]).unlink(), "is missing"),
        (lambda rows: Path("exp", rows[0]["file"]).write_bytes(b""), "is not the file that was recorded"),
        (lambda rows: repeat_a_row(), "twice"),
        (lambda rows: Path("exp/stimuli.csv").write_text("stimulus\n1\n"), "cannot be read"),
        (lambda rows: Path("exp/experiment.yaml").write_text("version: 2"), "version"),
    ],
)
def test_an_altered_experiment_is_refused(cli, run, harm, words):
    assert cli(*INIT).code == 0
    harm(rows())
    ended = cli("experiment", "plan", "exp")
    assert ended.code == 2 and words in ended.err


def test_from_a_run_to_its_statistics(cli, run):
    assert (
        cli(*INIT, "practice=2", "screening.trials=0", "screening.pass=0", "catch.trials=2", "catch.pass=2").code == 0
    )
    told = cli("experiment", "simulate", "exp", "--participants", "5", "--seed", "1", "--json")
    assert told.code == 0 and told.json["states"] == {"finished": 5}
    exported = cli("experiment", "export", "exp", "--out", "data", "--json")
    assert exported.json["included"] == 5
    assert cli("experiment", "export", "exp", "--out", "data").code == 2
    with Path("data/responses.csv").open(newline="") as file:
        answers = list(csv.DictReader(file))
    shutil.copytree("run", "own")
    taken = cli("import-responses", "own", "data/responses.csv", "--json")
    assert taken.json["new"] == len(answers) and taken.json["participants"] == 5
    assert "5 of the participants are simulated" in taken.err
    for name in ("one", "other"):
        assert cli("experiment", "simulate", "exp", "--participants", "2", "--database", name).code == 0
        with closing(sqlite3.connect(name)) as database:
            database.execute("UPDATE session SET mode = 'live'")
            database.commit()
        assert cli("experiment", "export", "exp", "--database", name, "--out", f"of-{name}").code == 0
    files = [f"of-{name}/responses.csv" for name in ("one", "other")]
    taken = cli("import-responses", "own", *files, "--no-report", "--json")
    assert taken.json["participants"] == 9  # nobody of one database is taken for somebody of another


@pytest.fixture
def page(monkeypatch, tmp_path):
    """A page that was built, whatever is in it."""
    from metamers.experiment import server

    for name in ("jatos.html", "jatos.js", "style.css", "index.html"):
        (tmp_path / name).write_text("")
    monkeypatch.setattr(server, "PAGE", tmp_path)


def test_from_a_run_to_its_statistics_by_way_of_jatos(cli, run, page):
    small = ("practice=0", "screening.trials=0", "screening.pass=0", "catch.trials=1", "catch.pass=1")
    assert cli(*INIT, *small).code == 0
    made = cli("experiment", "jatos", "exp", "--out", "study.jzip", "--participants", "3", "--json")
    assert made.code == 0 and made.json["lists"] == 3 and made.json["key"] == "study.key.json"
    key = json.loads(Path("study.key.json").read_text())
    consent = {"decision": "agreed", "language": "en", "text_hash": "0" * 64}
    text = ""
    for number, rows in enumerate(key["lists"]):
        begin = {"study": key["study"], "list": number, "consent": consent, "environment": {}}
        lines = [{"begin": begin}]
        for i, shown in enumerate(rows):
            at = {"t_ms": 1.0, "trial": shown["trial_no"]}
            lines.append({"event": {"seq": 2 * i + 1, "type": "shown", **at}})
            answer = {"response": LABELS[number == 2] if shown["phase"] == "catch" else shown["label"]}
            lines.append({"event": {"seq": 2 * i + 2, "type": "answered", "answer": answer, **at}})
        lines.append({"finish": {"last_seq": 2 * len(rows)}})
        text += "".join(json.dumps({"run": f"{number:032x}", **line}) + "\n" for line in lines) + "\n"
    Path("results.txt").write_text(text)
    catch = next(shown["label"] for shown in key["lists"][0] if shown["phase"] == "catch")
    count = [number for number in range(3) if LABELS[number == 2] == catch]
    n_main = sum(shown["phase"] == "main" for number in count for shown in key["lists"][number])
    shutil.copytree("run", "own")
    take = ("import-responses", "own", "results.txt", "--jatos", "study.key.json", "--no-report", "--json")
    taken = cli(*take)
    assert taken.code == 0 and taken.json["new"] == n_main > 0 and taken.json["participants"] == len(count)
    assert taken.err.count("does not count (catch 0)") == 3 - len(count)
    table = Path("own/tables/responses.csv").read_bytes()
    assert cli(*take).json["new"] == 0 and Path("own/tables/responses.csv").read_bytes() == table
    assert "--columns" in cli(*take, "--rt-unit", "s").err
    assert "line 1" in cli("import-responses", "own", "exp/experiment.yaml", "--jatos", "study.key.json").err


def test_a_file_of_what_was_not_sent_is_taken_in(cli, run):
    from metamers.experiment.messages import Begin, Consent
    from metamers.experiment.opened import open_experiment
    from metamers.experiment.sessions import Sessions

    assert cli(*INIT).code == 0
    opened = open_experiment(Path("exp"))
    sessions = Sessions(opened.design, opened.hash, "live", b"k" * 64)
    with opened.engine.begin() as db:
        session = sessions.begin(db, Begin())["session"]
        lease = sessions.open(db, session, None)["lease"]
        sessions.consent(db, session, Consent(decision="agreed", language="en", text_hash="0" * 64))
    unsent = {"version": 1, "session": session, "lease": lease, "last_seq": 1}
    Path("unsent.json").write_text(json.dumps({**unsent, "events": [{"seq": 1, "type": "focus", "t_ms": 1.0}]}))
    told = cli("experiment", "import", "exp", "unsent.json", "--json")
    assert told.code == 0 and told.json["new"] == 1 and told.json["state"] == "running"
    assert "0 new events, 1 were known; the session is running" in cli("experiment", "import", "exp", "unsent.json").out
    Path("unsent.json").write_text(json.dumps({**unsent, "events": [{"seq": 3, "type": "focus", "t_ms": 1.0}]}))
    told = cli("experiment", "import", "exp", "unsent.json")
    assert told.code == 0 and "events left out: 1 (the events after 1 are missing)" in told.err


def test_from_a_run_to_preferences(cli, run):
    made = cli(*INIT, "practice=2", "screening={trials: 0, pass: 0}", "catch={trials: 2, pass: 2}", "--preset", PAIRS)
    assert made.code == 0 and "2 pairs of conditions" in made.out
    pairs = yaml.safe_load(Path("exp/experiment.yaml").read_text())["pairs"]
    assert pairs == [[f"picto-resnet/{stage}", f"picto-resnet-b/{stage}"] for stage in ("relu", "output")]
    words = cli("experiment", "plan", "exp").out
    assert "8 trials a participant, 4 main ones" in words and "2 pairs of conditions, 2 trials of each\n" in words
    assert cli("experiment", "simulate", "exp", "--participants", "3", "--json").json["states"] == {"finished": 3}
    assert "data/pairs.csv tells" in cli("experiment", "export", "exp", "--out", "data").out
    with Path("data/pairs.csv").open(newline="") as file:
        assert 0 < sum(int(row["n"]) for row in csv.DictReader(file)) <= 12  # less those without both metamers
    refused = cli("import-responses", "run", "data/trials.csv")
    assert refused.code == 2 and "preferences between two candidates" in refused.err and refused.err.count("\n") == 1


@pytest.mark.parametrize(
    ("command", "problem"),
    [
        (("simulate", "exp", "--profile", "x.csv"), "--profile-model"),
        (("simulate", "exp", "--profile", "x.csv", "--profile-model", "net"), "cannot be read"),
        (("serve", "exp", "--host", "0.0.0.0"), "--public-url"),
        (("export", "exp", "--out", "data"), "nobody has taken part"),
        (("export", "exp", "--out", "data", "--database", "no://x"), "database"),
        (("simulate", "nothing"), "nothing"),
        (("import", "exp", "none.json"), "cannot be read"),
        (("jatos", "exp", "--out", "study.zip", "--participants", "2"), ".jzip"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(cli, run, command, problem):
    assert cli(*INIT).code == 0
    told = cli("experiment", *command)
    assert told.code == 2 and problem in told.err and told.err.count("\n") == 1
