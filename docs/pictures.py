"""Draws the pictures of the docs: `python docs/pictures.py [RUN]` (RUN: the demo's folder, default runs/demo)."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from metamers.stimuli.pictograms import pictograms
from metamers.store import Store

DOCS = Path(__file__).parent
GAP = 4


def sheet(images: list[list[Image.Image]], size: int) -> Image.Image:
    """Rows of images on one white sheet, each enlarged to `size` pixels."""
    columns = max(map(len, images))
    page = Image.new("RGB", (columns * (size + GAP) + GAP, len(images) * (size + GAP) + GAP), "white")
    for y, row in enumerate(images):
        for x, image in enumerate(row):
            tile = image.resize((size, size), Image.Resampling.NEAREST)
            page.paste(tile, (GAP + x * (size + GAP), GAP + y * (size + GAP)))
    return page


def contact_sheet() -> Image.Image:
    """64 test pictograms in random order, so that the order gives no label away."""
    images = pictograms(n=64, seed=7)
    order = np.random.default_rng(0).permutation(64)
    tiles = [Image.fromarray(images.pixels(int(i))) for i in order]
    return sheet([tiles[i : i + 8] for i in range(0, 64, 8)], 128)


MODELS = {"picto-resnet": "", "picto-resnet-l2": "adversarial, "}


def metamer_sheet(run: Path, columns: int = 8) -> Image.Image:
    """References, and below each its metamers at deeper and deeper stages of two models."""
    store = Store.open(run)
    stages = next(entry["stages"] for entry in store.study()["models"] if entry["name"] in MODELS)
    cells = [cell for batch in store.batches() for cell in batch["cells"] if cell["model"] in MODELS]
    references = list(dict.fromkeys(cell["reference"] for cell in cells))[:columns]
    files = {(cell["model"], cell["stage"], cell["reference"]): cell["file"] for cell in cells}
    rows = [[{cell["reference"]: cell["reference_file"] for cell in cells}[name] for name in references]]
    rows += [[files[model, stage, name] for name in references] for model in MODELS for stage in stages]
    drawn = sheet([[Image.open(store.path(file)) for file in row] for row in rows], 96)
    margin = 160
    page = Image.new("RGB", (drawn.width + margin, drawn.height), "white")
    page.paste(drawn, (margin, 0))
    font = ImageFont.load_default(16)
    for y, name in enumerate(["reference", *(f"{how}{stage}" for how in MODELS.values() for stage in stages)]):
        ImageDraw.Draw(page).text((margin - 8, GAP + y * 100 + 48), name, fill="black", font=font, anchor="rm")
    return page


if __name__ == "__main__":
    contact_sheet().save(DOCS / "pictograms.png", optimize=True)
    metamer_sheet(Path(sys.argv[1] if len(sys.argv) > 1 else "runs/demo")).save(DOCS / "metamers.png", optimize=True)
