"""The page in a browser: Debian's Chromium, driven by Playwright."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from metamers.report import write_report

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page was NOT opened")

MakeRun = Callable[..., Path]

ALL_SHOWN = """async () => {
  for (const image of document.querySelectorAll("main img")) {
    image.scrollIntoView({block: "center", inline: "center", behavior: "instant"});
    await image.decode();
  }
  return [...document.querySelectorAll("main img")].filter((image) => !image.naturalWidth).length;
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator["Browser"]:
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: the page was NOT opened")
    with sync_api.sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


class Visit:
    """A page opened from its file, with what the browser complained of and asked for."""

    def __init__(self, browser: "Browser", report: Path, width: int = 1280, scheme: str = "light") -> None:
        self.page: Page = browser.new_page(
            viewport={"width": width, "height": 844},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(report.as_uri())

    def focused(self, name: str) -> str | None:
        found: str | None = self.page.evaluate(f"document.activeElement.getAttribute({name!r})")
        return found


@pytest.fixture(scope="module")
def visit(browser: "Browser", report: Path) -> Iterator[Visit]:
    visit = Visit(browser, report)
    yield visit
    visit.page.close()


def test_every_picture_is_shown_without_complaint_or_foreign_request(visit: Visit, report: Path) -> None:
    assert visit.page.locator("main img").count() == 287
    assert visit.page.evaluate(ALL_SHOWN) == 0
    assert visit.complaints == []
    folder = report.parent.as_uri()
    assert [url for url in visit.requests if not url.startswith((folder, "data:"))] == []


def test_standalone_page_asks_for_nothing_else(browser: "Browser", make_run: MakeRun, tmp_path: Path) -> None:
    run = make_run("alone", models=["m"], stages=["a"], references=3)
    alone = tmp_path / "alone.html"
    shutil.move(write_report(run, standalone=True), alone)
    visit = Visit(browser, alone)
    assert visit.page.evaluate(ALL_SHOWN) == 0
    visit.page.locator(".gallery td button").first.click()
    assert [url for url in visit.requests if not url.startswith("data:")] == [alone.as_uri()]
    assert visit.complaints == []
    visit.page.close()


def test_viewer_by_keyboard(visit: Visit) -> None:
    page = visit.page
    button = page.locator(".gallery td button").nth(1)
    button.focus()
    page.keyboard.press("Enter")
    title = page.locator("#viewer-title")
    assert page.evaluate("document.getElementById('viewer').open")
    assert title.inner_text() == "test-0-00000, layer1 of picto-resnet"
    page.wait_for_function("document.getElementById('viewer-metamer').naturalWidth === 32")
    widths = [
        page.evaluate(f"document.getElementById('viewer-{name}').clientWidth") for name in ("reference", "metamer")
    ]
    assert widths[0] == widths[1] > 32 and widths[0] % 32 == 0
    page.keyboard.press("ArrowRight")
    assert title.inner_text() == "test-0-00000, layer2 of picto-resnet"
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert title.inner_text() == "test-0-00000, conv1 of picto-resnet"
    assert page.locator("#back").is_disabled()
    page.keyboard.press("Escape")
    assert not page.evaluate("document.getElementById('viewer').open")
    assert visit.focused("data-c") == "1"


def test_cell_without_picture_tells_its_reason(visit: Visit) -> None:
    visit.page.locator(".gallery td button:has(.blank)").click()
    assert "activations are not finite" in visit.page.locator("#viewer-facts").inner_text()
    assert visit.page.locator("#viewer-metamer").is_hidden()
    visit.page.keyboard.press("Escape")
    assert visit.complaints == []


def test_verdicts_are_filtered_and_sorted(visit: Visit) -> None:
    page = visit.page
    rows = page.locator("#verdict-table tbody tr")
    assert rows.count() == 100
    page.locator("#next").click()
    assert page.locator("#shown").inner_text() == "Cells 101 to 200 of 240"
    page.locator("#f-verdict").select_option("=failed")
    assert rows.count() == 2 and "is not above" in rows.first.inner_text()
    measures = [rows.first.locator(f"td:nth-child({i})").inner_text() for i in (7, 8, 9)]
    assert measures == ["0.7100 \u2264 0.8600", "\u2013", "3.10 \u2264 3.42"]
    page.locator(".filters [type=reset]").click()
    page.locator("#f-text").fill("alexnet 00007")
    page.wait_for_function("document.querySelectorAll('#verdict-table tbody tr').length === 5")
    snr = page.locator("#verdict-table th button", has_text="SNR")
    snr.click()
    values = [float(text.split()[0]) for text in rows.locator("td:nth-child(9)").all_inner_texts()]
    assert values == sorted(values)
    snr.click()
    assert page.locator("th[aria-sort=descending]").count() == 1
    assert float(rows.first.locator("td:nth-child(9)").inner_text().split()[0]) == max(values)
    page.locator("#f-text").fill("nothing of the kind")
    assert page.locator("#shown").inner_text() == "None of the 240 cells fits the filters"
    page.locator(".filters [type=reset]").click()


def test_verdicts_of_several_recipes_are_told_apart(browser: "Browser", make_run: MakeRun) -> None:
    run = make_run("recipes", models=["m"], stages=["a"], references=2, responses=False)
    study = yaml.safe_load((run / "study.yaml").read_text(encoding="utf-8"))
    other = {**study["recipes"][0], "name": "adam"}
    (run / "study.yaml").write_text(yaml.safe_dump({**study, "recipes": [*study["recipes"], other]}), encoding="utf-8")
    (path,) = (run / "batches").rglob("*.json")
    text = path.read_text(encoding="utf-8").replace("/fast/", "/adam/").replace('"recipe": "fast"', '"recipe": "adam"')
    batch = {**json.loads(text), "id": "second", "settings": other}
    path.with_name("second.json").write_text(json.dumps(batch), encoding="utf-8")
    visit = Visit(browser, write_report(run))
    assert visit.page.locator("#verdict-table th").nth(2).inner_text() == "Recipe"
    assert visit.page.locator("#verdict-table td:nth-child(3)").all_inner_texts() == ["adam", "fast", "adam", "fast"]
    visit.page.close()


def test_skip_link_is_first_and_focus_is_seen(visit: Visit) -> None:
    visit.page.reload()
    visit.page.keyboard.press("Tab")
    assert visit.focused("class") == "skip"
    assert visit.page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_phone_and_schemes(browser: "Browser", report: Path, scheme: str) -> None:
    visit = Visit(browser, report, width=390, scheme=scheme)
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 390
    ink, paper = visit.page.evaluate(
        "['color', 'backgroundColor'].map((name) => parseInt(getComputedStyle(document.body)[name].match(/\\d+/)[0]))"
    )
    assert (ink > paper) == (scheme == "dark")
    text = visit.page.locator(".plot svg text").first
    assert int(text.evaluate("(e) => getComputedStyle(e).fill.match(/\\d+/)[0]")) == ink
    assert visit.complaints == []
    visit.page.close()


def test_hostile_names_do_nothing(browser: "Browser", make_run: MakeRun) -> None:
    evil = '<img src=x onerror="alert(1)">'
    run = make_run("hostile", models=[evil], stages=[f"</script>{evil}"], references=[evil, "'\"&"], null=False)
    visit = Visit(browser, write_report(run))
    visit.page.locator(".gallery td button").first.click()
    assert visit.page.locator("#viewer-title").inner_text() == f"'\"&, </script>{evil} of {evil}"
    assert visit.page.locator("img[onerror]").count() == 0
    assert visit.page.locator("#verdict-table tbody tr").count() == 2
    assert visit.complaints == []
    visit.page.close()
