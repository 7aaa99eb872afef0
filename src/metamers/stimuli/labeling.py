"""Labels of image files: from their folders, from a table, or from their names."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from unicodedata import normalize

from metamers.errors import MetamersError, nearest
from metamers.store import read_csv_rows

Labels = tuple[str | None, ...]


def labels_from_folders(ids: Sequence[str]) -> Labels:
    """The first folder of each id that not all ids share; None for images in no such folder.

    >>> labels_from_folders(["images/bear/1.png", "images/cat/tabby/1.png", "images/2.png"])
    ('bear', 'cat', None)
    >>> labels_from_folders(["images/1.png", "images/2.png"])
    (None, None)
    """
    folders = [PurePosixPath(id_).parts[:-1] for id_ in ids]
    n_shared = 0
    while all(len(parts) > n_shared for parts in folders) and len({parts[n_shared] for parts in folders}) == 1:
        n_shared += 1
    return tuple(parts[n_shared] if len(parts) > n_shared else None for parts in folders)


def labels_from_pattern(ids: Sequence[str], pattern: str) -> Labels:
    """The part of each file name that stands at `{label}` in `pattern`, where `*` is any text, `?` any character.

    `{label}` and `*` take the shortest text that fits. A pattern with "/" is compared with the whole id. None where the
    pattern does not fit.

    Raises MetamersError for a pattern without exactly one `{label}`, and for one that fits no id.

    >>> labels_from_pattern(["x/bear_1_brown.png", "cup.png"], "{label}_*")
    ('bear', None)
    """
    if pattern.count("{label}") != 1:
        raise MetamersError(f"label pattern '{pattern}' must hold {{label}} once, for instance '{{label}}_*'")
    # As a group, so that the pattern's own parts stay apart.
    pieces = re.split(r"(\{label\}|\*|\?)", pattern)
    meanings = {"{label}": "(?P<label>.+?)", "*": ".*?", "?": "."}
    expression = re.compile("".join(meanings.get(piece, re.escape(piece)) for piece in pieces), re.DOTALL)
    names = [id_ if "/" in pattern else PurePosixPath(id_).name for id_ in ids]
    matches = [expression.fullmatch(name) for name in names]
    if not any(matches):
        raise MetamersError(f"label pattern '{pattern}' fits no image, such as '{names[0]}'; correct it")
    return tuple(match["label"] if match else None for match in matches)


def labels_from_table(ids: Sequence[str], table: Path, column: str | None = None) -> Labels:
    """The label of each image after a table in a text file, columns apart by commas, semicolons or tabs, with a header.

    `column` names the column of labels; it may be left out where there is only one beside that of the files. The files'
    column is found: the one with the most values that are ids or names of the ids' files. Empty labels and images
    without a row give None.

    Raises MetamersError where the table or its column is missing, where no column names images, and for rows that name
    no image, several, or one that has a row already.
    """
    header, rows = _read_table(table)
    if column is not None and column not in header:
        raise MetamersError(f"'{table}' has no column '{column}'; it has {_listed(header)}{nearest(column, header)}")
    lookup = _Lookup(ids)
    candidates = [i for i, name in enumerate(header) if name != column]
    counts = {i: sum(bool(lookup.find(row[i])) for row in rows) for i in candidates}
    files = max(counts, key=lambda i: counts[i], default=None)
    if files is None or not counts[files]:
        raise MetamersError(f"no column of '{table}' names images of the set, such as '{ids[0]}'; add the file names")
    others = [i for i in range(len(header)) if i != files]
    if not others:
        raise MetamersError(f"'{table}' has no column beside '{header[files]}'; add one of labels")
    if column is None and len(others) > 1:
        names = [header[i] for i in others]
        how = "name the one of labels with --label-column (label_column: in a study)"
        raise MetamersError(f"'{table}' has several columns; {how}: {_listed(names)}")
    labels_at = header.index(column) if column is not None else others[0]
    return _labels(ids, [(row[files], row[labels_at]) for row in rows], lookup, table)


class _Lookup:
    """Finds ids by themselves or by the name of their file, whichever Unicode form the accents have."""

    def __init__(self, ids: Sequence[str]) -> None:
        self._ids = {normalize("NFC", id_): id_ for id_ in ids}
        self._names: dict[str, list[str]] = {}
        for id_ in ids:
            self._names.setdefault(normalize("NFC", PurePosixPath(id_).name), []).append(id_)

    def find(self, value: str) -> list[str]:
        value = normalize("NFC", value)
        return [self._ids[value]] if value in self._ids else self._names.get(value, [])


def _labels(ids: Sequence[str], pairs: Sequence[tuple[str, str]], lookup: _Lookup, table: Path) -> Labels:
    found = [lookup.find(file) for file, _ in pairs]
    unknown = [file for (file, _), matches in zip(pairs, found, strict=True) if not matches]
    if unknown:
        raise MetamersError(
            f"{len(unknown)} of {len(pairs)} rows of '{table}' name no image of the set: {_listed(unknown)}; "
            "correct or remove them"
        )
    for (file, _), matches in zip(pairs, found, strict=True):
        if len(matches) > 1:
            raise MetamersError(f"'{table}': '{file}' may be {_listed(matches)}; write the path in the set")
    labels: dict[str, str | None] = {}
    for (file, label), (id_,) in zip(pairs, found, strict=True):
        if id_ in labels:
            raise MetamersError(f"'{table}' has two rows for '{file}'; keep one")
        labels[id_] = label or None
    return tuple(labels.get(id_) for id_ in ids)


def _read_table(table: Path) -> tuple[list[str], list[list[str]]]:
    header, rows = read_csv_rows(table, "labels", "image")
    repeated = [name for name, count in Counter(header).items() if count > 1]
    if repeated:
        raise MetamersError(f"'{table}' has two columns '{repeated[0]}'; rename one")
    return header, [row for _, row in rows]


def _listed(names: Sequence[str]) -> str:
    """Up to eight names, and how many more."""
    shown = ", ".join(f"'{name}'" for name in names[:8])
    return shown + (f" and {len(names) - 8} more" if len(names) > 8 else "")
