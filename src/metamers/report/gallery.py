"""The gallery: one row per reference, one column per stage of the generating model."""

from collections import Counter
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from metamers.report.cells import Cell, Cells
from metamers.report.pictures import THUMBNAIL, Pictures, shown_size
from metamers.report.results import Results

PHONE_THUMBNAIL = 72
TALL = 20
"""Galleries with more rows than this scroll within their own box."""


def galleries(results: Results, pictures: Pictures) -> list[dict[str, Any]]:
    """Per generating model: its stages, and its rows of reference and cells in the order of `results.cells`.

    A cell is its index among `results.cells`, its verdict and its picture (None where there is none). Rows come once,
    one at a time, as there may be many.
    """
    found, first = [], 0
    for model, stages in results.stages.items():
        cells = results.cells.of(model=model)
        found.append(_gallery(model, stages, cells, first, pictures))
        first += len(cells)
    return found


def _gallery(model: str, stages: tuple[str, ...], cells: Cells, first: int, pictures: Pictures) -> dict[str, Any]:
    sizes, n_rows = Counter[tuple[int, int]](), 0
    for _, members in groupby(cells, key=_row_of):
        row = list(members)
        n_rows += 1
        for file in (row[0].reference_file, *(cell.file for cell in row)):
            if size := pictures.size(file):
                sizes[size] += 1
    usual = sizes.most_common(1)[0][0] if sizes else (THUMBNAIL, THUMBNAIL)
    return {
        "model": model,
        "stages": stages,
        "rows": _rows(stages, cells, first, pictures),
        "style": style(*usual),
        "usual": usual,
        "small": max(usual) <= THUMBNAIL,
        "tall": n_rows > TALL,
    }


def _rows(stages: tuple[str, ...], cells: Cells, first: int, pictures: Pictures) -> Iterator[dict[str, Any]]:
    several = len(cells.count("recipe", "seed")) > 1
    for (reference, recipe, seed), group in groupby(enumerate(cells, first), key=lambda pair: _row_of(pair[1])):
        members = list(group)
        index, cell = members[0]
        picture = pictures.get(cell.reference_file)
        by_stage = {c.stage: {"index": i, "verdict": c.verdict, "picture": pictures.get(c.file)} for i, c in members}
        yield {
            "reference": reference,
            "label": cell.label,
            "variant": f"{recipe}, seed {seed}" if several else "",
            "picture": picture,
            "first": index,
            "cells": [by_stage.get(stage) for stage in stages],
        }


def style(width: int, height: int) -> str:
    """The CSS variables that size a picture: width on a screen and on a phone, and its aspect ratio."""
    wide, _ = shown_size(width, height)
    phone, _ = shown_size(width, height, PHONE_THUMBNAIL)
    return f"--w:{wide}px;--p:{phone}px;--r:{width}/{height}"


def _row_of(cell: Cell) -> tuple[str, str, int]:
    return cell.reference, cell.recipe, cell.seed
