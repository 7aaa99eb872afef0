"""The page of a run."""

import base64
import hashlib
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from metamers.report import figures
from metamers.report.cells import MEASURES, VERDICTS, Cell
from metamers.report.drawing import draw
from metamers.report.gallery import galleries, style
from metamers.report.pictures import Pictures, check_standalone
from metamers.report.recognition import percent, recognition
from metamers.report.results import Results, read_results
from metamers.report.summaries import (
    duration,
    failures,
    null_rows,
    provenance,
    stage_rows,
    verdicts,
)
from metamers.report.templating import environment, style_sheet, template
from metamers.report.traces import MAX_TRACES, read_traces, traced
from metamers.report.verdict_table import VerdictTable
from metamers.store import PERFECT_CORRELATION, ROUNDING, slug, write_whole


def write_report(run: Path, *, standalone: bool = False) -> Path:
    """Write the page of a run and its figures: `run`/report.html, `run`/figures/*.svg and *.pdf.

    Only the store's files are read; no model runs. The page needs no network. At most 200 thumbnails are embedded in
    it, the other pictures are read from the run's folder. With `standalone` every picture is embedded, so that the page
    can be sent alone. Returns the page's path.

    Raises MetamersError when `run` holds no run or a damaged one, cannot be written to, or, with `standalone`, when the
    page would be larger than 50 MB.
    """
    results = read_results(Path(run))
    path = results.store.folder / "report.html"
    write_whole(path, _encoded(results, _render(results, standalone), standalone))
    return path


def _encoded(results: Results, parts: Iterator[str], standalone: bool) -> Iterator[bytes]:
    """The page, a little at a time, as it lists every cell."""
    size = 0
    for part in parts:
        content = part.encode()
        size += len(content)
        if standalone:
            check_standalone(results.store.folder, size)
        yield content


def _render(results: Results, standalone: bool) -> Iterator[str]:
    pages = environment("metamers.report")
    pages.filters |= {"number": _number, "percent": percent, "picture_style": style, "kind": css_class}
    script = template("report.js")
    pictures = Pictures(results.store, standalone=standalone)
    shown = galleries(results, pictures)
    sounds = any((file or "").endswith(".wav") for (file,) in results.cells.values("file"))
    failed, unlisted = failures(results.cells)
    return pages.get_template("report.html").generate(
        results=results,
        study=results.study,
        css=style_sheet(),
        script=Markup(script),
        script_hash=base64.b64encode(hashlib.sha256(script.encode()).digest()).decode(),
        standalone=standalone,
        counts=verdicts(results.cells),
        references=len(results.cells.count("reference")),
        stage_rows=stage_rows(results),
        galleries=shown,
        missing=pictures.missing,
        sounds=sounds,
        thing="sound" if sounds else "picture",
        headline=_headline(results),
        recognition=recognition(results),
        nulls=_nulls(results),
        null_rows=null_rows(results),
        traces=_traces(results),
        max_traces=MAX_TRACES,
        failures=failed,
        unlisted=unlisted,
        table=VerdictTable(results.cells),
        analyses=sorted(path.name for path in (results.store.folder / "analyses").glob("*.csv")),
        has_csv=(results.store.folder / "tables" / "matches.csv").is_file(),
        provenance=provenance(results),
        seconds=duration(results.batches.seconds),
        median_steps=_middle(np.fromiter((n for (n,) in results.cells.values("n_steps") if n), int)),
    )


def _headline(results: Results) -> str:
    counts, n = verdicts(results.cells), len(results.cells)
    if not n:
        return "This run holds no metamers yet"
    if counts["no null"] == n:
        return f"{n} metamers, not judged for want of a null distribution"
    return f"{counts['passed']} of {n} metamers passed"


def _is_above(cell: Cell, measure: str) -> bool:
    """Whether a measure lies above its null's maximum, or is a correlation of 1, than which there is nothing higher."""
    value, maximum = cell.measure(measure), cell.null(measure)
    if value is None or maximum is None:
        return False
    if measure == "snr_db":
        return value > maximum
    return value > maximum + ROUNDING or value >= PERFECT_CORRELATION


def _nulls(results: Results) -> dict[str, Any]:
    judged = sum(maximum is not None for (maximum,) in results.cells.values("null_snr_db"))
    above = sum(all(_is_above(c, measure) for measure in MEASURES) for c in results.cells)
    models = []
    for model, stages in results.stages.items():
        if not any((model, stage) in results.nulls for stage in stages):
            continue
        of_stage = {stage: results.nulls.get((model, stage)) for stage in stages}
        cells = {stage: results.cells.of(model=model, stage=stage) for stage in stages}
        models.append(
            {
                "model": model,
                "file": f"null-{slug(model)}",
                "svg": draw(
                    results.store.folder,
                    f"null-{slug(model)}",
                    f"Null distributions of {model} by stage, with the values of the metamers",
                    partial(figures.null_figure, of_stage, cells),
                ),
            }
        )
    return {"models": models, "judged": judged, "above": above}


def _traces(results: Results) -> list[dict[str, Any]]:
    models = []
    of = results.cells.of
    drawn = {(m, s): traced(of(model=m, stage=s)) for m, stages in results.stages.items() for s in stages}
    traces = read_traces(results.store, [cell for cells in drawn.values() for cell in cells])
    for model, stages in results.stages.items():
        cells = {stage: of(model=model, stage=stage) for stage in stages}
        lines = {stage: [traces[c.cell] for c in drawn[model, stage] if c.cell in traces] for stage in stages}
        if not any(lines.values()):
            continue
        maxima = {s: {db for (db,) in cells[s].count("null_snr_db") if db is not None} for s in stages}
        models.append(
            {
                "model": model,
                "file": f"convergence-{slug(model)}",
                "thinned": any(len(lines[stage]) == MAX_TRACES < len(cells[stage]) for stage in stages),
                "svg": draw(
                    results.store.folder,
                    f"convergence-{slug(model)}",
                    f"SNR over the steps of synthesis for {model}, by stage",
                    partial(figures.trace_figure, lines, maxima),
                ),
            }
        )
    return models


def css_class(verdict: str) -> str:
    """The CSS class of a verdict; an unknown one looks like an error.

    >>> css_class("no null")
    'no-null'
    """
    return verdict.replace(" ", "-") if verdict in VERDICTS else "error"


def _middle(values: NDArray[np.int64]) -> int | None:
    return int(np.sort(values)[len(values) // 2]) if len(values) else None


def _number(value: float | None, digits: int = 3) -> str:
    return "\N{EN DASH}" if value is None or value != value else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
