"""Tables that people wrote."""

import csv
from io import StringIO
from pathlib import Path

from metamers.errors import MetamersError


def read_csv_rows(path: Path, what: str, one: str) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """The header and the rows, each with its line (the header is line 1), of a CSV file; blanks around cells are cut.

    Commas, semicolons or tabs, UTF-8. `what` it holds, a row for each `one`, are for the errors. Raises MetamersError
    for a file that cannot be read, holds no rows, or has a row of another length than its header.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "no UTF-8 text"
        raise MetamersError(f"{what} '{path}' cannot be read ({reason}); give a CSV file") from error
    separator = max(",;\t", key=text.partition("\n")[0].count)
    reader = csv.reader(StringIO(text, newline=""), delimiter=separator)
    try:
        lines = [(reader.line_num, [cell.strip() for cell in row]) for row in reader if any(row)]
    except csv.Error as error:
        raise MetamersError(f"{path}, row {reader.line_num}: {error}; correct it") from error
    if len(lines) < 2:
        raise MetamersError(f"{what} '{path}' hold no rows; give a header and a row for each {one}")
    header = lines[0][1]
    for number, row in lines[1:]:
        if len(row) != len(header):
            raise MetamersError(f"{path}, row {number}: {len(row)} cells under {len(header)} columns; correct it")
    return header, lines[1:]
