"""Scan tables and tables of decisions whose cells, or whose very bytes, mean harm."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

from msnmo.check.check_cohort import main as check
from tests.attacks.attack import Attack, Place, refused, refused_or_done
from tests.check.hostile import write_good

CELLS = {
    "formula": "=cmd|' /C calc'!A0",
    "formula of plus": "+1+1",
    "formula of at": "@SUM(1+1)",
    "right to left": "a\u202eb",
    "NUL": "a\0b",
    "escape": "\x1b[31mred\x1b]0;title\x07",
    "carriage return": "a\rb",
    "line separator": "a\u2028b",
    "path traversal": "../../../../etc/passwd",
    "absolute path": "/etc/passwd",
    "shell words": "$(touch ran)",
    "backticks": "`touch ran`",
    "second command": "a; touch ran",
    "braces": "{scan}",
    "template": "{{ 7 * 7 }}",
    "endless device": "/dev/zero",
    "stdin": "/dev/stdin",
    "script": "<script>alert(1)</script>",
    "long": "x" * 100_000,
    "quotation mark": 'a"b',
    "option": "--help",
    "another's home": "~root/x.nii.gz",
    "variable": "$MSNMO_NOT_SET/x",
    "percent": "%s%n",
    "address": "http://127.0.0.1:1/x.nii.gz",
}
COLUMNS = (
    *("subject", "session", "diagnosis", "flair", "lesion_mask", "brain_mask"),
    *("stripped", "bias_corrected", "site", "simulated"),
)
FREE = ("site",)
"""Columns of any text: it must come out harmless. Of all others a hostile cell is refused."""
GOOD = dict.fromkeys(COLUMNS, "") | {
    "subject": "good",
    "diagnosis": "MS",
    "flair": "good/flair.nii.gz",
    "lesion_mask": "good/mask.nii.gz",
    "stripped": "no",
    "site": "A",
}


def _write(place: Place, rows: list[dict[str, str]]) -> Path:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = ["\t".join(names), *("\t".join(row.get(name, "") for name in names) for row in rows)]
    path = place.given / "scans.tsv"
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
    write_good(place.given / "good", 0)
    return path


def _check(place: Place, table: Path, *more: object):
    ended = place.run(check, "--scans", table, "--out", place.out, "--processes", 1, *more)
    _see_that_reports_are_harmless(place.out)
    return ended


def _see_that_reports_are_harmless(out: Path) -> None:
    for path in out.rglob("*") if out.is_dir() else ():
        text = path.read_text(encoding="utf-8")
        assert not [each for each in "\0\x1b\u2028" if each in text], path
        if path.suffix == ".html":
            assert "<script>alert" not in text, path
            assert "\u202e" not in text, path
        else:
            cells = [cell for line in text.splitlines() for cell in line.split("\t")]
            assert not [cell for cell in cells if cell.lstrip('"').startswith(("=", "+", "@"))]
            # paths stay the files'
            assert not [cell for cell in cells if "\u202e" in cell and "/" not in cell]


def _cell(column: str, cell: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        ended = _check(place, _write(place, [GOOD | {column: cell}]))
        if column in FREE:
            refused_or_done(ended, "scans.tsv")
        else:
            refused(ended, "scans.tsv")

    return run


def _own_column(cell: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        row = GOOD | {"of my own": cell}
        refused_or_done(_check(place, _write(place, [row])), "scans.tsv")

    return run


def _header(name: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        refused_or_done(_check(place, _write(place, [GOOD | {name: "x"}])), "scans.tsv")

    return run


WHOLE = "\t".join(GOOD).encode() + b"\n" + "\t".join(GOOD.values()).encode() + b"\n"
FILES: dict[str, bytes] = {
    "empty": b"",
    "one line end": b"\n",
    "header alone": WHOLE.partition(b"\n")[0] + b"\n",
    "UTF-16": WHOLE.decode().encode("utf-16"),
    "UTF-32": WHOLE.decode().encode("utf-32"),
    "no text at all": bytes(range(256)) * 64,
    "NUL throughout": bytes(100_000),
    "invalid UTF-8": WHOLE.replace(b"\tA\t", b"\t\xff\xfe\t"),
    "overlong UTF-8": WHOLE.replace(b"good/flair", b"\xc0\xae\xc0\xae/flair"),
    "a surrogate": WHOLE.replace(b"\tA\t", b"\t\xed\xa0\x80\t"),
    "a column twice": WHOLE.replace(b"session", b"subject"),
    "no column of scans": WHOLE.replace(b"flair\t", b"other\t", 1),
    "a quotation mark that stays open": WHOLE.replace(b"\tgood/flair", b'\t"good/flair'),
    "100,000 columns": b"\t".join(b"c%d" % n for n in range(100_000)) + b"\n",
    "a row of 100,000 cells": WHOLE + b"x\t" * 100_000 + b"\n",
    "a row too short": WHOLE + b"other\n",
    "megabytes in a line": WHOLE + b"x" * 5_000_000 + b"\n",
    "a gzip": b"\x1f\x8b\x08\0" + bytes(100),
    "a workbook": b"PK\x03\x04" + bytes(100),
    "a pickle": b"cos\nsystem\n(S'touch ran'\ntR.",
    "a web page": b"<!DOCTYPE html><script>alert(1)</script>\n",
    "JSON": b'{"subject": "good"}\n',
    "rows that are all the same": WHOLE + 200 * (WHOLE.partition(b"\n")[2]),
}


def _file(content: bytes) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        table = _write(place, [GOOD])
        table.write_bytes(content)
        refused(_check(place, table), "scans.tsv")

    return run


def _special(make: Callable[[Path], None]) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        table = _write(place, [GOOD])
        table.unlink()
        make(table)
        refused(_check(place, table), "scans.tsv")

    return run


SPECIAL: dict[str, Callable[[Path], None]] = {
    "not there": lambda path: None,
    "a folder": Path.mkdir,
    "a pipe": os.mkfifo,
    "a link to itself": lambda path: path.symlink_to(path),
    "a link to an endless device": lambda path: path.symlink_to("/dev/zero"),
    "a link to nothing": lambda path: path.symlink_to("none"),
}
DECISIONS = ("scan", "decision", "reason", "grade", "artefacts", "rater", "time")
FREE_OF_RATER = ("reason", "rater", "time")
OF_RATER = (
    *("formula", "right to left", "NUL", "escape", "path traversal", "shell words"),
    *("script", "long", "quotation mark", "braces"),
)


def _decision(column: str, cell: str) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        row = dict.fromkeys(DECISIONS, "") | {"scan": "sub-good", "decision": "exclude"}
        rows = [row | {column: cell}]
        lines = ["\t".join(DECISIONS), *("\t".join(each.values()) for each in rows)]
        path = place.given / "decisions.tsv"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="")
        second = GOOD | {"subject": "other", "flair": "other/flair.nii.gz"}
        table = _write(place, [GOOD, second | {"lesion_mask": "other/mask.nii.gz"}])
        write_good(place.given / "other", 1)
        ended = _check(place, table, "--decisions", path)
        if column in FREE_OF_RATER:
            refused_or_done(ended, "decisions.tsv")
        else:
            refused(ended, "decisions.tsv")

    return run


ATTACKS = [
    *(
        Attack("tables", f"{name} in {column}", _cell(column, cell))
        for column in COLUMNS
        for name, cell in CELLS.items()
    ),
    *(
        Attack("tables", f"{name} in a column of the user's own", _own_column(cell))
        for name, cell in CELLS.items()
    ),
    *(
        Attack("tables", f"{name} as the name of a column", _header(cell))
        for name, cell in CELLS.items()
    ),
    *(Attack("tables", f"file: {name}", _file(content)) for name, content in FILES.items()),
    *(Attack("tables", f"place: {name}", _special(make)) for name, make in SPECIAL.items()),
    *(
        Attack("tables", f"decisions: {name} in {column}", _decision(column, CELLS[name]))
        for column in DECISIONS
        for name in OF_RATER
    ),
]
