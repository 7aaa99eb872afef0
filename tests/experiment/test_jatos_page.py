"""The page on JATOS, in a real browser, up to the import of what JATOS gives back."""

import csv
import json
from contextlib import contextmanager
from zipfile import ZipFile

import pytest
import yaml
from tests.experiment import test_page
from tests.experiment.jatos_server import START, on_jatos
from tests.experiment.test_page import Participant, require_accessible, shot, watched

from metamers.experiment.jatos import read_key, write_archive
from metamers.experiment.jatos_results import score

pytestmark = test_page.pytestmark
chromium = test_page.chromium
SOONER = "const wait = setTimeout; window.setTimeout = (f, ms) => wait(f, Math.min(ms, 50));"


@pytest.fixture
def study(experiment, tmp_path):
    """The folder of a study as JATOS unpacks it, with two lists, and its key."""
    path = experiment / "experiment.yaml"
    values = yaml.safe_load(path.read_text())
    values["times"] = {"blank_ms": 50, "fixation_ms": 50, "stimulus_ms": 100, "mask_ms": 50, "deadline_ms": None}
    path.write_text(yaml.safe_dump(values))
    write_archive(experiment, tmp_path / "study.jzip", 2)
    with ZipFile(tmp_path / "study.jzip") as archive:
        archive.extractall(tmp_path / "assets")
    (folder,) = (path for path in (tmp_path / "assets").iterdir() if path.is_dir())
    return folder, tmp_path / "study.key.json"


@contextmanager
def on_its_page(chromium, url, result, script=""):
    """A page at the study, of a run that JATOS numbers so."""
    with watched(chromium, f"{url}{START}", f"start?srid={result}", script) as page:
        yield page


def answer(participant, rows, block=None):
    """Name the pictures of some trials rightly, but for every fourth."""
    for shown in rows:
        if shown.block != block:
            participant.press("Go on")
            block = shown.block
        wrong = shown.trial_no % 4 == 0 and shown.phase == "main"
        participant.trial(next(label for label in ("cat", "cup", "sun") if (label == shown.label) != wrong))
        if shown.phase == "practice":
            participant.page.get_by_text(f"The right choice was: {shown.label}").wait_for()
            participant.press("Go on")
    return block


def agree(page):
    Participant(page).press("I have read this, am at least 18 years old, and agree to take part")


def begun(page):
    page.get_by_text("First, some pictures").wait_for()
    return Participant(page)


@pytest.mark.parametrize("sent", ["by the page", "as a file"])
def test_from_the_page_to_the_import_nothing_is_lost_doubled_or_told(chromium, study, tmp_path, sent):
    folder, key_file = study
    key = read_key(key_file)
    results = [tmp_path / "results.txt"]
    with on_jatos(folder, faults=0.3) as (url, jatos):
        jatos.batch, jatos.version = {"other": 1}, 5
        with on_its_page(chromium, url, 7, SOONER) as page:
            agree(page)
            participant = begun(page)
            rows = key.lists[next(int(number) for number in jatos.batch["dealt"])]
            answer(participant, rows[:7])
            page.reload()  # nothing was shown that was not answered
            block = answer(participant, rows[7:-1])
            if sent == "as a file":
                page.route("**/jatos/*", lambda route: route.abort())
            answer(participant, rows[-1:], block)
            if sent == "as a file":
                with page.expect_download() as download:
                    participant.press("Download my answers")
                results.append(tmp_path / download.value.suggested_filename)
                download.value.save_as(results[-1])
            else:
                page.get_by_role("textbox").fill("none")
                participant.press("Send")
                page.get_by_text("You are done").wait_for()
                require_accessible(page)
                shot(page, "jatos-end")
                assert not jatos.ended
                participant.press("Go on")
                page.get_by_text("The end page of JATOS").wait_for()
        assert jatos.ended == ({"7": ("end", True)} if sent == "by the page" else {}) and jatos.batch["other"] == 1
    results[0].write_text(jatos.text())
    lines = [json.loads(line) for line in jatos.text().splitlines() if line]
    assert len({line["run"] for line in lines}) == 1 and "correct" not in jatos.text()
    scored = score(results, key_file, tmp_path / "out")
    assert (scored.participants, scored.excluded, scored.conflicts) == (1, {}, [])
    with scored.table.open() as file:
        taken = [(row["cell"], row["response"]) for row in csv.DictReader(file)]
    cells = {stimulus.stimulus: stimulus.cell for stimulus in key.stimuli}
    clicked = zip(rows, participant.said, strict=True)
    assert taken == [(cells[shown.stimulus_id], said) for shown, said in clicked if shown.phase == "main"]


def test_lists_are_dealt_once_each_and_then_anew(chromium, study):
    with on_jatos(study[0], seed=1, faults=0.3) as (url, jatos):
        with (
            on_its_page(chromium, url, 1, SOONER) as first,
            on_its_page(chromium, url, 2, SOONER) as second,
            on_its_page(chromium, url, 3, SOONER) as third,
        ):
            for page in (first, second):  # each as if nobody else had come
                agree(page)
            for page in (first, second):
                begun(page)
            runs = {list_: told["ticket"] for list_, told in jatos.batch["dealt"].items()}
            oldest = min(jatos.batch["dealt"], key=lambda list_: jatos.batch["dealt"][list_]["turn"])
            assert runs.keys() == {"0", "1"} and len(set(runs.values())) == 2 and jatos.refused
            agree(third)
            begun(third)
        again = {list_: told["ticket"] for list_, told in jatos.batch["dealt"].items()}
        assert [list_ for list_ in runs if again[list_] != runs[list_]] == [oldest]
    written = [json.loads(line)["run"] for text in jatos.results.values() for line in text.splitlines()]
    assert written and not any(run in json.dumps(jatos.batch) for run in written)  # which all of the batch can read
    begins = [json.loads(line)["begin"] for text in jatos.results.values() for line in text.splitlines()[:1]]
    assert sorted(begin["list"] for begin in begins) == sorted([0, 1, int(oldest)])


@pytest.mark.parametrize(
    ("choice", "ended"),
    [
        ("Leave, my data may be kept", ("end", "withdrawn")),
        ("Leave and delete my data", ("abort", "withdrawn")),
        ("I do not want to take part", ("end", "declined")),
    ],
)
def test_who_does_not_go_on_is_let_go(chromium, study, choice, ended):
    with on_jatos(study[0], faults=0.3) as (url, jatos), on_its_page(chromium, url, 1, SOONER) as page:
        if ended[1] == "withdrawn":
            agree(page)
            begun(page).press("Leave the experiment")
        Participant(page).press(choice)
        page.get_by_text("You have left" if ended[1] == "withdrawn" else "You did not take part").wait_for()
        page.wait_for_function(
            "(id) => fetch('jatos/peek').then((r) => r.text()).then((t) => t.includes(id))", arg='"1"'
        )
        assert jatos.ended == {"1": ended} and bool(jatos.results.get("1")) == (ended[0] == "end")
