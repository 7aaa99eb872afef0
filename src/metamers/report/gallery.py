"""The gallery: one row per reference, one column per stage of the generating model."""

from collections import Counter
from itertools import groupby
from typing import Any

from metamers.report.pictures import THUMBNAIL, Picture, Pictures, shown_size
from metamers.report.results import Cell, Results

PHONE_THUMBNAIL = 72
TALL = 20
"""Galleries with more rows than this scroll within their own box."""


def galleries(results: Results, pictures: Pictures) -> list[dict[str, Any]]:
    """Per generating model: its stages, and its rows of reference and cells in the order of `results.cells`.

    A cell is its index among `results.cells`, its verdict and its picture (None where there is none).
    """
    numbered = list(enumerate(results.cells))
    return [
        _gallery(model, results.stages[model], list(cells), pictures)
        for model, cells in groupby(numbered, key=lambda pair: pair[1]["model"])
    ]


def _gallery(model: str, stages: tuple[str, ...], cells: list[tuple[int, Cell]], pictures: Pictures) -> dict[str, Any]:
    variants = {(c["recipe"], c["seed"]) for _, c in cells}
    rows = []
    for (reference, recipe, seed), group in groupby(cells, key=_row_of):
        members = list(group)
        first = members[0][1]
        picture = pictures.get(first["reference_file"])
        by_stage = {
            c["stage"]: {"index": i, "verdict": c["verdict"], "picture": pictures.get(c["file"])} for i, c in members
        }
        rows.append(
            {
                "reference": reference,
                "label": first["label"],
                "variant": f"{recipe}, seed {seed}" if len(variants) > 1 else "",
                "picture": picture,
                "first": members[0][0],
                "cells": [by_stage.get(stage) for stage in stages],
            }
        )
    sizes = Counter(_size(p) for row in rows for p in _pictures(row))
    usual = sizes.most_common(1)[0][0] if sizes else (THUMBNAIL, THUMBNAIL)
    return {
        "model": model,
        "stages": stages,
        "rows": rows,
        "style": style(*usual),
        "usual": usual,
        "small": max(usual) <= THUMBNAIL,
        "tall": len(rows) > TALL,
    }


def style(width: int, height: int) -> str:
    """The CSS variables that size a picture: width on a screen and on a phone, and its aspect ratio."""
    wide, _ = shown_size(width, height)
    phone, _ = shown_size(width, height, PHONE_THUMBNAIL)
    return f"--w:{wide}px;--p:{phone}px;--r:{width}/{height}"


def _row_of(numbered: tuple[int, Cell]) -> tuple[str, str, int]:
    return numbered[1]["reference"], numbered[1]["recipe"], numbered[1]["seed"]


def _size(picture: Picture) -> tuple[int, int]:
    return picture.width, picture.height


def _pictures(row: dict[str, Any]) -> list[Picture]:
    found = [row["picture"], *(cell["picture"] for cell in row["cells"] if cell)]
    return [picture for picture in found if picture]
