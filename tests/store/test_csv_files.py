"""Tables that people wrote."""

import pytest

from metamers.errors import MetamersError
from metamers.store import read_csv_rows


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_rows_come_with_their_lines_and_without_blanks(tmp_path, separator):
    path = tmp_path / "x.csv"
    lines = ["\ufeffa,b", " 1 ,ä", "", '"2\n3",']
    path.write_text("\n".join(lines).replace(",", separator), encoding="utf-8")
    assert read_csv_rows(path, "labels", "image") == (["a", "b"], [(2, ["1", "ä"]), (5, ["2\n3", ""])])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"a,b\n", "labels '.*x.csv' hold no rows; give a header and a row for each image"),
        (b"a,b\n1\n", "x.csv, row 2: 1 cells under 2 columns; correct it"),
        (b"a,b\n\xff,1\n", r"labels '.*x.csv' cannot be read \(no UTF-8 text\)"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, content, problem):
    (tmp_path / "x.csv").write_bytes(content)
    with pytest.raises(MetamersError, match=problem):
        read_csv_rows(tmp_path / "x.csv", "labels", "image")
