"""The page that participants see, in a real browser, with real clicks and keys."""

import hashlib
import os
import random
import shutil
from collections import Counter
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from zipfile import ZipFile

import pytest
import yaml
from sqlalchemy import select, update
from tests.experiment.conftest import write_pairs

from metamers.experiment.database import ANSWER, AUDIT, CHECK, CONFLICT, CONSENT, EVENT, RESPONSE, SESSION, TRIAL
from metamers.experiment.opened import open_experiment
from metamers.experiment.server import PAGE
from metamers.experiment.serving import served
from metamers.experiment.simulate import simulate
from metamers.experiment.unsent import take_in

if TYPE_CHECKING:
    from playwright.sync_api import Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page was NOT opened"),
    pytest.mark.skipif(
        not (PAGE / "index.html").is_file(), reason="the page is not built (make web): it was NOT opened"
    ),
]
AXE = Path(__file__).parents[2] / "web/node_modules/axe-core/axe.min.js"
SERIOUS = ("serious", "critical")
WATCH = """
window.complaints = [];
addEventListener("securitypolicyviolation", (event) => complaints.push(event.violatedDirective + event.blockedURI));
"""


@pytest.fixture(scope="module")
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: the page was NOT opened")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        browser.close()


@pytest.fixture
def opened(experiment):
    path = experiment / "experiment.yaml"
    values = yaml.safe_load(path.read_text())
    values["times"] = {"blank_ms": 50, "fixation_ms": 50, "stimulus_ms": 100, "mask_ms": 50, "deadline_ms": None}
    path.write_text(yaml.safe_dump(values))
    return open_experiment(experiment)


@contextmanager
def at_the_page(chromium, opened, path="/", admin_token=None):
    """A page at the experiment, which is served meanwhile."""
    with served(opened, "pilot", admin_token) as url, watched(chromium, url, path) as page:
        yield page


@contextmanager
def watched(chromium, url, path="/", script=""):
    """A page that must ask nothing of other origins and break no rule of its own."""
    context = chromium.new_context(locale="en-US", viewport={"width": 1000, "height": 800})
    context.add_init_script(WATCH + script)
    page = context.new_page()
    page.set_default_timeout(20_000)
    asked, errors = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.goto(url + path)
    yield page
    assert not errors
    assert not [one for one in asked if not one.startswith((url, "blob:"))]
    assert [one.evaluate("complaints") for one in context.pages] == [[]] * len(context.pages)
    context.close()


class Participant:
    """Someone who clicks, or only types."""

    def __init__(self, page: "Page", keys=False):
        self.page, self.keys = page, keys
        self.said: list[str] = []

    def press(self, name):
        button = self.page.get_by_role("button", name=name, exact=True)
        button.wait_for()
        if self.keys:
            button.focus()
            self.page.keyboard.press("Enter")
        else:
            button.click()

    def agree(self):
        self.press("I have read this, am at least 18 years old, and agree to take part")
        self.page.get_by_role("button", name="Go on").wait_for()

    def trial(self, label):
        self.press("Next picture")
        grid = self.page.get_by_role("group")
        grid.wait_for()
        assert not self.page.get_by_role("heading").count()  # nothing but the choices
        if self.keys:
            for _ in range(list(grid.get_by_role("button").all_text_contents()).index(label)):
                self.page.keyboard.press("ArrowRight")
            self.page.keyboard.press("Enter")
        else:
            grid.get_by_role("button", name=label, exact=True).click()
        self.said.append(label)


def trials_of(opened):
    with opened.engine.begin() as db:
        return db.execute(select(TRIAL).order_by(TRIAL.c.trial_no)).mappings().all()


def go_through(participant, opened, first=1):
    """All trials from the first on, with right answers, and the screens between them."""
    block = None
    for row in trials_of(opened)[first - 1 :]:
        if row["block"] != block:
            participant.press("Go on")
            block = row["block"]
        participant.trial(row["label"])
        if row["phase"] == "practice":
            participant.page.get_by_text(f"The right choice was: {row['label']}").wait_for()
            assert participant.page.get_by_role("heading", name="Right", exact=True).count()
            participant.press("Go on")


def require_accessible(page):
    """Raises AssertionError where axe-core finds a serious fault."""
    if not AXE.is_file():
        pytest.skip("no axe-core (make web): accessibility was NOT checked")
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run().then((result) => result.violations)")
    serious = [(one["id"], [node["html"] for node in one["nodes"]]) for one in found if one["impact"] in SERIOUS]
    assert not serious


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_screen_is_accessible(chromium, opened, scheme):
    with at_the_page(chromium, opened, admin_token="secret") as page:
        page.emulate_media(color_scheme=scheme)
        participant = Participant(page)
        page.get_by_role("heading").wait_for()
        require_accessible(page)
        participant.agree()
        require_accessible(page)
        participant.press("Go on")
        page.get_by_role("button", name="Next picture").wait_for()
        require_accessible(page)
        participant.press("Next picture")
        page.get_by_role("group").wait_for()
        require_accessible(page)
        page.get_by_role("group").get_by_role("button").first.click()
        page.get_by_text("The right choice was").wait_for()
        require_accessible(page)
        participant.press("Leave the experiment")
        require_accessible(page)
        participant.press("Leave, my data may be kept")
        page.get_by_text("You have left").wait_for()
        require_accessible(page)
        page.goto(page.url + "admin")
        require_accessible(page)
        page.get_by_label("Token").fill("secret")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("table").first.wait_for()
        require_accessible(page)


def shot(page, name):
    """A picture for whoever wants to look, where METAMERS_SHOTS names a folder."""
    if folder := os.environ.get("METAMERS_SHOTS"):
        page.screenshot(path=f"{folder}/{name}.png")


@pytest.mark.parametrize("keys", [False, True])
def test_a_whole_session(chromium, opened, keys):
    with at_the_page(chromium, opened) as page:
        participant = Participant(page, keys)
        page.get_by_role("heading", name="Naming pictures").wait_for()
        shot(page, "consent")
        participant.agree()
        page.get_by_text("First, some pictures").wait_for()
        shot(page, "instructions")
        go_through(participant, opened)
        page.get_by_role("textbox").fill("none")
        shot(page, "comments")
        participant.press("Send")
        page.get_by_text("You are done").wait_for()
        shot(page, "end")
        code = page.locator("code").text_content()
    with opened.engine.begin() as db:
        session = db.execute(select(SESSION)).mappings().one()
        answers = db.execute(select(RESPONSE).order_by(RESPONSE.c.trial_no)).mappings().all()
        events = db.execute(select(EVENT).order_by(EVENT.c.seq)).mappings().all()
    assert session["state"] == "finished" and session["outcome_code"] == code
    assert session["environment"]["viewport_w_px"] == 1000 and session["environment"]["browser_family"] == "Chrome"
    assert [row["response"] for row in answers] == participant.said and all(row["correct"] for row in answers)
    assert [row["seq"] for row in events] == list(range(1, len(events) + 1))
    assert all(row["rt_ms"] > 0 and row["stimulus_ms"] > 50 for row in answers)


def test_a_page_that_is_loaded_again_goes_on(chromium, opened):
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        participant.trial(trials_of(opened)[0]["label"])
        participant.press("Go on")
        participant.press("Next picture")
        page.get_by_role("group").wait_for()  # the second has been shown
        page.reload()
        go_through(participant, opened, first=3)
        participant.press("Send")
        page.get_by_text("You are done").wait_for()
    states = [row["state"] for row in trials_of(opened)]
    assert states == ["answered", "interrupted", *["answered"] * 11]
    with opened.engine.begin() as db:
        assert db.execute(select(SESSION.c.n_resumes)).scalar() == 1


def test_a_page_that_is_loaded_again_before_it_has_its_session_gets_it(chromium, opened):
    with at_the_page(chromium, opened, "/?PROLIFIC_PID=abc") as page:
        Participant(page).agree()
        taken: list[str] = []
        lost = 2

        def take_and_say_nothing(route):
            if len(taken) == lost:
                route.continue_()
            else:
                taken.append(route.fetch().json()["lease"])

        page.route("**/api/open", take_and_say_nothing)
        for number in range(1, lost + 1):
            page.reload()
            while len(taken) < number:
                page.wait_for_timeout(20)
        page.reload()
        page.get_by_role("button", name="Go on").wait_for()
        assert taken[0] == taken[1]
    with opened.engine.begin() as db:
        # The three that loaded it again are one to the server, as they ask alike.
        assert db.execute(select(SESSION.c.n_resumes)).scalar_one() == 1
        assert len(db.execute(select(AUDIT).where(AUDIT.c.action == "open")).all()) == 2


def test_nothing_is_lost_without_a_connection(chromium, opened):
    with at_the_page(chromium, opened) as page:
        participant, rows = at_the_main_part(page, opened)
        participant.trial(rows[5]["label"])
        page.context.set_offline(True)
        participant.trial(rows[6]["label"])
        page.get_by_text("No connection").wait_for()
        shot(page, "offline")
        participant.trial(rows[7]["label"])
        page.context.set_offline(False)
        for row in rows[8:]:
            if row["block"] != rows[row["trial_no"] - 2]["block"]:
                participant.press("Go on")
            participant.trial(row["label"])
        participant.press("Send")
        page.get_by_text("You are done").wait_for()
    assert [row["state"] for row in trials_of(opened)] == ["answered"] * 13


@pytest.mark.parametrize("gone", ["in the last block", "at the end"])
def test_what_cannot_be_sent_at_the_end_is_a_file_that_is_taken_in_once(chromium, opened, tmp_path, gone):
    with at_the_page(chromium, opened) as page:
        participant, rows = at_the_main_part(page, opened)
        participant.trial(rows[5]["label"])
        for row in rows[6:-1]:
            if row["block"] != rows[row["trial_no"] - 2]["block"]:
                participant.press("Go on")
            participant.trial(row["label"])
        if gone == "at the end":
            participant.trial(rows[-1]["label"])
            page.get_by_role("textbox").fill("none")
        else:
            page.get_by_role("button", name="Next picture").wait_for()
        page.route("**/api/*", lambda route: route.abort())
        page.evaluate("const wait = setTimeout; window.setTimeout = (f, ms) => wait(f, Math.min(ms, 1000)); 0")
        if gone == "at the end":
            participant.press("Send")
        else:
            participant.trial(rows[-1]["label"])
        with page.expect_download() as download:
            participant.press("Download my answers")
        require_accessible(page)
        shot(page, "unsent")
        download.value.save_as(tmp_path / download.value.suggested_filename)
        path = next(tmp_path.glob("metamers-*.json"))
        token = page.context.cookies()[0]["value"].partition(".")[2]
        assert token and token not in path.read_text()
        told = take_in(opened, path)
        assert told["state"] == "finished" and told["new"] and take_in(opened, path)["new"] == 0
        page.unroute("**/api/*")  # the page went on trying
        page.get_by_text("You are done").wait_for()
        assert page.locator("code").text_content() == told["code"]
    with opened.engine.begin() as db:
        events = db.execute(select(EVENT).order_by(EVENT.c.seq)).mappings().all()
        answers = db.execute(select(RESPONSE).order_by(RESPONSE.c.trial_no)).mappings().all()
        assert not db.execute(select(CONFLICT)).all()
        comments = db.execute(select(ANSWER.c.value)).scalars().all()
    assert [row["seq"] for row in events] == list(range(1, len(events) + 1))
    assert [row["response"] for row in answers] == participant.said and len(answers) == 13
    assert comments == (["none"] if gone == "at the end" else [])


def at_the_main_part(page, opened):
    """A participant before the first main trial, and all trials."""
    participant = Participant(page)
    participant.agree()
    rows = trials_of(opened)
    go_through_part(participant, rows[:5])
    participant.press("Go on")
    return participant, rows


def go_through_part(participant, rows):
    block = None
    for row in rows:
        if row["block"] != block:
            participant.press("Go on")
            block = row["block"]
        participant.trial(row["label"])
        if row["phase"] == "practice":
            participant.press("Go on")


def test_sounds_are_heard_once_and_their_words_typed(chromium, heard):
    opened = open_experiment(heard)
    with at_the_page(chromium, opened) as page:
        participant, block = Participant(page), None
        page.get_by_role("heading", name="Naming sounds").wait_for()
        participant.agree()
        for row in trials_of(opened):
            if row["block"] != block:
                shot(page, f"sound-{row['phase']}")
                participant.press("Go on")
                block = row["block"]
            participant.press("Next sound")
            if row["phase"] == "headphones":
                page.get_by_role("group").wait_for()
                shot(page, "headphones")
                page.get_by_role("group").get_by_role("button").nth(int(row["label"]) - 1).click()
                continue
            box = page.get_by_label("The word you heard")
            box.wait_for()
            box.fill("nothing of the kind")
            participant.press("Send")
            shot(page, "word")
            assert box.is_visible()  # no word of the list
            box.fill(row["label"].upper())
            participant.press("Send")
            if row["phase"] == "practice":
                participant.press("Go on")
        participant.press("Send")
        page.get_by_text("You are done").wait_for()
    with opened.engine.begin() as db:
        answers = db.execute(select(RESPONSE).order_by(RESPONSE.c.trial_no)).mappings().all()
        gates = {row["name"]: row["score"] for row in db.execute(select(CHECK)).mappings()}
    assert len(answers) == 15 and all(row["correct"] for row in answers) and gates == {"headphones": 2, "screening": 3}
    assert all(row["stimulus_ms"] > 90 and row["rt_ms"] > row["stimulus_ms"] for row in answers)


def compare(participant, row, keys, go):
    """Answer a trial with two candidates: right where there is a right answer, else with the first."""
    participant.press(go)
    group = participant.page.get_by_role("group")
    group.wait_for()
    place = ["first", "second"].index(row["label"] or "first")
    if keys:
        participant.page.keyboard.press((["ArrowLeft", "ArrowRight"], ["1", "2"])[row["trial_no"] % 2][place])
    else:
        group.get_by_role("button").nth(place).click()
    group.wait_for(state="detached")


def compare_all(page, opened, keys, title, go, same):
    """A whole session of a task with pairs; its answers."""
    participant, block = Participant(page, keys), None
    page.get_by_role("heading", name=title).wait_for()
    participant.agree()
    for row in trials_of(opened):
        if row["block"] != block:
            participant.press("Go on")
            block = row["block"]
        compare(participant, row, keys, go)
        if row["phase"] == "practice":
            page.get_by_text(same[row["label"]]).wait_for()
            assert page.get_by_role("heading", name="Right", exact=True).count()
            participant.press("Go on")
    participant.press("Send")
    page.get_by_text("You are done").wait_for()
    with opened.engine.begin() as db:
        return db.execute(select(RESPONSE).order_by(RESPONSE.c.trial_no)).mappings().all()


def require_compared(opened, answers):
    conditions = {stimulus.stimulus: stimulus.condition for stimulus in opened.design.stimuli}
    rows = trials_of(opened)
    assert [row["state"] for row in rows] == ["answered"] * 13 and len(answers) == 13
    for row, answer in zip(rows, answers, strict=True):
        if row["phase"] == "main":
            assert answer["response"] == conditions[row["first_id"]] in row["condition"]
            assert answer["response_raw"] == "first" and answer["correct"] is None
        else:
            assert answer["correct"] and answer["response"] == row["label"]


@pytest.mark.parametrize("keys", [False, True])
def test_two_pictures_are_compared_with_a_third(chromium, paired, keys):
    opened = open_experiment(paired)
    same = {"first": "The picture on the left was the same", "second": "The picture on the right was the same"}
    with at_the_page(chromium, opened) as page:
        answers = compare_all(page, opened, keys, "Comparing pictures", "Next picture", same)
    require_compared(opened, answers)
    assert all(row["rt_ms"] == row["stimulus_ms"] > 0 and row["hidden_ms"] == 0 for row in answers)


def test_two_sounds_are_compared_with_a_third(chromium, tmp_path):
    opened = open_experiment(write_pairs(tmp_path / "exp", task="sound_pair"))
    same = {place: f"The {place} of the two was the same sound" for place in ("first", "second")}
    with at_the_page(chromium, opened) as page:
        answers = compare_all(page, opened, True, "Comparing sounds", "Next sounds", same)
    require_compared(opened, answers)
    # Three sounds of 0.1 s with half a second between.
    assert [row["stimulus_ms"] for row in answers if row["stimulus_ms"] < 1250] == []
    assert all(row["rt_ms"] > row["stimulus_ms"] for row in answers)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_comparing_is_accessible(chromium, paired, scheme):
    with at_the_page(chromium, open_experiment(paired)) as page:
        page.emulate_media(color_scheme=scheme)
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        participant.press("Next picture")
        group = page.get_by_role("group", name="Which looks more like the picture above?")
        group.wait_for()
        assert [button.inner_text() for button in group.get_by_role("button").all()] == ["Left", "Right"]
        shot(page, f"pair-{scheme}")
        require_accessible(page)
        page.keyboard.press("Enter")  # held down since the trial was asked for, it chooses nothing
        assert group.is_visible()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        page.get_by_text("was the same as the one above").wait_for()
        require_accessible(page)


def test_what_of_a_pair_cannot_be_shown_is_no_answer(chromium, paired):
    opened = open_experiment(paired)

    def fail(route):
        gone = route.request.url.endswith(trials_of(opened)[0]["second_media"])
        route.fulfill(status=404) if gone else route.continue_()

    with at_the_page(chromium, opened) as page:
        page.context.route("**/media/*", fail)
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        compare(participant, trials_of(opened)[1], False, "Next picture")
        page.get_by_text("was the same as the one above").wait_for()
    with opened.engine.begin() as db:
        answers = db.execute(select(RESPONSE).order_by(RESPONSE.c.trial_no)).mappings().all()
    assert [(row["trial_no"], row["media_ok"], row["correct"]) for row in answers] == [
        (1, False, None),
        (2, True, True),
    ]


def test_at_the_end_a_link_leads_back_with_the_code(chromium, experiment):
    path = experiment / "experiment.yaml"
    values = yaml.safe_load(path.read_text())
    values |= {"return_url": "https://example.org/complete?cc={code}", "codes": {"declined": "NO1"}}
    path.write_text(yaml.safe_dump(values))
    with at_the_page(chromium, open_experiment(experiment)) as page:
        page.get_by_role("button", name="I do not want to take part").click()
        link = page.get_by_role("link", name="Go back and hand in the code")
        assert link.get_attribute("href") == "https://example.org/complete?cc=NO1"


def test_demographics_may_be_kept_to_oneself(chromium, opened):
    path = opened.folder / "experiment.yaml"
    path.write_text(path.read_text().replace("demographics: false", "demographics: true"))
    opened = open_experiment(opened.folder, str(opened.folder / "other.sqlite"))
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        page.get_by_label("Age").select_option("25-34")
        require_accessible(page)
        participant.press("Go on")
        page.get_by_text("First, some pictures").wait_for()
        participant.press("Go on")
        participant.trial(trials_of(opened)[0]["label"])
        page.get_by_text("The right choice was").wait_for()
    with opened.engine.begin() as db:
        told = {row["item"]: row["value"] for row in db.execute(select(ANSWER)).mappings()}
    assert told == {"age": "25-34", "gender": "untold"}


def test_files_wait_for_the_connection(chromium, opened):
    with at_the_page(chromium, opened) as page:
        page.context.route("**/media/*", lambda route: route.abort())
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        page.get_by_text("No connection").wait_for()
        page.wait_for_timeout(3000)
        page.context.unroute("**/media/*")
        participant.trial(trials_of(opened)[0]["label"])
        page.get_by_text("The right choice was").wait_for()
    assert [row["state"] for row in trials_of(opened)][:2] == ["answered", "waiting"]


def test_answers_outlive_their_tab(chromium, opened):
    with at_the_page(chromium, opened) as page:
        participant, rows = at_the_main_part(page, opened)
        page.context.route("**/api/*", lambda route: route.abort())
        participant.trial(rows[5]["label"])
        participant.trial(rows[6]["label"])
        page.get_by_text("No connection").wait_for()
        other = page.context.new_page()
        page.close()
        page.context.unroute("**/api/*")
        other.goto(page.url)
        other.get_by_text("open in another window").wait_for()  # for a while, as the server cannot know
        assert [row["state"] for row in trials_of(opened)][5:8] == ["answered", "answered", "waiting"]


def test_a_browser_that_keeps_nothing_sends_all_the_same_and_says_so(chromium, opened):
    full = """
    const keep = Storage.prototype.setItem;
    Storage.prototype.setItem = function (...item) {
      if (this === localStorage) throw new DOMException("full", "QuotaExceededError");
      keep.apply(this, item);
    };
    """
    with at_the_page(chromium, opened) as page:
        page.add_init_script(full)
        page.reload()
        participant, _ = at_the_main_part(page, opened)
        participant.trial("cat")
        page.get_by_role("button", name="Next picture").wait_for()
    assert [row["state"] for row in trials_of(opened)][:6] == ["answered"] * 6
    with opened.engine.begin() as db:
        said = db.execute(select(EVENT.c.payload).where(EVENT.c.type == "error")).scalars().all()
    assert [one["detail"] for one in said] == ["kept in memory only: QuotaExceededError: full"]


def test_a_session_that_another_tab_took_stops_at_once(chromium, opened):
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        with opened.engine.begin() as db:
            db.execute(update(SESSION).values(lease="f" * 32))
        participant.press("Next picture")
        page.get_by_text("open in another window").wait_for()


@pytest.mark.parametrize("seed", range(3))
def test_replies_that_are_lost_doubled_or_errors_lose_and_double_nothing(chromium, opened, seed):
    rng = random.Random(seed)
    faults: Counter[str] = Counter()

    def faulty(route):
        fault = rng.choice(["none", "error", "lost request", "lost reply", "cut reply", "doubled"])
        faults[fault] += 1
        if fault == "error":
            route.fulfill(status=rng.choice([500, 503, 429]), json={})
        elif fault == "lost request":
            route.abort()
        elif fault == "lost reply":
            route.fetch()
            route.abort()
        elif fault == "cut reply":
            route.fulfill(status=200, content_type="application/json", body=route.fetch().text()[:10])
        else:
            for _ in range(1 if fault == "none" else 2):
                reply = route.fetch()
            route.fulfill(response=reply)

    with at_the_page(chromium, opened) as page:
        page.add_init_script("const wait = setTimeout; window.setTimeout = (f, ms) => wait(f, Math.min(ms, 100));")
        page.reload()
        participant = Participant(page)
        participant.agree()
        page.route("**/api/events", faulty)
        page.route("**/api/finish", faulty)
        go_through(participant, opened)
        participant.press("Send")
        page.get_by_text("You are done").wait_for()
    with opened.engine.begin() as db:
        events = db.execute(select(EVENT).order_by(EVENT.c.seq)).mappings().all()
        answers = db.execute(select(RESPONSE).order_by(RESPONSE.c.trial_no)).mappings().all()
        assert not db.execute(select(CONFLICT)).all()
    assert [row["seq"] for row in events] == list(range(1, len(events) + 1))
    assert [row["response"] for row in answers] == participant.said
    assert faults.total() > faults["none"]


def test_the_back_button_shows_nothing_as_new(chromium, opened):
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        participant.trial(trials_of(opened)[0]["label"])
        page.get_by_text("The right choice was").wait_for()
        page.goto("about:blank")
        page.go_back()
        go_through(participant, opened, first=2)
        participant.press("Send")
        page.get_by_text("You are done").wait_for()
        page.reload()
        page.get_by_text("You are done").wait_for()
    assert [row["state"] for row in trials_of(opened)] == ["answered"] * 13


def test_a_busy_page_is_never_called_on_time(chromium, opened):
    busy = "setInterval(() => { const end = performance.now() + 120; while (performance.now() < end); }, 130);"
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        page.evaluate(busy)
        go_through_part(participant, trials_of(opened)[:4])
    with opened.engine.begin() as db:
        assert [row["timing_ok"] for row in db.execute(select(RESPONSE)).mappings()] == [False] * 4


def test_a_second_tab_is_turned_away(chromium, opened):
    with at_the_page(chromium, opened) as page:
        Participant(page).agree()
        page.get_by_role("button", name="Go on").wait_for()
        other = page.context.new_page()
        other.goto(page.url)
        other.get_by_text("open in another window").wait_for()
        shot(other, "second-tab")


@pytest.mark.parametrize("choice", ["Leave, my data may be kept", "Leave and delete my data"])
def test_who_leaves_decides_about_the_data(chromium, opened, choice):
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        participant.trial(trials_of(opened)[0]["label"])
        participant.press("Leave the experiment")
        shot(page, "leave")
        participant.press(choice)
        page.get_by_text("You have left the experiment").wait_for()
    assert bool(trials_of(opened)) == ("kept" in choice)


def test_who_declines_and_who_reads_german(chromium, opened):
    with at_the_page(chromium, opened, "/?lang=de") as page:
        page.get_by_role("button", name="Ich möchte nicht teilnehmen").click()
        page.get_by_text("Sie haben nicht teilgenommen").wait_for()
        assert page.evaluate("document.documentElement.lang") == "de"
    assert not trials_of(opened)


def test_a_small_window_is_made_larger_and_a_telephone_is_turned_away(chromium, opened):
    with at_the_page(chromium, opened) as page:
        page.set_viewport_size({"width": 1000, "height": 400})
        page.reload()
        page.get_by_role("heading", name="Please use a computer").wait_for()
        page.set_viewport_size({"width": 1000, "height": 800})
        Participant(page).agree()
        telephone = chromium.new_context(has_touch=True, is_mobile=True, viewport={"width": 900, "height": 900})
        other = telephone.new_page()
        other.goto(page.url)
        other.get_by_role("heading", name="Please use a computer").wait_for()
        telephone.close()


def test_the_consent_form_is_the_researchers_own(chromium, experiment):
    path = experiment / "experiment.yaml"
    consent = ["We ask you to name <pictures>.", "Questions: lab@example.org"]
    own = {"title": "Our study", "consent": consent, "debriefing": "This was ours."}
    path.write_text(yaml.safe_dump({**yaml.safe_load(path.read_text()), "texts": {"en": own}}))
    opened = open_experiment(experiment)
    with at_the_page(chromium, opened, "/?lang=de") as page:  # in which there is none
        page.get_by_role("heading", name="Our study").wait_for()
        assert page.locator("p").all_text_contents()[: len(consent)] == consent
        assert page.evaluate("document.documentElement.lang") == "en" and page.title() == "Our study"
        page.get_by_role("button", name="I do not want to take part").click()
        page.get_by_text("You did not take part").wait_for()
    with opened.engine.begin() as db:
        kept = db.execute(select(CONSENT.c.language, CONSENT.c.text_hash)).one()
    assert tuple(kept) == ("en", hashlib.sha256("\n".join(consent).encode()).hexdigest())


def test_a_participant_of_prolific_is_known_again(chromium, opened):
    with at_the_page(chromium, opened, "/?PROLIFIC_PID=abc&STUDY_ID=s&SESSION_ID=t") as page:
        Participant(page).agree()
        page.get_by_role("button", name="Go on").wait_for()
    with opened.engine.begin() as db:
        assert [row.state for row in db.execute(select(SESSION))] == ["running"]


def test_researchers_see_how_far_it_is(chromium, opened, tmp_path):
    simulate(opened, 9, seed=0, accuracy=lambda stimulus: 0.6)
    opened = open_experiment(opened.folder)
    with at_the_page(chromium, opened, "/admin", admin_token="secret") as page:
        page.get_by_label("Token").fill("guess")
        page.get_by_role("button", name="Show").click()
        page.get_by_text("This is not the token").wait_for()
        page.get_by_label("Token").fill("secret")
        page.get_by_role("button", name="Show").click()
        page.get_by_role("heading", name="small").wait_for()
        shot(page, "admin")
        cells = page.get_by_role("table").first.get_by_role("row").nth(1).get_by_role("cell").all_text_contents()
        assert cells[0] == "simulated" and sum(map(int, cells[1:])) == 9
        with page.expect_download() as download:
            page.get_by_role("button", name="Download the data").click()
        download.value.save_as(tmp_path / "data.zip")
    with ZipFile(tmp_path / "data.zip") as archive:
        assert {"trials.csv", "responses.csv", "codebook.csv"} <= set(archive.namelist())
        assert archive.read("trials.csv").count(b"\n") == 1 + 9 * 13
