"""What the figures draw."""

from pathlib import Path

import numpy as np
import pytest

from metamers.report import figures
from metamers.report.drawing import INK, inline, styled
from metamers.report.results import Results, read_results
from metamers.report.traces import Trace


@pytest.fixture(scope="module")
def results(run: Path) -> Results:
    return read_results(run)


def test_null_has_a_panel_per_stage_and_measure_with_its_maximum(results: Results) -> None:
    model, stages = "picto-resnet", results.stages["picto-resnet"]
    nulls = {stage: results.nulls[model, stage] for stage in stages}
    with styled("test"):
        axes = figures.null_figure(nulls, {stage: results.cells.of(model=model, stage=stage) for stage in stages}).axes
    assert len(axes) == 15
    dashed = [line for line in axes[2].get_lines() if line.get_color() == INK]
    assert np.asarray(dashed[0].get_xdata())[0] == 3.42
    ticks = np.asarray(axes[2].get_lines()[1].get_xdata(), dtype=float)
    values = [cell.snr_db for cell in results.cells.of(model=model, stage=stages[0]) if cell.snr_db is not None]
    assert set(ticks) <= set(values) and ticks.min() == min(values)
    assert len(set(ticks)) >= len(values) - 2  # but for those that would cover one another


def test_null_without_a_null_shows_the_metamers_alone(results: Results) -> None:
    with styled("test"):
        axes = figures.null_figure(
            {"conv1": None}, {"conv1": results.cells.of(model="picto-resnet", stage="conv1")}
        ).axes
    assert len(axes[0].get_lines()) == 1 and not axes[0].patches


def test_traces_may_be_none_or_hold_gaps() -> None:
    gap = Trace(True, np.array([0.0, 50.0]), np.array([np.nan, 3.0]))
    with styled("test"):
        axes = figures.trace_figure({"a": [gap], "b": []}, {"a": {3.42}, "b": set()}).axes
    assert len(axes) == 2 and axes[1].texts[0].get_text() == "no trace stored"
    line, maximum = axes[0].get_lines()
    assert np.asarray(line.get_ydata())[1] == 3 and np.asarray(maximum.get_ydata())[0] == 3.42


def test_inline_figure_takes_the_pages_colors_and_hides_nothing_foreign() -> None:
    svg = (
        '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 10 5"><metadata>http://x</metadata>'
        '<g id="axes_1"><path d="M 0.123456 1" style="stroke: #0072b2; fill: #24292e"/></g></svg>'
    )
    shown = inline(svg, 'a "b" <c>', 480)
    assert "http" not in shown and 'id="axes_1"' not in shown
    assert "stroke: var(--series-0); fill: currentColor" in shown and "M 0.1 1" in shown
    assert "<title>a &#34;b&#34; &lt;c&gt;</title>" in shown
