from pathlib import Path

import pytest

from metamers.errors import MetamersError
from metamers.stimuli.labeling import labels_from_folders, labels_from_pattern, labels_from_table

IDS = ("images/a/1.png", "images/b/1.png", "images/b/cafe\u0301.png")


def table(folder: Path, text: str) -> Path:
    path = folder / "labels.csv"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("ids", "labels"),
    [
        (["bear/1.png", "cat/2.png"], ("bear", "cat")),
        (["top/bear/1.png", "top/cat/tabby/2.png"], ("bear", "cat")),
        (["a/b/c/1.png", "a/b/d/2.png", "a/b/3.png"], ("c", "d", None)),
        (["images/1.png", "images/2.png"], (None, None)),
        (["1.png", "bear/2.png"], (None, "bear")),
        (["1.png"], (None,)),
    ],
)
def test_the_first_folder_that_not_all_share_is_the_label(ids: list[str], labels: tuple[str | None, ...]) -> None:
    assert labels_from_folders(ids) == labels


@pytest.mark.parametrize(
    ("pattern", "name", "label"),
    [
        ("{label}_*", "bear_1.png", "bear"),
        ("{label}_*", "great_white_1.png", "great"),
        ("*_{label}.*", "n01_great_white.JPEG", "great_white"),
        ("?-{label}-??.png", "7-cup-02.png", "cup"),
        ("{label}.png", "a[1]+.png", "a[1]+"),
        ("[x] {label}.png", "[x] cup.png", "cup"),
        ("set/{label}/*", "set/cup/1.png", "cup"),
        ("*/{label}.png", "set/cup.png", "cup"),
        ("{label}_*", "_1.png", None),
        ("{label}", "cup\n.png", "cup\n.png"),
    ],
)
def test_patterns(pattern: str, name: str, label: str | None) -> None:
    if "/" in pattern:
        assert labels_from_pattern([name, "nothing"], pattern) == (label, None)
    else:
        assert labels_from_pattern([f"folder/{name}", f"x/fits_{name}", name], pattern)[::2] == (label, label)


@pytest.mark.parametrize("pattern", ["*_*", "{label}_{label}", "label"])
def test_a_pattern_holds_label_once(pattern: str) -> None:
    with pytest.raises(MetamersError, match=r"must hold \{label\} once"):
        labels_from_pattern(["a_1.png"], pattern)


def test_a_pattern_that_fits_nothing_is_refused() -> None:
    with pytest.raises(MetamersError, match=r"fits no image, such as 'bear-1\.png'"):
        labels_from_pattern(["x/bear-1.png"], "{label}_*")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_the_file_column_is_found_among_others(separator: str, tmp_path: Path) -> None:
    lines = ["index,path,kind", "1,images/b/1.png,cup", '2,caf\u00e9.png,"a ""big"" cat"', ""]
    path = table(tmp_path, "\n".join(lines).replace(",", separator))
    assert labels_from_table(IDS, path, "kind") == (None, "cup", 'a "big" cat')
    assert labels_from_table(IDS, path, "index") == (None, "1", "2")


def test_two_columns_need_no_name_and_marks_and_empty_cells_are_taken(tmp_path: Path) -> None:
    path = table(tmp_path, "\ufefflabel,file\r\n cup , images/b/1.png\r\n,images/a/1.png\r\n\r\n")
    assert labels_from_table(IDS, path) == (None, "cup", None)


def test_a_cell_may_hold_the_separator_and_a_new_line(tmp_path: Path) -> None:
    path = table(tmp_path, 'file,label\nimages/a/1.png,"cup, or\nglass"\n')
    assert labels_from_table(IDS, path)[0] == "cup, or\nglass"


@pytest.mark.parametrize(
    ("text", "column", "message"),
    [
        ("file,label\nimages/a/1.png,x\nz.png,y\nq.png,y\n", None, r"2 of 3 rows .* name no image .* 'z.png', 'q.png'"),
        ("file,label\n1.png,x\n", None, r"'1.png' may be 'images/a/1.png', 'images/b/1.png'; write the path"),
        ("file,label\nimages/a/1.png,x\nimages/a/1.png,y\n", None, "two rows for 'images/a/1.png'"),
        ("file,label\nz.png,x\n", None, "no column of .* names images of the set, such as 'images/a/1.png'"),
        ("file,kind,word\nimages/a/1.png,x,y\n", None, r"several columns; .* --label-column \(.*\): 'kind', 'word'"),
        ("file,kind,word\nimages/a/1.png,x,y\n", "kid", "no column 'kid'.*; did you mean 'kind'"),
        ("file,kind\nimages/a/1.png,x\n", "file", "no column of .* names images"),
        ("file,kind\nimages/a/1.png\n", None, "row 2: 1 cells under 2 columns"),
        ("file,file\nimages/a/1.png,x\n", None, "two columns 'file'"),
        ("file\nimages/a/1.png\n", None, "has no column beside 'file'; add one of labels"),
        ("file,kind\nimages/a/1.png," + "x" * 140_000, None, "row 2: field larger than field limit"),
        ("file,kind\n", None, "hold no rows"),
        ("", None, "hold no rows"),
    ],
)
def test_tables_that_do_not_fit_are_refused(text: str, column: str | None, message: str, tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match=message) as refusal:
        labels_from_table(IDS, table(tmp_path, text), column)
    assert "labels.csv" in str(refusal.value)


def test_a_table_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(MetamersError, match=r"none.csv' cannot be read \(No such file"):
        labels_from_table(IDS, tmp_path / "none.csv")
    (tmp_path / "x.csv").write_bytes(b"\xff\xfe\x00file")
    with pytest.raises(MetamersError, match=r"x.csv' cannot be read \(no UTF-8 text\)"):
        labels_from_table(IDS, tmp_path / "x.csv")


@pytest.mark.parametrize(("id_", "value"), [("cafe\u0301.png", "caf\u00e9.png"), ("caf\u00e9.png", "cafe\u0301.png")])
def test_accents_may_be_written_in_either_unicode_form(id_: str, value: str, tmp_path: Path) -> None:
    assert labels_from_table([id_], table(tmp_path, f"file,label\n{value},cup\n")) == ("cup",)
