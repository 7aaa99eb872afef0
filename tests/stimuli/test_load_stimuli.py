import errno
import os
import shutil
import sys
import zipfile
from io import BytesIO
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from metamers.errors import MetamersError
from metamers.stimuli import StimulusSet, load_stimuli, write_png
from metamers.stimuli.load import _options

REAL_DATA = os.environ.get("METAMERS_REAL_DATA")
needs_real_data = pytest.mark.skipif(REAL_DATA is None, reason="METAMERS_REAL_DATA names no folder of real images")
NAMES = ("bear/1.png", "bear/2.png", "bear/10.png", "cat/1.png")
PIXELS = np.random.default_rng(0).integers(0, 256, (len(NAMES), 12, 16, 3), dtype=np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, pixels in zip(NAMES, PIXELS, strict=True):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        write_png(tmp_path / "set" / name, pixels)
    return tmp_path / "set"


def save(path: Path, **arrays: Any) -> Path:
    np.savez_compressed(path, **arrays)
    return path


def test_a_folder(folder: Path) -> None:
    stimuli = load_stimuli(folder)
    assert (stimuli.name, stimuli.ids, stimuli.labels) == ("set", NAMES, ("bear", "bear", "bear", "cat"))
    assert (stimuli.size, stimuli.channels, stimuli.classes) == ((12, 16), 3, ())
    assert torch.equal(stimuli.signals, StimulusSet.from_arrays(PIXELS).signals)
    stimuli.check()


@pytest.mark.parametrize("top", [False, True], ids=["files at the top", "under one folder"])
def test_an_archive_equals_its_folder(top: bool, folder: Path) -> None:
    path = shutil.make_archive(
        str(folder.parent / "packed"), "zip", folder.parent if top else folder, "set" if top else "."
    )
    packed, plain = load_stimuli(path), load_stimuli(folder)
    assert packed.name == f"{folder.parent.name}/packed.zip"
    assert packed.ids == tuple(f"set/{id_}" if top else id_ for id_ in plain.ids)
    assert (packed.labels, packed.size) == (plain.labels, plain.size)
    assert packed.fit((9, 9)).set_hash() == plain.fit((9, 9)).set_hash()


def test_a_single_file(folder: Path) -> None:
    stimuli = load_stimuli(str(folder / "cat" / "1.png"))
    assert (stimuli.name, stimuli.ids, stimuli.labels) == ("cat/1.png", ("1.png",), (None,))
    assert np.array_equal(stimuli.pixels(0), PIXELS[3])


def test_sizes_that_differ_are_known_from_the_headers(folder: Path) -> None:
    write_png(folder / "cup.png", np.zeros((8, 8, 3), np.uint8))
    stimuli = load_stimuli(folder)
    assert stimuli.size is None
    assert stimuli.labels[-1] is None
    with pytest.raises(MetamersError, match=r"'bear/1.png' has 12 x 16 pixels and 'cup.png' 8 x 8.*\.fit"):
        _ = stimuli.signals
    assert stimuli.fit((8, 8), channels=1).signals.shape == (5, 1, 8, 8)


def test_a_limit_takes_the_first_and_leaves_the_rest_alone(folder: Path) -> None:
    (folder / "cat" / "2.png").write_bytes(b"broken")
    stimuli = load_stimuli(folder, limit=4)
    assert stimuli.ids == NAMES
    assert load_stimuli(folder, limit=1).labels == ("bear",)
    with pytest.raises(MetamersError, match="limit 0"):
        load_stimuli(folder, limit=0)


def test_labels_from_a_table_replace_those_of_folders(folder: Path) -> None:
    table = folder / "labels.csv"
    table.write_text("file,kind,size\nbear/10.png,brown bear,big\ncat/1.png,tabby,small\n")
    assert load_stimuli(folder, labels=table, label_column="kind").labels == (None, None, "brown bear", "tabby")
    assert load_stimuli(folder, labels=table, label_column="size", limit=3).labels == (None, None, "big")
    with pytest.raises(MetamersError, match="give the file too"):
        load_stimuli(folder, label_column="kind")
    with pytest.raises(MetamersError, match="leave one out"):
        load_stimuli(folder, labels=table, label_pattern="{label}.png")


def test_labels_from_names(folder: Path) -> None:
    assert load_stimuli(folder, label_pattern="{label}.png").labels == ("1", "2", "10", "1")


def test_all_broken_files_are_named_when_the_set_is_loaded(folder: Path) -> None:
    (folder / "bear" / "2.png").write_bytes(b"text")
    Image.new("CMYK", (9, 9)).save(folder / "cat" / "3.jpg")
    with pytest.raises(MetamersError, match=r"bear/2.png' is no PNG.*\(also unreadable: 'cat/3.jpg'\)$"):
        load_stimuli(folder)


def test_check_names_files_that_are_truncated(folder: Path) -> None:
    for name in ("bear/2.png", "cat/1.png"):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: len(data) // 2])
    stimuli = load_stimuli(folder)
    with pytest.raises(MetamersError, match=r"bear/2.png' is truncated or broken .* \(also unreadable: 'cat/1.png'\)$"):
        stimuli.check()


def test_npz_labels(tmp_path: Path) -> None:
    numbers = load_stimuli(save(tmp_path / "x.npz", X=PIXELS, y=np.array([3, 0, 1, 3])))
    assert (numbers.ids, numbers.labels, numbers.classes) == (("00000", "00001", "00002", "00003"), tuple("3013"), ())
    names = ("cup", "cat", "bear", "sun")
    named = load_stimuli(
        save(tmp_path / "y.npz", X=PIXELS, y=np.array([3, 0, 1, 3], np.uint8), classes=np.array(names))
    )
    assert (named.labels, named.classes) == (("sun", "cup", "cat", "sun"), names)
    words = load_stimuli(save(tmp_path / "z.npz", X=PIXELS, y=np.array(["cup", "", "cat", "cup"])), limit=3)
    assert (words.labels, words.name) == (("cup", None, "cat"), f"{tmp_path.name}/z.npz")
    gray = load_stimuli(save(tmp_path / "g.npz", X=PIXELS[..., :1]))
    assert (gray.channels, gray.labels, gray.signals.shape) == (1, (None,) * 4, (4, 1, 12, 16))
    assert gray.fit((12, 16)).channels == 3


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": PIXELS}, "no array 'X'; save the images as X"),
        ({"X": PIXELS.astype(np.float32) / 255}, "X holds float32; save it as uint8"),
        ({"X": PIXELS.astype(np.uint16)}, "X holds uint16"),
        ({"X": PIXELS.transpose(0, 3, 1, 2)}, r"X has shape \[4, 3, 12, 16\]; save it as \[images, height"),
        ({"X": PIXELS[0]}, r"X has shape \[12, 16, 3\]"),
        ({"X": PIXELS[:, :1, :1]}, "at least 8 pixels a side"),
        ({"X": PIXELS[:0]}, "holds no image"),
        ({"X": np.array([PIXELS[0], PIXELS[1][:9]], dtype=object)}, "pickled objects; save plain arrays"),
        ({"X": PIXELS, "y": np.array([None, 1, 2, 3])}, "pickled objects"),
        ({"X": PIXELS, "y": np.arange(3)}, r"y has shape \[3\] for 4 images"),
        ({"X": PIXELS, "y": np.zeros((4, 1), int)}, r"y has shape \[4, 1\]"),
        ({"X": PIXELS, "y": np.linspace(0, 1, 4)}, "y holds float64; save integers or strings"),
        (
            {"X": PIXELS, "y": np.array([0, 1, 2, 1]), "classes": np.array(["a", "b"])},
            "0 to 2, but there are 2 classes",
        ),
        ({"X": PIXELS, "y": np.array([0, -1, 1, 1]), "classes": np.array(["a", "b"])}, "from -1 to 1"),
        ({"X": PIXELS, "classes": np.arange(3)}, "classes is int64"),
    ],
)
def test_npz_files_that_do_not_fit_are_refused(arrays: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match=message) as refusal:
        load_stimuli(save(tmp_path / "x.npz", **arrays))
    assert "x.npz'" in str(refusal.value)


def test_arrays_that_do_not_fit_in_memory_are_refused(tmp_path: Path) -> None:
    header = BytesIO()
    shape = (10**9, 1000, 1000, 3)
    np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("X.npy", header.getvalue())
    with pytest.raises(MetamersError, match=r"x\.npz' does not fit in memory"):
        load_stimuli(tmp_path / "x.npz")


def test_arrays_that_may_not_be_read_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save(tmp_path / "x.npz", X=PIXELS)

    def refuse(*args: Any, **kwargs: Any) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(np, "load", refuse)
    with pytest.raises(MetamersError, match=r"x\.npz' cannot be read \(Permission denied\); repair or replace it"):
        load_stimuli(path)


def test_names_that_are_no_utf8_are_refused(folder: Path) -> None:
    (folder / "bear" / "\udcff.png").write_bytes((folder / "bear" / "1.png").read_bytes())
    with pytest.raises(MetamersError, match=r"file name 'bear/\\udcff\.png' is no UTF-8; rename it"):
        load_stimuli(folder)


def test_files_that_only_look_like_npz_are_refused(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "w.npz", "w") as file:
        file.writestr("X.npy", b"no array")
    with pytest.raises(MetamersError, match=r"w\.npz' is truncated or no npz file"):
        load_stimuli(tmp_path / "w.npz")
    whole = save(tmp_path / "x.npz", X=PIXELS).read_bytes()
    for data in (b"", b"text", whole[:-50]):
        (tmp_path / "y.npz").write_bytes(data)
        with pytest.raises(MetamersError, match=r"y\.npz' is truncated or no npz file"):
            load_stimuli(tmp_path / "y.npz")
    with (tmp_path / "z.npz").open("wb") as file:
        np.save(file, PIXELS)
    with pytest.raises(MetamersError, match=r"z\.npz' is a single array"):
        load_stimuli(tmp_path / "z.npz")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("sett", "no such file or folder; did you mean 'set'"),
        ("nothing.png", r"nothing\.png': no such file or folder"),
        ("x" * 300, r"cannot be reached \(File name too long\); correct the path"),
        ("no/where", "no such file or folder; correct the path"),
        ("notes.txt", "of no known kind; give a folder, .zip, .npz, PNG"),
    ],
)
def test_paths_that_lead_nowhere(name: str, message: str, folder: Path) -> None:
    (folder.parent / "notes.txt").touch()
    with pytest.raises(MetamersError, match=message):
        load_stimuli(folder.parent / name)


def test_a_home_that_there_is_not() -> None:
    with pytest.raises(MetamersError, match=r"'~no\.such\.user/x' cannot be reached .*; correct the path"):
        load_stimuli("~no.such.user/x")


def test_a_bundled_set_gets_its_options(monkeypatch: pytest.MonkeyPatch) -> None:
    fake = ModuleType("metamers.stimuli.pictograms")

    def pictograms(**options: Any) -> StimulusSet:
        return StimulusSet.from_arrays(PIXELS, name=repr(options))

    fake.__dict__["pictograms"] = pictograms
    monkeypatch.setitem(sys.modules, "metamers.stimuli.pictograms", fake)
    stimuli = load_stimuli("bundled:pictograms?split=test&n=512&seed=0", limit=2)
    assert stimuli.name == repr({"split": "test", "n": 512, "seed": 0})
    assert len(stimuli) == 2
    assert load_stimuli("bundled:pictograms").name == "{}"


def test_options_of_a_bundled_set() -> None:
    assert _options("x", "size=32&split=train", ("split", "size")) == {"size": 32, "split": "train"}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "bundled:pictogram",
            "no bundled stimuli 'pictogram'; there are: pictograms, spoken_words, .*; did you mean 'pictograms'",
        ),
        ("bundled:pictograms?sed=1", "no option 'sed'; did you mean 'seed'"),
        ("bundled:pictograms?seed=-1", "seed is '-1'; give a whole number"),
        ("bundled:pictograms?n=", "n is ''; give a whole number"),
        ("bundled:pictograms?n=²", "give a whole number"),
        ("bundled:pictograms?n=1&n=2", "states 'n' twice"),
        ("bundled:pictograms?n", "key=value"),
        ("pictograms", "did you mean 'bundled:pictograms'"),
    ],
)
def test_specs_of_bundled_sets_that_are_refused(spec: str, message: str) -> None:
    with pytest.raises(MetamersError, match=message):
        load_stimuli(spec)


@needs_real_data
def test_cifar_arrays() -> None:
    assert REAL_DATA is not None
    stimuli = load_stimuli(Path(REAL_DATA, "cifar10", "test_100.npz"))
    assert (stimuli.name, len(stimuli), stimuli.size, stimuli.channels) == ("cifar10/test_100.npz", 100, (32, 32), 3)
    assert set(stimuli.labels) == set("0123456789")
    assert stimuli.ids[17] == "00017"


@needs_real_data
def test_imagenet_samples_in_their_archive() -> None:
    assert REAL_DATA is not None
    folder = Path(REAL_DATA, "imagenet_samples")
    stimuli = load_stimuli(
        folder / "imagenet_samples_256.zip", labels=folder / "labels.csv", label_column="class16", limit=200
    )
    assert stimuli.ids[0] == "images/n01440764_tench.JPEG"
    assert stimuli.labels[0] is None
    assert "bird" in stimuli.labels
    fitted = stimuli[:8].fit((224, 224))
    fitted.check()
    assert fitted.signals.shape == (8, 3, 224, 224)
    named = load_stimuli(folder / "imagenet_samples_256.zip", label_pattern="*_{label}.JPEG", limit=3)
    assert named.labels == ("tench", "goldfish", "great_white_shark")
