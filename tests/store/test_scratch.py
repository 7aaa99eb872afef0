"""What is kept on the disk instead of in memory."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamers.errors import MetamersError
from metamers.store import Lookup, scratch, sorted_on_disk

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=4)


@given(st.lists(st.tuples(TEXT, TEXT)), TEXT, TEXT)
def test_a_lookup_is_a_mapping(pairs, key, value):
    lookup, known = Lookup(pairs), dict(pairs)
    for name, of in [*pairs, (key, value)]:
        assert (name in lookup) == (name in known)
        assert lookup.holds(name, of) == (known.get(name) == of)
    assert None not in lookup


def test_a_key_is_new_once():
    lookup = Lookup([("a", "x")])
    assert [lookup.add(key) for key in ("a", "b", "b", "")] == [False, True, False, True]
    assert lookup.holds("a", "x") and "b" in lookup


@given(st.lists(st.tuples(TEXT, st.integers())))
def test_records_are_sorted_and_those_of_one_key_stay_as_they_came(pairs):
    records = [{"key": key, "value": value, "more": [None, {"a": 0.1}]} for key, value in pairs]
    found = list(sorted_on_disk(records, lambda record: record["key"]))
    assert found == sorted(records, key=lambda record: record["key"])


def test_a_full_disk_is_said_clearly():
    database = scratch()
    database.execute("PRAGMA max_page_count = 4")
    with pytest.raises(MetamersError, match=r"^the disk for temporary files is full .* SQLITE_TMPDIR"):
        database.execute("CREATE TABLE large AS SELECT zeroblob(100000)")


def test_it_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    database = scratch()
    database.execute("CREATE TABLE large AS SELECT zeroblob(2000000)")
    database.close()
    assert not list(tmp_path.iterdir())
