"""The pictures of the page: embedded while the allowance lasts, then by relative reference."""

import base64
import io
import struct
from dataclasses import dataclass, replace
from pathlib import Path
from urllib.parse import quote

from metamers.errors import MetamersError
from metamers.store import Store

MAX_EMBEDDED = 200
MAX_EMBEDDED_BYTES = 1_500_000
MAX_STANDALONE_BYTES = 50_000_000
THUMBNAIL = 128
"""Longest side of a thumbnail on the page, in CSS pixels; larger pictures are embedded at this size."""


@dataclass(frozen=True)
class Picture:
    """`src` is shown; `full` is the file to enlarge where that is another, else empty. Sizes are those of the file.
    `sound` is what is heard, where it is a picture of a sound, else empty."""

    src: str
    full: str
    width: int
    height: int
    sound: str = ""


class Pictures:
    """Hands out the pictures of a run in the order of the page. `standalone` embeds every one as it is."""

    def __init__(self, store: Store, *, standalone: bool = False) -> None:
        self.store = store
        self.standalone = standalone
        self.embedded = 0
        self.bytes = 0
        self.missing = 0

    def size(self, relative: str | None) -> tuple[int, int] | None:
        """The size of `get(relative)`; where there is none of what should be there, it is counted as missing.

        Raises MetamersError for a file outside the run.
        """
        if not relative:
            return None
        size = png_size(self.store.path(_drawn(relative)))
        self.missing += size is None
        return size

    def get(self, relative: str | None) -> Picture | None:
        """The picture of a file of the run (of a sound, the cochleagram beside it); None where there is no file, or no
        readable PNG.

        Raises MetamersError for a file outside the run, or when a standalone page becomes too large.
        """
        if not relative:
            return None
        if relative.endswith(".wav"):
            drawn = self.get(_drawn(relative))
            path = self.store.path(relative)
            if drawn is None or not path.is_file():
                return None
            sound = self._embed(path.read_bytes(), "audio/wav") if self.standalone else quote(relative)
            return replace(drawn, sound=sound)
        path = self.store.path(relative)
        size = png_size(path)
        if size is None:
            return None
        link = quote(relative)
        if self.standalone:
            return Picture(self._embed(path.read_bytes(), "image/png"), "", *size)
        if self.embedded >= MAX_EMBEDDED or self.bytes >= MAX_EMBEDDED_BYTES:
            return Picture(link, "", *size)
        if max(size) > THUMBNAIL:
            small = _reduced(path)
            return Picture(self._embed(small, "image/jpeg"), link, *size) if small else Picture(link, "", *size)
        return Picture(self._embed(path.read_bytes(), "image/png"), "", *size)

    def _embed(self, content: bytes, kind: str) -> str:
        uri = f"data:{kind};base64,{base64.b64encode(content).decode()}"
        self.embedded += 1
        self.bytes += len(uri)
        if self.standalone:
            check_standalone(self.store.folder, self.bytes)
        return uri


def check_standalone(run: Path, size: int) -> None:
    """Raises MetamersError when a standalone page is larger than 50 MB."""
    if size > MAX_STANDALONE_BYTES:
        raise MetamersError(
            f"{run}: a standalone page would be larger than 50 MB; leave --standalone out (the page then shows the "
            "pictures from the run's folder)"
        )


def png_size(path: Path) -> tuple[int, int] | None:
    """Width and height in pixels from a PNG's header; None where there is no such file or it is no PNG."""
    try:
        with path.open("rb") as file:
            header = file.read(24)
    except OSError:
        return None
    if len(header) < 24 or not header.startswith(b"\x89PNG\r\n\x1a\n"):
        return None
    width, height = struct.unpack(">II", header[16:24])
    return (width, height) if width and height else None


def shown_size(width: int, height: int, most: int = THUMBNAIL) -> tuple[int, int]:
    """The size at which a picture is shown within a square of `most`: enlarged or reduced by a whole factor.

    >>> shown_size(32, 32), shown_size(64, 48), shown_size(224, 224), shown_size(50, 50)
    ((128, 128), (128, 96), (112, 112), (100, 100))
    """
    longest = max(width, height)
    if longest <= most:
        factor = most // longest
        return width * factor, height * factor
    divisor = -(-longest // most)
    return max(1, round(width / divisor)), max(1, round(height / divisor))


def _drawn(relative: str) -> str:
    """The file of the picture: of a sound, that beside it."""
    return f"{relative.removesuffix('.wav')}.png" if relative.endswith(".wav") else relative


def _reduced(path: Path) -> bytes | None:
    from PIL import Image

    try:
        with Image.open(path) as image:
            small = image.convert("RGB")
    except Exception:  # Pillow raises whatever a broken file leads it to; the browser shows what there is
        return None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    content = io.BytesIO()
    small.save(content, "JPEG", quality=85, subsampling=0)
    return content.getvalue()
