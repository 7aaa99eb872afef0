"""Six participants in a real browser, with real clicks and keys, whose connection, page and server fail."""

import random
import re
import resource
from collections import Counter
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import select
from tests.experiment import test_page
from tests.experiment.conftest import LABELS, free_port, serving, wait_for, write_experiment
from tests.experiment.test_page import Participant, watched

from metamers.experiment.database import CONFLICT, EVENT, RESPONSE, SESSION, TRIAL, connect

pytestmark = test_page.pytestmark
chromium = test_page.chromium

MAIN = 24
TIMES = {"blank_ms": 50, "fixation_ms": 50, "stimulus_ms": 100, "mask_ms": 50}
STEPS = re.compile("^(Go on|Next picture|Send)$")
# What takes a minute takes a second; a request that hangs is given up as soon.
SOONER = """
const wait = setTimeout, timeout = AbortSignal.timeout;
window.setTimeout = (f, ms) => wait(f, Math.min(ms, 300));
AbortSignal.timeout = (ms) => timeout.call(AbortSignal, Math.min(ms, 1000));
"""


class Server:
    """A server in a process of its own, which can be killed and begin anew where it was."""

    def __init__(self, folder):
        self.folder, self.port = folder, free_port()
        self.start()

    def start(self):
        self.serving = serving(self.folder, self.port)
        self.url, self.process = self.serving.__enter__()
        wait_for(self.url)

    def stop(self):
        self.serving.__exit__()

    @contextmanager
    def killed(self):
        self.stop()
        yield
        self.start()

    @contextmanager
    def disk_full(self):
        """No file of its can be written to."""
        soft, hard = resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (0, hard))
        yield
        resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE, (soft, hard))


@contextmanager
def offline(page):
    page.context.set_offline(True)
    yield
    page.context.set_offline(False)


@contextmanager
def routed(page, answer):
    page.context.route("**/api/*", answer)
    yield
    page.context.unroute("**/api/*")


@contextmanager
def given_up():
    """The page may have given up the request meanwhile."""
    from playwright.sync_api import Error

    with suppress(Error):
        yield


def error(route):
    route.fulfill(status=500, json={})


def lost_reply(route):
    with given_up():
        route.fetch()
        route.abort()


def cut_reply(route):
    with given_up():
        route.fulfill(status=200, content_type="application/json", body=route.fetch().text()[:10])


def doubled(route):
    with given_up():
        route.fetch()
        route.fulfill(response=route.fetch())


def hanging(_):
    pass


class Visitor(Participant):
    """Who goes through the whole page while faults are injected between trials and within them."""

    def __init__(self, page, server, seed):
        super().__init__(page, keys=bool(seed % 2))
        self.server, self.rng, self.faults = server, random.Random(seed), Counter[str]()

    def visit(self):
        self.agree()
        while (step := self.next_step()) is not None:
            if step != "Next picture":
                shown = self.page.get_by_role("button", name=step, exact=True).element_handle()
                self.press(step)
                shown.wait_for_element_state("hidden")
            elif self.rng.random() < 0.4:
                self.fail(self.rng.choice([*self.around(), "reload", "back", "second tab", "reload within"]))
            else:
                self.trial(self.rng.choice(LABELS))

    def next_step(self):
        """The button that leads on; None at the end."""
        found = self.page.get_by_role("button", name=STEPS).or_(self.page.get_by_text("You are done"))
        found.first.wait_for()
        text = found.first.text_content() or ""
        return text if STEPS.fullmatch(text) else None

    def around(self):
        """Faults that last for the time of a trial."""
        answers = {
            f.__name__: (lambda f=f: routed(self.page, f)) for f in (error, lost_reply, cut_reply, doubled, hanging)
        }
        return {
            **answers,
            **{"offline": lambda: offline(self.page), "killed": self.server.killed, "disk full": self.server.disk_full},
        }

    def fail(self, fault):
        self.faults[fault] += 1
        print(fault, "after", len(self.said))
        if fault in (around := self.around()):
            with around[fault]():
                self.trial(self.rng.choice(LABELS))
                self.page.wait_for_timeout(400)
        elif fault == "second tab":
            other = self.page.context.new_page()
            other.goto(self.page.url)
            other.get_by_text("open in another window").wait_for()
            other.close()
        elif fault == "back":
            self.page.goto("about:blank")
            self.page.go_back()
        else:
            if fault == "reload within":
                self.press("Next picture")
                self.page.get_by_role("group").wait_for()
            self.page.reload()


@pytest.mark.parametrize("seed", range(6))
def test_whatever_fails_each_answer_is_there_once(chromium, tmp_path, seed):
    unanswered = ("skip", "repeat")[seed % 3 == 0]
    changes = {"screening": {"trials": 3, "pass": 0}, "unanswered": unanswered, "times": TIMES}
    folder = write_experiment(tmp_path / "exp", references=MAIN, **changes)
    server = Server(folder)
    try:
        with watched(chromium, server.url, script=SOONER) as page:
            visitor = Visitor(page, server, seed)
            try:
                visitor.visit()
            except Exception:
                print(page.inner_text("body"))
                raise
            code = page.locator("code").text_content()
    finally:
        server.stop()
    with connect(str(folder / "data.sqlite")).begin() as db:
        (session,) = db.execute(select(SESSION)).mappings()
        trials = db.execute(select(TRIAL)).mappings().all()
        answers = db.execute(select(RESPONSE).order_by(RESPONSE.c.seq)).mappings().all()
        events = db.execute(select(EVENT).order_by(EVENT.c.seq)).mappings().all()
        assert not db.execute(select(CONFLICT)).all()
    assert (session["state"], session["outcome_code"]) == ("finished", code)
    assert [row["response"] for row in answers] == visitor.said
    assert [row["seq"] for row in events] == list(range(1, session["last_seq"] + 1))
    shown = Counter(row["payload"]["trial"] for row in events if row["type"] == "shown")
    assert set(shown) == {row["trial_no"] for row in trials} and sum(r["phase"] == "main" for r in trials) == MAIN
    assert max(shown.values()) <= (2 if unanswered == "repeat" else 1)
    assert {row["trial_no"]: row["attempts"] for row in trials} == shown
    assert len(shown) - len({row["trial_no"] for row in answers}) <= visitor.faults["reload within"]
    assert len(visitor.faults) >= 4, visitor.faults
