"""Where image or sound files lie: in a folder, in a zip archive that is read in place, or alone."""

import os
import re
import struct
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from io import BytesIO
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import IO, Literal

from metamers.errors import MetamersError
from metamers.stimuli.images import SUFFIXES
from metamers.stimuli.pixels import MAX_PIXELS
from metamers.stimuli.sounds import SOUND_SUFFIXES

Kind = Literal["image", "sound"]
_SUFFIXES: dict[Kind, tuple[str, ...]] = {"image": SUFFIXES, "sound": SOUND_SUFFIXES}
_FORMATS: dict[Kind | None, str] = {
    **{"image": "PNG, JPEG, WebP or TIFF", "sound": "WAV, FLAC, OGG or MP3"},
    None: "PNG, JPEG, WebP, TIFF, WAV, FLAC, OGG or MP3",
}

# More than any file of an image that is not too large: an entry of an archive is not unpacked to learn its size.
MAX_BYTES = 8 * MAX_PIXELS


class FolderFiles:
    """Files of one kind in a folder; ids are relative paths with "/".

    ids: the files meant; by default all in the folder and its subfolders, hidden files left out, in natural order.
    kind: `image` or `sound`; None for what there is, images where there are both.
    """

    def __init__(self, folder: Path, ids: Sequence[str] | None = None, kind: Kind | None = None) -> None:
        self._folder = folder
        names = list(_walk(folder)) if ids is None else ids
        self.kind, self.ids = _of_one_kind(names, kind, f"folder '{folder}'")

    def where(self, id_: str) -> str:
        """The file as messages name it."""
        return f"'{self._folder / id_}'"

    def open(self, id_: str) -> IO[bytes]:
        """The file, to read its beginning; the caller closes it."""
        try:
            return (self._folder / id_).open("rb")
        except OSError as error:
            raise MetamersError(f"{self.where(id_)} cannot be read ({error.strerror}); repair or remove it") from error

    def read(self, id_: str) -> bytes:
        """The whole file."""
        with self.open(id_) as file:
            return file.read()


class ZipFiles:
    """The files of one kind in a zip archive, read in place; ids are their paths in it. Hidden files are left out.

    kind: as of `FolderFiles`.

    Every read opens the archive for itself, so threads and forked processes may read at once.
    """

    def __init__(self, path: Path, kind: Kind | None = None) -> None:
        self._path = path
        try:
            with zipfile.ZipFile(path) as archive:
                entries = [entry for entry in archive.infolist() if not entry.is_dir()]
        except (zipfile.BadZipFile, OSError, NotImplementedError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise MetamersError(f"'{path}' cannot be read as a zip archive ({reason}); make it again") from error
        names = [entry.filename.replace("\\", "/") for entry in entries]
        self._entries = dict(zip(names, entries, strict=True))
        self.kind, self.ids = _of_one_kind(names, kind, f"archive '{path}'")
        for earlier, id_ in pairwise(self.ids):
            if earlier == id_:
                raise MetamersError(f"archive '{path}' holds '{id_}' twice; make it again with one of them")
        for id_ in self.ids:
            self._check(id_)

    def where(self, id_: str) -> str:
        """The file as messages name it."""
        return f"'{self._path}/{id_}'"

    def open(self, id_: str) -> IO[bytes]:
        """The file, to read its beginning."""
        return BytesIO(self.read(id_))

    def read(self, id_: str) -> bytes:
        """The whole file, its checksum compared."""
        entry = self._entries[id_]
        try:
            with self._path.open("rb") as file:
                # The local header: 26 bytes, the lengths of the name and of the extra field, then these two.
                file.seek(entry.header_offset + 26)
                file.seek(sum(struct.unpack("<HH", file.read(4))), os.SEEK_CUR)
                data = file.read(entry.compress_size)
            if entry.compress_type == zipfile.ZIP_DEFLATED:
                data = zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, entry.file_size + 1)
        except (OSError, struct.error, zlib.error) as error:
            raise MetamersError(f"{self.where(id_)} cannot be read ({error}); make the archive again") from error
        if len(data) != entry.file_size or zlib.crc32(data) != entry.CRC:
            raise MetamersError(f"{self.where(id_)} is damaged (wrong checksum); make the archive again")
        return data

    def _check(self, id_: str) -> None:
        entry = self._entries[id_]
        if entry.flag_bits & 1:
            raise MetamersError(f"{self.where(id_)} is encrypted; make the archive again without a password")
        if entry.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise MetamersError(f"{self.where(id_)} is neither stored nor deflated; make the archive with plain zip")
        if entry.file_size > MAX_BYTES:
            size, most = entry.file_size / 2**20, MAX_BYTES // 2**20
            raise MetamersError(f"{self.where(id_)} has {size:.0f} MiB unpacked, over {most}; scale it down first")


StimulusFiles = FolderFiles | ZipFiles


def natural_key(id_: str) -> tuple[tuple[tuple[str | int, ...], ...], str]:
    """A key that sorts paths folder by folder, numbers in them by value and letters regardless of case.

    >>> sorted(["10.png", "b/1.png", "2.png", "B/02.png"], key=natural_key)
    ['2.png', '10.png', 'b/1.png', 'B/02.png']
    """
    parts = []
    for part in id_.split("/"):
        # Splitting at a group gives text, number, text and so on: what is compared is always of one type.
        pieces = re.split("([0-9]+)", part.casefold())
        parts.append(tuple(int(piece) if i % 2 else piece for i, piece in enumerate(pieces)))
    return tuple(parts), id_


def kind_of(name: str) -> Kind | None:
    """What a file of this name holds; None where that is not known."""
    suffix = PurePosixPath(name).suffix.lower()
    return next((kind for kind, suffixes in _SUFFIXES.items() if suffix in suffixes), None)


def _of_one_kind(names: Sequence[str], kind: Kind | None, where: str) -> tuple[Kind, tuple[str, ...]]:
    """The kind of what is taken, and the files of it in natural order."""
    seen = [name for name in names if not any(map(_is_hidden, name.split("/")))]
    for wanted in (kind,) if kind else _SUFFIXES:
        if ids := [name for name in seen if kind_of(name) == wanted]:
            return wanted, tuple(sorted(ids, key=natural_key))
    others = sorted({PurePosixPath(name).suffix.lower() for name in seen} - {""})
    found = f" (it has {', '.join(others[:5])} files)" if others else ""
    what = f"{kind}s" if kind else "images or sounds"
    raise MetamersError(f"{where} has no {what}{found}; give one with {_FORMATS[kind]} files")


def _is_hidden(part: str) -> bool:
    return part.startswith(".") or part == "__MACOSX"


def _walk(folder: Path) -> Iterator[str]:
    """The files under a folder as relative paths with "/"; links are followed, each folder is entered once."""
    entered = set()

    def refuse(error: OSError) -> None:
        raise MetamersError(f"folder '{error.filename}' cannot be read ({error.strerror}); repair its permissions")

    for root, folders, names in os.walk(folder, onerror=refuse, followlinks=True):
        status = Path(root).stat()
        if (status.st_dev, status.st_ino) in entered:
            folders.clear()
            continue
        entered.add((status.st_dev, status.st_ino))
        folders[:] = sorted(name for name in folders if not _is_hidden(name))
        yield from (Path(root, name).relative_to(folder).as_posix() for name in names)
