"""Which pictures are embedded, at what size, and when a standalone page is refused."""

import base64
import io
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from metamers.errors import MetamersError
from metamers.report import pictures, write_report
from metamers.report.pictures import Pictures, png_size, shown_size
from metamers.store import Store

MakeRun = Callable[..., Path]


def test_two_hundred_are_embedded_and_the_rest_read_from_files(report: Path) -> None:
    html = report.read_text(encoding="utf-8")
    assert html.count('<img src="data:') == 200
    assert html.count('<img src="metamers/') + html.count('<img src="references/') == 87


def test_embedded_bytes_are_bounded(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pictures, "MAX_EMBEDDED_BYTES", 1000)
    handed = Pictures(Store.open(run))
    sources = [handed.get(f"references/test-0-{i:05d}.png") for i in range(16)]
    assert 0 < sum(p is not None and p.src.startswith("data:") for p in sources) < len(sources)


def test_embedded_small_picture_is_the_file_itself(run: Path) -> None:
    relative = "references/test-0-00000.png"
    picture = Pictures(Store.open(run)).get(relative)
    assert picture is not None and picture.full == "" and (picture.width, picture.height) == (32, 32)
    assert base64.b64decode(picture.src.split(",")[1]) == (run / relative).read_bytes()


def test_large_picture_is_embedded_small_and_enlarged_from_its_file(make_run: MakeRun) -> None:
    run = make_run("large-pictures", models=["m"], stages=["a"], references=1, size=300)
    picture = Pictures(Store.open(run)).get("references/test-0-00000.png")
    assert picture is not None and picture.full == "references/test-0-00000.png" and picture.width == 300
    with Image.open(io.BytesIO(base64.b64decode(picture.src.split(",")[1]))) as small:
        assert max(small.size) == pictures.THUMBNAIL


def test_damaged_large_picture_is_left_to_the_browser(make_run: MakeRun) -> None:
    run = make_run("damaged-pictures", models=["m"], stages=["a"], references=1)
    Image.effect_noise((300, 300), 90).save(run / "noise.png")
    data = bytearray((run / "noise.png").read_bytes())
    data[data.rindex(b"IDAT")] = 0x83  # no letter: no chunk
    (run / "noise.png").write_bytes(data)
    picture = Pictures(Store.open(run)).get("noise.png")
    assert picture is not None and picture.src == "noise.png"


def test_standalone_embeds_all_and_refers_to_nothing(make_run: MakeRun) -> None:
    run = make_run("standalone", models=["m"], references=42, size=20)
    html = write_report(run, standalone=True).read_text(encoding="utf-8")
    sources = re.findall(r'<img src="([^"]*)"', html)
    assert len(sources) == 42 * 6
    assert all(s.startswith("data:image/png") for s in sources)
    assert not re.search(r'(?:href|src|data-full)="(?!#|data:)', html)


def test_standalone_beyond_its_limit_is_refused(make_run: MakeRun, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run("too-large", models=["m"], stages=["a"], references=4)
    monkeypatch.setattr(pictures, "MAX_STANDALONE_BYTES", 20_000)
    with pytest.raises(MetamersError, match="larger than 50 MB; leave --standalone out"):
        write_report(run, standalone=True)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize("side", [1, 28, 32, 64, 100, 128])
def test_small_pictures_are_shown_at_whole_multiples(side: int) -> None:
    width, height = shown_size(side, side)
    assert width == height <= pictures.THUMBNAIL and width % side == 0


def test_png_size_of_what_is_no_png(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_bytes(b"\x89PNG")
    assert png_size(tmp_path / "a.png") is None and png_size(tmp_path / "none.png") is None
