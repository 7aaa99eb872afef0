import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamers.errors import MetamersError
from metamers.stimuli import files as files_module
from metamers.stimuli.files import FolderFiles, ZipFiles, natural_key
from metamers.stimuli.pixels import MAX_PIXELS

CONTENTS = {f"bear/{i}.png": os.urandom(3000 * i) for i in (1, 2, 10)} | {"cat/a b.JPEG": b"a" * 5000, "é.tif": b"x"}
JUNK = ["notes.txt", ".hidden.png", ".git/x.png", "bear/._1.png", "__MACOSX/bear/1.png", "bear/.DS_Store"]
ORDER = ("bear/1.png", "bear/2.png", "bear/10.png", "cat/a b.JPEG", "é.tif")


def fill(folder: Path) -> Path:
    for name, content in CONTENTS.items() | {(name, b"junk") for name in JUNK}:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def archive(path: Path, method: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", method) as file:
        file.mkdir("empty")
        for name in [*reversed(CONTENTS), *JUNK]:
            file.writestr(name, CONTENTS.get(name, b"junk"))
    return path


def test_a_folder_gives_its_images_in_natural_order_without_junk(tmp_path: Path) -> None:
    files = FolderFiles(fill(tmp_path))
    assert files.ids == ORDER
    assert {id_: files.read(id_) for id_ in files.ids} == CONTENTS
    assert files.where("bear/1.png") == f"'{tmp_path}/bear/1.png'"


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_gives_what_its_folder_gives(method: int, tmp_path: Path) -> None:
    files = ZipFiles(archive(tmp_path / "x.zip", method))
    assert files.ids == ORDER
    assert {id_: files.read(id_) for id_ in files.ids} == CONTENTS
    with files.open("cat/a b.JPEG") as file:
        assert file.read(3) == b"aaa"


def test_an_archive_behind_other_data_is_read(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip")
    path.write_bytes(b"#!/bin/sh\n" + path.read_bytes())
    files = ZipFiles(path)
    assert {id_: files.read(id_) for id_ in files.ids} == CONTENTS


def test_threads_read_an_archive_at_once(tmp_path: Path) -> None:
    files = ZipFiles(archive(tmp_path / "x.zip"))
    wanted = list(files.ids) * 50
    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(files.read, wanted)) == [CONTENTS[id_] for id_ in wanted]


def test_links_are_followed_once(tmp_path: Path) -> None:
    folder = tmp_path / "set"
    folder.mkdir()
    fill(tmp_path / "elsewhere")
    (folder / "linked").symlink_to(tmp_path / "elsewhere" / "bear")
    (tmp_path / "elsewhere" / "bear" / "loop").symlink_to(folder)
    assert FolderFiles(folder).ids == ("linked/1.png", "linked/2.png", "linked/10.png")


def test_a_broken_link_is_named(tmp_path: Path) -> None:
    (tmp_path / "x.png").symlink_to(tmp_path / "nowhere.png")
    files = FolderFiles(tmp_path)
    with pytest.raises(MetamersError, match=r"x\.png' cannot be read \(No such file"):
        files.read("x.png")


def test_a_folder_without_images_says_what_it_has(tmp_path: Path) -> None:
    (tmp_path / "a.csv").touch()
    (tmp_path / "b.GIF").touch()
    (tmp_path / "._c.png").touch()
    with pytest.raises(MetamersError, match=r"has no images or sounds \(it has .csv, .gif files\); give one with PNG"):
        FolderFiles(tmp_path)


def test_an_empty_folder_and_archive_are_refused(tmp_path: Path) -> None:
    zipfile.ZipFile(tmp_path / "x.zip", "w").close()
    with pytest.raises(MetamersError, match=r"archive '.*x.zip' has no images or sounds; give one with PNG"):
        ZipFiles(tmp_path / "x.zip")
    (tmp_path / "x.zip").unlink()
    with pytest.raises(MetamersError, match=r"folder '.*' has no images or sounds; give one with PNG"):
        FolderFiles(tmp_path)


def test_broken_archives_are_refused(tmp_path: Path) -> None:
    path = archive(tmp_path / "x.zip")
    whole = path.read_bytes()
    path.write_bytes(whole[:-100])
    with pytest.raises(MetamersError, match=r"cannot be read as a zip archive .*; make it again"):
        ZipFiles(path)
    damaged = bytearray(whole)
    damaged[whole.index(b"bear/10.png") + 3000] ^= 1
    path.write_bytes(damaged)
    files = ZipFiles(path)
    with pytest.raises(MetamersError, match=r"x.zip/bear/10.png' .*; make the archive again"):
        files.read("bear/10.png")


def test_other_compressions_and_passwords_are_refused(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match="neither stored nor deflated"):
        ZipFiles(archive(tmp_path / "x.zip", zipfile.ZIP_LZMA))
    path = archive(tmp_path / "y.zip", zipfile.ZIP_STORED)
    data = bytearray(path.read_bytes())
    entry = data.index(b"PK\x01\x02", data.index(b"PK\x01\x02") + 1)  # the first is the empty folder
    data[entry + 8] |= 1
    path.write_bytes(data)
    with pytest.raises(MetamersError, match="is encrypted"):
        ZipFiles(path)


def test_what_would_fill_the_memory_when_unpacked_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert 4 * MAX_PIXELS < files_module.MAX_BYTES < 2**30  # the largest image, uncompressed, is no bomb
    monkeypatch.setattr(files_module, "MAX_BYTES", 2**20)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a/1.png", bytes(2**20))
        file.writestr("a/2.png", bytes(3 * 2**20))
    with pytest.raises(MetamersError, match=r"x\.zip/a/2\.png' has 3 MiB unpacked, over 1; scale it down"):
        ZipFiles(tmp_path / "x.zip")


def test_names_that_lead_out_of_an_archive_lead_nowhere(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        for name in ("../1.png", "a/../../2.png", "/etc/3.png"):
            file.writestr(name, b"x")
    files = ZipFiles(tmp_path / "x.zip")
    assert files.ids == ("/etc/3.png",)
    assert files.read("/etc/3.png") == b"x"


@given(st.lists(st.integers(0, 10**12), unique=True), st.text("abC- .", max_size=3))
def test_numbers_sort_by_value(numbers: list[int], stem: str) -> None:
    names = sorted((f"{stem}{number}x.png" for number in numbers), key=natural_key)
    assert names == [f"{stem}{number}x.png" for number in sorted(numbers)]


@given(st.lists(st.text(max_size=8)))
def test_any_names_have_an_order_that_depends_on_nothing_else(names: list[str]) -> None:
    backwards = names[::-1]
    assert sorted(names, key=natural_key) == sorted(backwards, key=natural_key)


def test_a_name_that_an_archive_holds_twice_is_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as file:
        file.writestr("a\\1.png", b"")
        file.writestr("a/1.png", b"")
    with pytest.raises(MetamersError, match=r"x\.zip' holds 'a/1\.png' twice"):
        ZipFiles(tmp_path / "x.zip")
