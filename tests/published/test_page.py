"""The page of a replication: its words and figures, in the file and in a browser."""

import re
import shutil
from pathlib import Path

import pytest

from metamers.errors import MetamersError
from metamers.published import replicate, require_free, write_page

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")


@pytest.fixture
def page(data: Path, tmp_path: Path) -> Path:
    return write_page(replicate(data, 100), tmp_path / "out")


def test_page_has_every_row_and_figure(page):
    html = page.read_text(encoding="utf-8")
    assert "18 of 18 published ANOVA rows follow from the public data" in html
    assert html.count("<svg") == 3  # one experiment, one matrix, one relation
    assert {path.stem for path in (page.parent / "figures").glob("*.svg")} == {
        *("Vision_EXP1", "matrix-vision", "relation-vision"),
    }
    assert "experiment Audio_EXP1 (Auditory 1)" in html
    assert not re.search(r"(src|href)=\"https?:", html)


def test_pages_of_little_data_still_say_what_there_is(make_mat, tmp_path):
    make_mat(model="<b>net</b>".replace("/", "-"))
    html = write_page(replicate(tmp_path / "data", 100), tmp_path / "out").read_text(encoding="utf-8")
    assert "No published row could be recomputed" in html
    assert "<b>net" not in html


def test_other_folders_are_not_written_to(page, tmp_path):
    require_free(page.parent)
    require_free(tmp_path / "new")
    with pytest.raises(MetamersError, match="holds something else"):
        require_free(tmp_path)
    with pytest.raises(MetamersError, match="holds something else"):
        require_free(page)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine: the page was NOT opened")
def test_page_in_a_browser(page):
    sync_api = pytest.importorskip("playwright.sync_api", reason="no playwright: the page was NOT opened")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        complaints: list[str] = []
        inks = []
        for scheme in ("light", "dark"):
            tab = browser.new_page(viewport={"width": 390, "height": 844}, color_scheme=scheme)
            tab.on("console", lambda message: complaints.append(message.text))
            tab.on(
                "request", lambda request: complaints.append(request.url) if request.url.startswith("http") else None
            )
            tab.goto(page.as_uri())
            assert tab.evaluate("document.documentElement.scrollWidth") == 390
            inks.append(tab.locator(".plot svg text").first.evaluate("(e) => getComputedStyle(e).fill"))
            tab.keyboard.press("Tab")
            assert tab.evaluate("document.activeElement.className") == "skip"
            summary = tab.locator("#anova summary").first
            summary.focus()
            tab.keyboard.press("Enter")
            assert tab.locator("#anova details[open] table").count() == 3
            tab.close()
        browser.close()
    assert complaints == []
    assert inks[0] != inks[1]
