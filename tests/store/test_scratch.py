"""What is kept on the disk instead of in memory."""

import resource

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metamers.errors import MetamersError
from metamers.store import Lookup, sorted_on_disk, temporary_database

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
    database = temporary_database()
    database.execute("PRAGMA max_page_count = 4")
    with pytest.raises(MetamersError, match=r"^the disk for temporary files is full .* SQLITE_TMPDIR"):
        database.execute("CREATE TABLE large AS SELECT zeroblob(100000)")


def test_a_disk_that_fails_while_rows_are_read_is_said_clearly(tmp_path):
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    database = temporary_database()
    database.execute("CREATE TABLE numbers (i, filled)")
    database.executemany("INSERT INTO numbers VALUES (?, ?)", ((i, "x" * 1000) for i in range(3000)))
    database.execute("UPDATE numbers SET i = i + 1")
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1, limit[1]))
        with pytest.raises(MetamersError, match=r"^the disk for temporary files .*I/O error.* SQLITE_TMPDIR"):
            sum(i for i, _ in database.select("SELECT i, filled FROM numbers"))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)


def test_it_leaves_no_file(tmp_path, monkeypatch):
    monkeypatch.setenv("SQLITE_TMPDIR", str(tmp_path))
    database = temporary_database()
    database.execute("CREATE TABLE large AS SELECT zeroblob(2000000)")
    database.close()
    assert not list(tmp_path.iterdir())
