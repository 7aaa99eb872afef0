"""Generated pictograms: a pure function of split, seed and index."""

import hashlib

import numpy as np
import pytest

from metamers.errors import MetamersError
from metamers.stimuli import load_stimuli
from metamers.stimuli.pictograms import GLYPHS, NAMES, _glyph, draw, pictograms


def test_an_image_depends_on_split_seed_and_index_alone():
    long, short = pictograms(n=40, seed=3), pictograms(n=20, seed=3)
    assert np.array_equal(long.pixels(17), short.pixels(17))
    assert np.array_equal(long[[39, 17]].pixels(1), draw("test", 3, 17))
    images = [draw(split, seed, i) for split in ("train", "test") for seed in (0, 1) for i in (0, 16)]
    assert len({hashlib.sha256(image.tobytes()).hexdigest() for image in images}) == len(images)


def test_images_are_labeled_with_what_they_show():
    images = pictograms(n=33)
    assert images.labels[:16] == images.labels[16:32] == NAMES
    assert images.classes == NAMES == tuple(sorted(GLYPHS))
    assert images.pixels(0).shape == (64, 64, 3)
    assert images.pixels(0).dtype == np.uint8
    assert pictograms(n=1, size=32).pixels(0).shape == (32, 32, 3)


def test_objects_stand_out_and_vary():
    same_object = np.stack([draw("test", 0, 16 * i).astype(float) for i in range(12)])
    assert (same_object.std((1, 2)).max(1) > 15).all()
    assert same_object.std(0).mean() > 20


def test_every_glyph_is_in_the_font(monkeypatch):
    monkeypatch.setitem(GLYPHS, "missing", "\U0010fffe")
    shapes = {_glyph(name).tobytes() for name in (*NAMES, "missing")}
    assert len(shapes) == len(NAMES) + 1  # a missing glyph gives the same empty box as any other


def test_the_specification_is_read():
    images = load_stimuli("bundled:pictograms?split=train&n=3&seed=5")
    assert len(images) == 3
    assert np.array_equal(images.pixels(2), draw("train", 5, 2))


@pytest.mark.parametrize(
    "bad",
    ["split=validation", "n=0", "n=many", "seed=-1", "size=4", "number=3"],
)
def test_bad_specifications_are_one_clear_line(bad):
    with pytest.raises(MetamersError) as error:
        load_stimuli(f"bundled:pictograms?{bad}")
    assert "\n" not in str(error.value)
