"""What the page says, for whole, odd and hostile runs."""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml

from metamers.errors import MetamersError
from metamers.report import pictures, write_report
from metamers.report.results import read_results
from metamers.report.summaries import null_rows, stage_rows
from metamers.report.verdict_table import VerdictTable
from metamers.store import Store

MakeRun = Callable[..., Path]
MODELS = ("picto-resnet", "picto-resnet-b", "picto-alexnet")


class Page(HTMLParser):
    """The tags of a page with their attributes, and its text without scripts and styles."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.silent = 0
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        self.silent += tag in ("script", "style")

    def handle_endtag(self, tag: str) -> None:
        self.silent -= tag in ("script", "style")

    def handle_data(self, data: str) -> None:
        if not self.silent:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())

    def attributes(self, tag: str, name: str) -> list[str]:
        return [attrs[name] or "" for found, attrs in self.tags if found == tag and name in attrs]

    def classes(self, tag: str) -> list[str]:
        return self.attributes(tag, "class")


def page_of(run: Path, **options: Any) -> tuple[str, Page]:
    html = write_report(run, **options).read_text(encoding="utf-8")
    return html, Page(html)


@pytest.fixture(scope="module")
def demo(report: Path) -> tuple[str, Page]:
    html = report.read_text(encoding="utf-8")
    return html, Page(html)


def test_counts_are_those_of_the_cells(demo: tuple[str, Page], run: Path) -> None:
    html, page = demo
    assert "221 of 240 metamers passed" in page.text
    assert "2 cells failed, 1 met an error" in page.text
    cells = json.loads(re.search(r'id="cells">(.*?)</script>', html, re.DOTALL)[1])  # type: ignore[index]
    verdicts = [cells["names"]["verdict"][row[13]] for row in cells["rows"]]
    assert {v: verdicts.count(v) for v in set(verdicts)} == {"passed": 221, "failed": 2, "no null": 16, "error": 1}
    assert len(cells["rows"][0]) == 17


def test_every_cell_is_in_the_gallery_in_stage_order(demo: tuple[str, Page]) -> None:
    html, page = demo
    numbers = [
        int(a["data-c"] or "") for tag, a in page.tags if tag == "button" and "data-c" in a and "data-r" not in a
    ]
    assert numbers == list(range(240))
    head = re.search(r'class="scroll gallery.*?<thead>(.*?)</thead>', html, re.DOTALL)[1]  # type: ignore[index]
    assert re.findall(r">([^<>]+)</th>", head) == ["Reference", "conv1", "layer1", "layer2", "layer3", "output"]


def test_stages_follow_the_study_and_not_the_records(make_run: MakeRun) -> None:
    run = make_run("order", models=["m"], stages=["z_first", "a_second", "output"], references=2, responses=False)
    html, _ = page_of(run)
    assert html.index(">z_first</th>") < html.index(">a_second</th>") < html.index(">output</th>")


def test_references_that_differ_in_leading_zeros_have_a_row_each(make_run: MakeRun) -> None:
    names = ["1", "01", "2"]
    run = make_run("zeros", models=["m"], stages=["a", "b", "c"], references=names, responses=False)
    html, _ = page_of(run)
    gallery = html.split('class="scroll gallery')[1].split("</table>")[0]
    rows = [re.findall(r'alt="([^"]*)"', row) for row in gallery.split("<tr>")[2:]]
    assert rows == [
        [f"reference {name}", *(f"{stage} metamer of {name}" for stage in "abc")] for name in ("01", "1", "2")
    ]


@pytest.mark.parametrize(
    ("n_classes", "chance"),
    [([None], "0.250"), ([10], "0.100"), ([10, 10], "0.100"), ([10, 7], "0.250"), ([10, None], "0.250")],
)
def test_chance_is_that_of_the_models_decision(make_run: MakeRun, n_classes: list[int | None], chance: str) -> None:
    models = [f"m{i}" for i in range(len(n_classes))]
    run = make_run(f"chance-{n_classes}", models=models, stages=["a", "output"], references=5)
    study = yaml.safe_load((run / "study.yaml").read_text(encoding="utf-8"))
    for entry, n in zip(study["models"], n_classes, strict=True):
        entry |= {"classes": [], "n_classes": n}  # a model need not name its classes
    (run / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    assert f"the dotted line is chance ({chance})" in page_of(run)[1].text


def test_errors_do_not_count_in_the_median_steps(make_run: MakeRun) -> None:
    verdict = {"verdict": lambda m, s, r: "error" if r else "passed"}
    run = make_run("medians", models=["m"], stages=["a"], references=3, null=False, responses=False, **verdict)
    results = read_results(run)
    steps = {cell.verdict: cell.n_steps or 0 for cell in results.cells}
    assert stage_rows(results)[0]["n_steps"] == steps["passed"] > steps["error"]


def test_the_least_values_are_those_of_the_stage_and_measure(run: Path) -> None:
    results = read_results(run)
    for row in null_rows(results):
        cells = list(results.cells.of(model=row["model"], stage=row["stage"]))
        for name, least in row["least"].items():
            assert least == min(value for cell in cells if (value := cell.measure(name)) is not None)


def test_a_reason_stands_once_but_for_one_with_decimals(run: Path) -> None:
    table = VerdictTable(read_results(run).cells)
    reasons = [row[14] for row in table.rows()]
    assert table.names()["reason"] == ["activations are not finite (NaN)", "no null set"]
    assert {0, 1, None, "snr_db 3.10 is not above the null's maximum 3.42"} == set(reasons)


def test_recognition_states_both_ends_and_leaves_failures_out(demo: tuple[str, Page]) -> None:
    _, page = demo
    assert re.search(r"Other models recognize \d+ % of the natural stimuli and \d+ % of the metamers of out", page.text)
    assert "6 responses to cells that failed are left out" in page.text  # 2 cells, 3 observers
    assert "chance (0.250)" in page.text


def test_the_matrix_holds_each_model_at_each_stage_for_each_observer(demo: tuple[str, Page], run: Path) -> None:
    html, _ = demo
    table = html[html.index('class="matrix"') : html.index('id="confusions"')]
    assert re.findall(r'colspan="4">([^<]+)<', table) == [
        *("natural stimuli", "conv1", "layer1", "layer2", "layer3", "output")
    ]
    assert table.count('class="n heat') == 3 * (1 + 5 * 3)
    assert table.count("heat own") == 5 * 3
    responses = pd.read_csv(run / "tables" / "responses.csv", dtype={"correct": "boolean"})
    seen = responses[(responses.model == MODELS[2]) & (responses.stage == "output") & (responses.observer == MODELS[0])]
    last = re.findall(r'title="(\d+) of (\d+)"', table)[-3]
    assert last == (str(int(seen.correct.sum())), str(len(seen)))


def test_people_stand_beside_models_with_statistics(make_run: MakeRun) -> None:
    run = make_run("people", people=3)
    _, page = page_of(run)
    assert "How often 4 observers recognized" in page.text
    assert re.search(r"; people recognize \d+ % of the natural stimuli", page.text)
    found = re.findall(r"Mixed analysis of variance of (\d) people and (\d) other models.*?: people against", page.text)
    assert found == [("3", "2")] * 3
    assert re.search(r"stage F\(5, 15\) = [\d.]+, p < 0.001, partial η² = 0.\d\d", page.text)
    assert "people" in words_of(run, "confusion-picto-resnet")
    assert "What other models recognize beside what people recognize" in page.text
    assert re.search(r"15 points: R² = \d\.\d{3}, Spearman's . = ", page.text)
    assert "recognized by people" in words_of(run, "people-and-models")


def test_why_people_and_models_are_not_compared(make_run: MakeRun) -> None:
    _, page = page_of(make_run("one", models=["m"], people=2))
    assert "analysis of variance" not in page.text  # there are no other models
    _, page = page_of(make_run("gaps", models=["m", "n"], people=2, gaps=True))
    assert "People and other models are not compared by an analysis of variance: " in page.text


def test_controls_are_shown(make_run: MakeRun) -> None:
    run = make_run("controls", models=["m", "n"], references=4, controls=True)
    html, _ = page_of(run)
    table = html[html.index('class="matrix"') : html.index('id="confusions"')]
    assert "what the search started from" in table
    assert table.count(">untrained-m</th>") == 5
    words = words_of(run, "recognition-m")
    assert "untrained net's, by others" in words
    assert "start noise, by others" in words


def test_too_many_labels_are_not_drawn(make_run: MakeRun) -> None:
    run = make_run("words", models=["m", "n"], references=60, labels=[f"word {i}" for i in range(60)])
    _, page = page_of(run)
    assert "60 labels are too many to draw" in page.text


def test_a_chance_for_each_observer(make_run: MakeRun) -> None:
    run = make_run("chances", models=["m", "n"], references=4)
    (run / "responses").mkdir()
    record = {"id": "n", "observer": "n", "n_labels": 1000, "responses": []}
    (run / "responses" / "n.json").write_text(json.dumps(record))
    assert "the dotted lines are chance (0.001 for n, 0.250 for m)" in page_of(run)[1].text
    assert "chance of n chance of m" in words_of(run, "recognition-m")


def test_chance_of_people_and_models_and_who_is_nobody(make_run: MakeRun) -> None:
    run = make_run("kinds", models=["m", "n"], references=4, people=3)
    (run / "responses").mkdir()
    for name in ("m", "n"):
        record: dict[str, Any] = {"id": name, "observer": name, "n_labels": 1000, "responses": []}
        (run / "responses" / f"{name}.json").write_text(json.dumps(record))
    path = run / "tables" / "responses.csv"
    said = path.read_text()
    text = page_of(run)[1].text
    assert "(0.001 for models, 0.250 for people)" in text and "simulated" not in text
    path.write_text(said.replace(",p0,", ",simulated-p0,").replace(",p1,", ",simulated-p1,"))
    assert "2 of the 3 participants are simulated" in page_of(run)[1].text


def words_of(run: Path, figure: str) -> str:
    """The words of a figure's SVG."""
    return " ".join(re.findall(r">([^<>]+)</text>", (run / "figures" / f"{figure}.svg").read_text(encoding="utf-8")))


def test_figures_are_in_the_page_and_in_files(demo: tuple[str, Page], run: Path) -> None:
    _, page = demo
    assert len(page.attributes("svg", "aria-label")) == 14
    names = {f"{kind}-{model}" for kind in ("recognition", "confusion", "null", "convergence") for model in MODELS}
    names |= {"idiosyncrasy", "comparison"}
    for kind in ("svg", "pdf"):
        assert {path.stem for path in (run / "figures").glob(f"*.{kind}")} == names
    ids = [a["id"] for _, a in page.tags if a.get("id")]
    assert len(ids) == len(set(ids))


def test_what_was_run_is_told(demo: tuple[str, Page]) -> None:
    _, page = demo
    for part in ("metamers demo --out runs/demo", "3fa9" * 16, "2.13.0", "start.kind", "same decision", "a1b2" * 16):
        assert part in page.text


def test_snr_is_named_as_published(demo: tuple[str, Page]) -> None:
    assert "half the usual 20 log 10 value" in demo[1].text.replace("log10", "log 10")


def test_the_page_names_no_other_host(demo: tuple[str, Page]) -> None:
    html, page = demo
    assert not re.search(r"https?://|//[a-z]+\.|@import", html.split('id="cells">')[0])
    links = [a.get(name) for _, a in page.tags for name in ("src", "href", "data-full") if a.get(name)]
    assert all(link.startswith(("#", "data:")) or ":" not in link for link in links if link)


def test_report_is_the_same_when_made_again(make_run: MakeRun) -> None:
    run = make_run("again", models=["m"], stages=["a", "b"], references=3)
    first = page_of(run)[0], (run / "figures" / "null-m.pdf").read_bytes()
    assert first == (page_of(run)[0], (run / "figures" / "null-m.pdf").read_bytes())


def test_names_are_escaped(make_run: MakeRun) -> None:
    evil = '<img src=x onerror="alert(1)">'
    run = make_run(
        "evil",
        models=[f"{evil}$x$"],
        stages=[f"</script>{evil}", "a & b"],
        references=[evil, "ordinary", "\x07bell", "日本"],
        reason=f"</script><script>alert(2)</script>{evil}",
        verdict=lambda m, s, r: "failed" if r == 0 else "passed",
    )
    html, page = page_of(run)
    assert "onerror" not in {name for _, attributes in page.tags for name in attributes}
    assert [tag for tag, _ in page.tags].count("script") == 2
    assert evil not in html
    assert evil in page.text
    for svg in (run / "figures").glob("*.svg"):
        assert "<img" not in svg.read_text(encoding="utf-8")


def test_file_names_are_quoted_in_links(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_EMBEDDED", 0)
    run = make_run("quoted", models=["m"], stages=["a"], references=1)
    record = run / "batches" / "m" / "a" / "first.json"
    batch = json.loads(record.read_text())
    odd = run / "references" / "50% #1?.png"
    shutil.copy(run / batch["cells"][0]["reference_file"], odd)
    batch["cells"][0]["reference_file"] = "references/50% #1?.png"
    record.write_text(json.dumps(batch))
    assert 'src="references/50%25%20%231%3F.png"' in page_of(run)[0]


def test_file_outside_the_run_is_refused(make_run: MakeRun) -> None:
    run = make_run("outside", models=["m"], stages=["a"], references=1)
    record = run / "batches" / "m" / "a" / "first.json"
    batch = json.loads(record.read_text())
    batch["cells"][0]["file"] = "../../etc/passwd"
    record.write_text(json.dumps(batch))
    with pytest.raises(MetamersError, match="outside the run"):
        write_report(run)
    assert not (run / "report.html").exists()


def test_run_without_responses_and_null(make_run: MakeRun) -> None:
    options = {"null": False, "responses": False, "verdict": lambda *_: "no null"}
    _, page = page_of(make_run("bare", models=["m"], stages=["output"], references=3, **options))
    assert "3 metamers, not judged for want of a null distribution" in page.text
    assert "No cells failed, none met an error" in page.text
    assert "No observer was shown these metamers" in page.text and "No null distribution is stored" in page.text


def test_answers_that_are_not_scored_are_no_lack_of_observers(make_run: MakeRun) -> None:
    run = make_run("unscored", models=["m"], stages=["output"], references=3)
    table = run / "tables" / "responses.csv"
    pd.read_csv(table, dtype=str).assign(correct="").to_csv(table, index=False)
    _, page = page_of(run)
    assert "No answer of an observer to these metamers is scored" in page.text
    assert "No observer was shown" not in page.text


def test_run_of_errors_only(make_run: MakeRun) -> None:
    run = make_run("errors", models=["m"], references=3, null=False, responses=False, verdict=lambda *_: "error")
    _, page = page_of(run)
    assert "No cells failed, 15 met an error" in page.text
    assert "activations are not finite (NaN)" in page.text
    assert "No convergence trace is stored" in page.text
    assert page.text.count("no picture") == 15 + 3  # the viewer has two, and one explains errors


def test_run_without_cells(make_run: MakeRun) -> None:
    run = make_run("empty", models=[], references=0)
    assert "This run holds no metamers yet" in page_of(run)[1].text


def test_missing_pictures_are_counted(make_run: MakeRun) -> None:
    run = make_run("missing", models=["m"], stages=["a", "b"], references=2)
    pngs = sorted((run / "metamers").rglob("*.png"))
    pngs[0].unlink()
    pngs[1].write_bytes(b"not a picture")
    assert "2 pictures are missing" in page_of(run)[1].text


def test_several_seeds_have_their_own_rows(make_run: MakeRun) -> None:
    run = make_run("seeds", models=["m"], stages=["a"], references=2, responses=False)
    record = run / "batches" / "m" / "a" / "first.json"
    batch = json.loads(record.read_text())
    again = [cell | {"seed": 1, "cell": cell["cell"].replace("/s0", "/s1")} for cell in batch["cells"]]
    record.with_name("second.json").write_text(json.dumps(batch | {"cells": again, "seed": 1}))
    study = yaml.safe_load((run / "study.yaml").read_text(encoding="utf-8"))
    (run / "study.yaml").write_text(yaml.safe_dump(study | {"seeds": [0, 1]}), encoding="utf-8")
    text = page_of(run)[1].text
    assert text.count("fast, seed 0") == text.count("fast, seed 1") == 2


def test_not_a_run(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match="not a run"):
        write_report(tmp_path)


def test_large_run_stays_small(make_run: MakeRun) -> None:
    run = make_run("large", models=["picto-resnet-b"], stages=[f"layer{i}" for i in range(7)], references=400, size=16)
    html, page = page_of(run)
    sources = page.attributes("img", "src")
    embedded = [source for source in sources if source.startswith("data:")]
    assert len(sources) == 400 * 8 and len(embedded) <= 200
    # Three such models with all pictures that may be embedded: below 5 MB.
    assert len(html.encode()) - sum(map(len, embedded)) < (5_000_000 - pictures.MAX_EMBEDDED_BYTES) / 3
    assert all(a.get("loading") == "lazy" for t, a in page.tags if t == "img" and a.get("src", "data:")[:5] != "data:")  # type: ignore[index]


def test_import_is_light() -> None:
    code = "import sys, metamers.report; print([m for m in ('torch', 'matplotlib', 'jinja2') if m in sys.modules])"
    environment = {"PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment)
    assert done.stdout.strip() == "[]"


def test_models_stand_beside_each_other(demo: tuple[str, Page]) -> None:
    html, page = demo
    found = re.search(
        r"Other models recognize (\d+) % of the last stage's metamers of \S+, (\d+) % of those of", page.text
    )
    assert found and int(found[1]) >= int(found[2])
    table = html[html.index('id="comparison"') : html.index('id="matrix"')]
    assert table.count("<tr><td>") == 3 * 6
    assert 'id="dissociation"' not in html  # nobody attacked these models


def test_a_single_model_stands_beside_none(make_run: MakeRun) -> None:
    html, _ = page_of(make_run("alone", models=["m"]))
    assert 'id="comparison"' not in html


def test_recognizability_stands_beside_robustness(make_run: MakeRun) -> None:
    run = make_run("attacked")
    rows = [
        {"model": model, "attack": "l2 1", "norm": "l2", "eps": 1.0, "robustness": value, "n": 64}
        for model, value in (*zip(MODELS, (0.1, 0.5, 0.9), strict=True), ("another", 0.3))
    ]
    Store(run).commit_robustness({"id": "attack", "rows": rows})
    html, page = page_of(run)
    assert re.search(r"l2 1: 3 models, Spearman's . = ", page.text)
    table = html[html.index('id="dissociation"') : html.index('id="matrix"')]
    assert [f"{value:.3f}" in table for value in (0.1, 0.5, 0.9, 0.3)] == [True, True, True, False]
    assert "accuracy under attack" in words_of(run, "dissociation")
