"""How figures look, and how they get into files and into the page. Matplotlib is imported where it draws."""

import io
import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from metamers.store import write_whole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INK, MUTED, GRID, SURFACE = "#24292e", "#6a737c", "#d8dde2", "#fefefe"
BLUE, ORANGE = "#0072b2", "#d55e00"
SERIES = (BLUE, ORANGE, "#009e73", "#cc79a7", "#e69f00", "#56b4e9")
"""The palette of Okabe and Ito, which people with any color vision tell apart; without its black and yellow."""
MARKERS = "oDs^vP"

# In the page, each color follows the reader's light or dark scheme.
_VARIABLES = {
    INK: "currentColor",
    MUTED: "var(--muted)",
    GRID: "var(--grid)",
    SURFACE: "transparent",
    **{color: f"var(--series-{i})" for i, color in enumerate(SERIES)},
}

_STYLE = {
    "figure.facecolor": SURFACE,
    "axes.facecolor": "none",
    "axes.edgecolor": MUTED,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 9,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.unicode_minus": True,
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "xtick.labelsize": 8.5,
    "ytick.labelsize": 8.5,
    "grid.color": GRID,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "font.family": ["DejaVu Sans"],
    "font.size": 9,
    "svg.fonttype": "none",
    "pdf.fonttype": 42,
}


@contextmanager
def styled(name: str) -> Iterator[None]:
    """Within it, figures are drawn in the report's style; `name` keeps the ids of several SVGs on one page apart."""
    from matplotlib import rc_context

    with warnings.catch_warnings():
        # A name in a script that DejaVu lacks: the SVG shows it in the reader's font, the PDF a box.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font", category=UserWarning)
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support .* natively")
        with rc_context({**_STYLE, "svg.hashsalt": name}):  # type: ignore[dict-item]
            yield


def draw(run: Path, name: str, description: str, make: Callable[[], "Figure"], *, pdf: bool = True) -> Markup:
    """Draw a figure, write it to `run`/figures/`name`.svg and, with `pdf`, .pdf, and give its SVG for the page."""
    svg, width = write_figure(run / "figures", name, description, make, pdf=pdf)
    return inline(svg, description, width)


def write_figure(
    folder: Path, name: str, description: str, make: Callable[[], "Figure"], *, pdf: bool = True
) -> tuple[str, float]:
    """Draw a figure into `folder`/`name`.svg and, with `pdf`, .pdf; gives its SVG and its width in CSS pixels."""
    with styled(name):
        figure = make()
        content = io.BytesIO()
        figure.savefig(content, format="svg", metadata={"Date": None, "Title": printable(description)})
        svg = content.getvalue()
        write_whole(folder / f"{name}.svg", svg)
        if pdf:
            content = io.BytesIO()
            figure.set_layout_engine("none")  # once is enough
            figure.savefig(content, format="pdf", metadata={"CreationDate": None})
            write_whole(folder / f"{name}.pdf", content.getvalue())
    return svg.decode(), float(figure.get_size_inches()[0] * 96)


def inline(svg: str, description: str, width: float) -> Markup:
    """An SVG file's picture as an element of the page, some `width` CSS pixels wide, in the page's colors and font."""
    body = svg[svg.index("<svg") :]
    box = re.search(r'viewBox="([0-9. -]+)"', body)
    body = re.sub(r"<metadata>.*?</metadata>", "", body, flags=re.DOTALL)
    body = re.sub(r"<style[^>]*>.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r"<title>.*?</title>", "", body, flags=re.DOTALL)
    body = re.sub(r"<!--.*?-->", "", body, flags=re.DOTALL)
    body = re.sub(r'<g id="[^"]*"', "<g", body).replace("xlink:href", "href")
    body = re.sub(r'(<image [^>]*?) id="[^"]*"', r"\1", body)
    # The page's own font; Matplotlib has written it in two ways.
    body = re.sub(r"font: *([0-9.]+)px [^;\"]*", r"font-size: \1px", body)
    body = re.sub(r" *font-family: [^;\"]*;?", "", body)
    for color, variable in _VARIABLES.items():
        body = body.replace(color, variable)
    body = re.sub(r'(?<= d=")[^"]*', _shorter, body)
    body = re.sub(r"\n\s*", "\n", body[body.index(">") + 1 :])
    head = Markup('<svg role="img" aria-label="{0}" viewBox="{1}" style="--native:{2:.0f}px"><title>{0}</title>')
    return head.format(description, box[1] if box else "0 0 1 1", width) + Markup(body)


def _shorter(path: re.Match[str]) -> str:
    return re.sub(r"(\.\d)\d+", r"\1", path[0].replace(" \n", " ").replace("\n", " "))


def look(i: int) -> dict[str, Any]:
    """The color and marker of the i-th of several models: no two of 36 look alike."""
    return {"color": SERIES[i % len(SERIES)], "marker": MARKERS[i // len(SERIES) % len(MARKERS)]}


def figure_of(width: float, height: float) -> "Figure":
    """An empty figure of this size in inches."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height))


def panels(figure: "Figure", rows: int, columns: int, *, left: float, gap: float, **shared: Any) -> "list[list[Axes]]":
    """Axes in a grid [rows, columns] below room for a legend; `left` margin and vertical `gap` in inches.

    The margins are fixed, as finding them by drawing takes longer than the drawing.
    """
    width, height = figure.get_size_inches()
    top, bottom = 1 - 0.55 / height, 0.5 / height
    panel = (height * (top - bottom) - gap * (rows - 1)) / rows
    grid = figure.subplots(rows, columns, squeeze=False, **shared)
    figure.subplots_adjust(left / width, bottom, 1 - 0.1 / width, top, wspace=0.1, hspace=gap / panel)
    return [list(row) for row in grid]


def printable(text: str, most: int = 200) -> str:
    """`text` without control characters, which no SVG file may hold, and without its middle where it is too long.

    >>> printable("net.layer3.block2.convolution", 16)
    'net.laye…olution'
    """
    text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text if len(text) <= most else f"{text[: most // 2]}…{text[len(text) - (most - most // 2 - 1) :]}"
