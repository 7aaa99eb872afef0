"""The store: whole files, one study a folder, and slugs that never collide."""

import errno
import os

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamers.errors import MetamersError
from metamers.store import Cell, Store, matches, read_table, slug, write_whole
from metamers.store.tables import build_tables

RECIPE = {"name": "fast", "steps": 5}
STUDY = {
    "models": [{"name": "m", "weights_hash": "ab", "stages": ["s"]}],
    **{"recipes": [RECIPE], "seeds": [0], "stimuli": {"spec": "images", "hash": "cd"}},
}
BATCH = {
    **{"id": "b", "model": "m", "stage": "s", "recipe": "fast", "seed": 0, "weights_hash": "ab"},
    "settings": RECIPE,
}


@given(st.text(min_size=1), st.text(min_size=1))
def test_slugs_are_file_names_and_differ_where_names_differ(a, b):
    assert "/" not in slug(a)
    assert slug(a) not in ("", ".", "..")
    assert len(slug(a)) <= 100
    assert (slug(a) == slug(b)) == (a == b)


def test_a_cell_names_its_file():
    cell = Cell("picto-resnet", "layer1", "fast", "bear/1.png", 3)
    assert cell.id == "picto-resnet/layer1/fast/bear_1.png-af3975/s3"
    assert cell.file_stem == "metamers/picto-resnet/layer1/fast/bear_1.png-af3975.s3"


def test_a_file_is_never_half_written(tmp_path, monkeypatch):
    target = tmp_path / "a.json"
    target.write_bytes(b"old")

    def broken(handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", broken)
    with pytest.raises(MetamersError, match=r"a\.json: the disk is full"):
        write_whole(target, b"new")
    assert target.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["a.json"]


@pytest.mark.parametrize("code", [errno.EROFS, errno.EACCES])
def test_a_read_only_disk_is_one_clear_line(tmp_path, monkeypatch, code):
    def refuse(*args, **kwargs):
        raise OSError(code, "refused")

    monkeypatch.setattr("tempfile.mkstemp", refuse)
    with pytest.raises(MetamersError, match="cannot be written"):
        write_whole(tmp_path / "a", b"")


def test_another_study_is_refused_and_the_same_one_continued(tmp_path):
    store = Store(tmp_path / "run")
    store.begin(STUDY)
    store.begin({**STUDY, "command": "another way to say it"})
    with pytest.raises(MetamersError, match="holds another study"):
        store.begin({**STUDY, "seeds": [1]})


def test_a_folder_that_is_no_run_is_left_alone(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(MetamersError, match="is not a run"):
        Store(tmp_path).begin(STUDY)
    with pytest.raises(MetamersError, match="not a run"):
        Store.open(tmp_path)
    assert os.listdir(tmp_path) == ["notes.txt"]


def test_a_path_out_of_the_run_is_refused(tmp_path):
    with pytest.raises(MetamersError, match="outside the run"):
        Store(tmp_path).path("../elsewhere.png")


def test_tables_keep_digits_as_text_and_gaps_as_gaps(tmp_path):
    store = Store(tmp_path / "run")
    store.begin(STUDY)
    cell = {
        "cell": "m/s/fast/00001/s0",
        "reference": "00001",
        "label": "3",
        "seed": 0,
        "same_class": None,
        "file": None,
    }
    cell |= {"pearson_r": 0.5, "verdict": "no null"}
    store.commit({**BATCH, "cells": [cell]}, {})
    build_tables(store)
    read = read_table(store, "matches")
    pd.testing.assert_frame_equal(matches([cell]), read)
    assert read.reference[0] == "00001"
    assert read.label[0] == "3"
    assert read.same_class.isna().all()
    assert len(matches([])) == 0


def test_any_name_survives_the_table(tmp_path):
    names = ["a\rb", "a\nb", "a\r\nb", 'a"b', "a,b", " a ", "NA", "\u2028", "\\"]
    store = Store(tmp_path / "run")
    store.begin(STUDY)
    cells = [
        {"cell": str(i), "reference": name, "label": name, "snr_db": 1.0, "file": None} for i, name in enumerate(names)
    ]
    store.commit({**BATCH, "cells": cells}, {})
    build_tables(store)
    read = read_table(store, "matches")
    pd.testing.assert_frame_equal(matches(cells), read)
    assert list(read.reference) == list(read.label) == names


def test_a_record_that_cannot_be_read_is_one_clear_line(tmp_path):
    store = Store(tmp_path / "run")
    store.begin(STUDY)
    store.batch_path("m", "s", "b").mkdir(parents=True)
    with pytest.raises(MetamersError, match=r"b\.json: cannot be read \(Is a directory\)"):
        list(store.batches())
