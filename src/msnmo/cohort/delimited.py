"""Read tab-separated text as spreadsheets write it, and recognise other files."""

from __future__ import annotations

import csv
import io
import stat
from dataclasses import dataclass
from pathlib import Path

from msnmo.core.cells import show_hidden
from msnmo.core.errors import bad_input

EXPECTED = "a tab-separated UTF-8 text"
SAVE_AS_TSV = "in the spreadsheet, save as tab-separated text (TSV), encoding UTF-8"
CORRECT_PATH = "correct its path, or the file's permissions"
# First bytes of files that spreadsheets may write under any name
FOREIGN_STARTS = {
    b"PK\x03\x04": "an Excel or LibreOffice workbook",
    b"\xd0\xcf\x11\xe0": "an Excel 97-2003 workbook",
    b"\x1f\x8b": "a gzip-compressed file",
    b"\xff\xfe": "UTF-16 text (Excel's 'Unicode Text')",
    b"\xfe\xff": "UTF-16 text (Excel's 'Unicode Text')",
}


@dataclass(frozen=True)
class DelimitedRow:
    """One row: its number as a spreadsheet shows it (the first is 1) and its cells, stripped."""

    number: int
    cells: list[str]


def read_rows(path: Path, if_gone: str = CORRECT_PATH) -> list[DelimitedRow]:
    """Return the rows of a tab-separated text, without blank rows. The first row is the header.

    A byte-order mark, any kind of line end, blank lines and spaces around cells are accepted and
    dropped.

    Parameters
    ----------
    path : Path
    if_gone : str
        Remedy if the file cannot be read: the option or key that names it.

    Raises
    ------
    InputError
        If the file cannot be read, is not UTF-8 text, has a broken quotation, is empty, or is not
        separated by tabs.
    """
    text = _decode(path, if_gone)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter="\t", strict=True)
    rows = []
    first_line = 1
    try:
        for number, cells in enumerate(reader, start=1):
            first_line = reader.line_num + 1
            stripped = [cell.strip() for cell in cells]
            if any(stripped):
                rows.append(DelimitedRow(number, stripped))
    except csv.Error as error:
        # an open quotation mark swallows the following lines: it begins in the first of them
        remedy = 'remove or double the quotation mark (") there'
        raise bad_input(f"{path}, line {first_line}", EXPECTED, str(error), remedy) from error
    if not rows:
        raise bad_input(path, "a header and one row per scan", "an empty file", "fill in the table")
    _check_first_line(path, rows)
    return rows


def _decode(path: Path, if_gone: str) -> str:
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
            # a pipe can be read only once, and reading it may block
            remedy = "write its content to a file and give that file"
            raise bad_input(path, EXPECTED, "a pipe, socket or device", remedy)
        content = path.read_bytes()
    except OSError as error:
        raise bad_input(path, EXPECTED, str(error.strerror), if_gone) from error
    for start, kind in FOREIGN_STARTS.items():
        if content.startswith(start):
            raise bad_input(path, EXPECTED, kind, SAVE_AS_TSV)
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{content[error.start]:02x} in line {line}, which is not UTF-8"
        raise bad_input(path, EXPECTED, found, SAVE_AS_TSV) from error
    if "\0" in text:
        raise bad_input(path, EXPECTED, "zero bytes (UTF-16 or binary)", SAVE_AS_TSV)
    return text


def _check_first_line(path: Path, rows: list[DelimitedRow]) -> None:
    """Refuse a table with a title or comment before its header, or with other separators."""
    header, *others = rows
    if any(header.cells[1:]):
        return
    if any(any(row.cells[1:]) for row in others):
        found = f"one cell, {show_hidden(header.cells[0])[:80]!r}, and several in the next rows"
        remedy = "remove the row if it is a comment or a title: the first row names the columns"
        raise bad_input(f"{path}, row {header.number}", "the names of the columns", found, remedy)
    names = {",": "commas", ";": "semicolons", "|": "vertical bars", " ": "spaces"}
    for separator, name in names.items():
        if separator in header.cells[0]:
            raise bad_input(path, EXPECTED, f"columns separated by {name}", SAVE_AS_TSV)
