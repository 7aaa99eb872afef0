"""How the page looks: pictures of choices, the whole screen, and what is told between attempts."""

from collections.abc import Sequence

import pytest
from sqlalchemy import select
from tests.experiment import test_page
from tests.experiment.conftest import write_experiment
from tests.experiment.test_page import Participant, at_the_page, require_accessible, shot, trials_of

from metamers.experiment.database import CHECK, EVENT
from metamers.experiment.opened import Opened, open_experiment
from metamers.labels.imagenet16 import IMAGENET16
from metamers.stimuli.pictograms import NAMES

chromium = test_page.chromium
pytestmark = test_page.pytestmark

QUICK = {"blank_ms": 50, "fixation_ms": 50, "stimulus_ms": 100, "mask_ms": 50, "deadline_ms": None}
SIZES = [(1280, 800), (800, 600)]
PUBLISHED = IMAGENET16.labels
PICTURES = "(buttons) => buttons.map((one) => [one.textContent, one.querySelectorAll('svg[aria-hidden=true]').length, "
PICTURES += "one.innerHTML.replace(one.textContent, '')])"


@pytest.fixture
def made(tmp_path):
    """An experiment with given labels and changes."""

    def make(labels: Sequence[str] = NAMES, **changes: object) -> Opened:
        folder = write_experiment(tmp_path / "exp", labels=list(labels), times=QUICK, **changes)
        return open_experiment(folder)

    return make


def at_the_grid(page):
    participant = Participant(page)
    participant.agree()
    participant.press("Go on")
    participant.press("Next picture")
    page.get_by_role("group").wait_for()
    return participant


def places(page):
    """Of each choice: left, top, width and height, px."""
    boxes = [button.bounding_box() for button in page.get_by_role("group").get_by_role("button").all()]
    return [tuple(round(box[key]) for key in ("x", "y", "width", "height")) for box in boxes]


def in_both_sizes(page, name):
    """Look at a screen, and for its faults."""
    for width, height in SIZES:
        page.set_viewport_size({"width": width, "height": height})
        shot(page, f"{name}-{width}")
        require_accessible(page)


@pytest.mark.parametrize("labels", [PUBLISHED, NAMES], ids=["published", "pictograms"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_choice_has_its_picture_and_its_name(chromium, made, labels, scheme):
    with at_the_page(chromium, made(labels)) as page:
        page.emulate_media(color_scheme=scheme)
        at_the_grid(page)
        found = page.get_by_role("group").get_by_role("button").evaluate_all(PICTURES)
        assert [(text, count) for text, count, _ in found] == [(label, 1) for label in labels]
        assert len({picture for _, _, picture in found}) == len(labels) == 16
        assert page.get_by_role("button", name=labels[3], exact=True).is_visible()
        in_both_sizes(page, f"grid-{labels[1]}-{scheme}")


def test_where_one_label_has_no_picture_no_choice_stands_out(chromium, made):
    with at_the_page(chromium, made([*NAMES, "toaster"])) as page:
        at_the_grid(page)
        buttons = page.get_by_role("group").get_by_role("button")
        assert buttons.all_text_contents() == [*NAMES, "toaster"] and not page.locator("svg").count()


@pytest.mark.parametrize("size", [(640, 480), (480, 480), (800, 600), (1280, 800), (1920, 1080)])
def test_the_grid_is_whole_and_its_choices_stay_where_they_are(chromium, made, size):
    with at_the_page(chromium, made(PUBLISHED)) as page:
        page.set_viewport_size({"width": size[0], "height": size[1]})
        participant = at_the_grid(page)
        shot(page, f"grid-{size[0]}x{size[1]}")
        found = places(page)
        for x, y, width, height in found:
            assert x >= 0 and y >= 0 and x + width <= size[0] and y + height <= size[1] and min(width, height) >= 44
        assert len({x for x, _, _, _ in found}) == len({y for _, y, _, _ in found}) == 4
        assert len({(width, height) for _, _, width, height in found}) == 1
        page.get_by_role("group").get_by_role("button", name="dog").click()
        participant.press("Go on")
        participant.press("Next picture")
        page.get_by_role("group").wait_for()
        assert places(page) == found


def test_a_grid_that_is_too_high_is_scrolled(chromium, made):
    labels = [f"thing number {i}" for i in range(64)]
    with at_the_page(chromium, made(labels)) as page:
        page.set_viewport_size({"width": 800, "height": 480})
        at_the_grid(page)
        shot(page, "grid-of-64")
        assert places(page)[0][1] >= 0  # its top is not cut off
        footer = page.get_by_role("contentinfo").bounding_box()
        last = page.get_by_role("button", name=labels[-1])
        last.scroll_into_view_if_needed()
        assert last.bounding_box()["y"] + last.bounding_box()["height"] <= footer["y"]
        last.click()
        page.get_by_text("The right choice was").wait_for()


def filling_events(opened):
    with opened.engine.begin() as db:
        rows = db.execute(select(EVENT.c.payload).where(EVENT.c.type == "fullscreen").order_by(EVENT.c.seq))
        return [row["detail"] for row in rows.scalars()]


def fills(page):
    return page.evaluate("document.fullscreenElement !== null")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_page_fills_the_screen_and_offers_to_come_back(chromium, made, scheme):
    opened = made(fullscreen=True)
    with at_the_page(chromium, opened) as page:
        page.emulate_media(color_scheme=scheme)
        participant = Participant(page)
        participant.agree()
        assert not fills(page)
        participant.press("Go on")
        page.wait_for_function("document.fullscreenElement !== null")
        rows = trials_of(opened)
        participant.press("Next picture")
        page.get_by_role("group").wait_for()
        page.evaluate("document.exitFullscreen()")
        page.wait_for_function("document.fullscreenElement === null")
        assert not page.get_by_text("no longer fills").count()  # not within a trial
        page.get_by_role("group").get_by_role("button", name=rows[0]["label"], exact=True).click()
        page.get_by_text("The right choice was").wait_for()
        participant.press("Go on")
        page.get_by_text("no longer fills the screen").wait_for()
        assert not fills(page)
        in_both_sizes(page, f"fullscreen-{scheme}")
        participant.press("Fill the screen again")
        page.wait_for_function("document.fullscreenElement !== null")
        participant.trial(rows[1]["label"])
        participant.press("Go on")
        page.evaluate("document.exitFullscreen()")
        page.wait_for_function("document.fullscreenElement === null")
        participant.press("Go on")
        participant.press("Go on without")
        for row in rows[2:5]:
            participant.trial(row["label"])  # it is not asked again
        page.get_by_text("Now the main part").wait_for()
        participant.press("Go on")
        page.get_by_role("button", name="Next picture").wait_for()
        assert not fills(page)
    assert filling_events(opened) == ["entered", "left", "entered", "left"]


@pytest.mark.parametrize(
    ("script", "told"),
    [
        ("Element.prototype.requestFullscreen = () => Promise.reject(new TypeError('no'));", "refused"),
        ("delete Element.prototype.requestFullscreen;", "not offered"),
    ],
)
def test_without_the_whole_screen_it_goes_on(chromium, made, script, told):
    opened = made(fullscreen=True)
    with at_the_page(chromium, opened) as page:
        page.get_by_role("heading").wait_for()  # the tab has its session
        page.add_init_script(script)
        page.reload()
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        participant.trial(trials_of(opened)[0]["label"])
        page.get_by_text("The right choice was").wait_for()
        participant.press("Go on")
        page.get_by_role("button", name="Next picture").wait_for()
    assert filling_events(opened) == [told]


def test_nobody_is_asked_for_the_whole_screen_by_default(chromium, made):
    opened = made()
    with at_the_page(chromium, opened) as page:
        at_the_grid(page)
        assert not fills(page)
    assert filling_events(opened) == []


def hear(participant, rows, *, right):
    page = participant.page
    for row in rows:
        participant.press("Next sound")
        page.get_by_role("group").wait_for()
        place = int(row["label"]) - 1 if right else int(row["label"]) % 3
        page.get_by_role("group").get_by_role("button").nth(place).click()


@pytest.mark.parametrize(("scheme", "passes"), [("light", True), ("dark", False)])
def test_a_headphone_check_is_tried_twice(chromium, tmp_path, scheme, passes):
    check = {"trials": 2, "pass": 2, "attempts": 2}
    opened = open_experiment(write_experiment(tmp_path / "heard", task="word", headphones=check))
    with at_the_page(chromium, opened) as page:
        page.emulate_media(color_scheme=scheme)
        participant = Participant(page)
        participant.agree()
        rows = trials_of(opened)
        participant.press("Go on")
        hear(participant, rows[:2], right=False)
        page.get_by_text("try once more").wait_for()
        in_both_sizes(page, f"headphones-again-{scheme}")
        page.reload()
        page.get_by_text("try once more").wait_for()
        participant.press("Go on")
        hear(participant, rows[2:4], right=passes)
        page.get_by_text("First, some sounds" if passes else "The task ends here for you").wait_for()
    with opened.engine.begin() as db:
        gates = db.execute(select(CHECK.c.attempt, CHECK.c.passed).order_by(CHECK.c.attempt)).all()
    assert [tuple(row) for row in gates] == [(1, False), (2, passes)]


def test_who_passes_the_headphone_check_is_not_asked_again(chromium, tmp_path):
    check = {"trials": 2, "pass": 1, "attempts": 2}
    opened = open_experiment(write_experiment(tmp_path / "heard", task="word", headphones=check))
    with at_the_page(chromium, opened) as page:
        participant = Participant(page)
        participant.agree()
        participant.press("Go on")
        hear(participant, trials_of(opened)[:2], right=True)
        page.get_by_text("First, some sounds").wait_for()
    assert [row["state"] for row in trials_of(opened)][:5] == [*["answered"] * 2, *["not needed"] * 2, "waiting"]
