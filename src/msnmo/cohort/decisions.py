"""A rater's decisions on scans, keep or exclude, which the workflow reads on its next run."""

from __future__ import annotations

import contextlib
import difflib
import fcntl
import os
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.delimited import read_rows
from msnmo.cohort.excluded import COLUMNS as EXCLUDED_COLUMNS
from msnmo.cohort.excluded import RATER
from msnmo.core.errors import Finding, InputError, MsnmoError, bad_input, explain_refusal
from msnmo.core.files import NO_LOCKS, write_tsv
from msnmo.core.paths import CONTROL

COLUMNS = ("scan", "decision", "reason")
DETAILS = ("grade", "artefacts", "rater", "time")
"""Columns that a table may do without; no step of the workflow reads them."""
KEEP, EXCLUDE = "keep", "exclude"
GRADES = (EXCLUDE, "poor", "fair", "good")
"""Grades of a scan, the worst first."""
ARTEFACTS = (
    *("motion", "wrap-around", "noise", "bias field", "missing brain", "eye left", "cut apex"),
    *("wrong contrast", "misplaced lesion mask", "other"),
)
SEPARATOR = "; "
SECONDS_OF_PATIENCE = 10.0
SECONDS_BETWEEN_TRIES = 0.02


class TableLocked(MsnmoError):  # noqa: N818 - said of the table
    """A table of decisions that another process does not let go of."""


def read_decisions(path: Path | str) -> pd.DataFrame:
    """Read a table of decisions.

    Returns
    -------
    DataFrame
        A row a scan. Columns scan, decision (keep or exclude), reason (free text), grade (of
        `GRADES`), artefacts (of `ARTEFACTS`, joined with ``; ``), rater and time, then those that
        the table has besides. What is not known is an empty text.

    Raises
    ------
    InputError
        With every row that is wrong: a decision that is neither, a grade that contradicts it, an
        artefact that is not in the list, a scan without a name or twice, a cell of several lines,
        as a stray quotation mark makes of rows.
    """
    return _read(path).drop(columns="row")


def no_decisions() -> pd.DataFrame:
    """Return a table without a row, of the columns of `read_decisions`."""
    return pd.DataFrame(columns=[*COLUMNS, *DETAILS], dtype=object)


def _read(path: Path | str) -> pd.DataFrame:
    """Return the table, with the number of each row as a spreadsheet counts in column row."""
    header, *rows = read_rows(Path(path), "correct its path (config key decisions)")
    names = _names(path, header.cells)
    width = len(names)
    table = pd.DataFrame(
        [(row.number, *_filled(row.cells, width)) for row in rows],
        columns=["row", *names],
        dtype=object,
    )
    in_lines = table[names].apply(lambda cells: cells.str.contains(CONTROL)).any(axis=1)
    table = table.assign(**{name: "" for name in DETAILS if name not in names})
    others = [name for name in names if name not in (*COLUMNS, *DETAILS)]
    graded = table["grade"].isin(GRADES)
    contradicted = graded & ((table["grade"] == EXCLUDE) != (table["decision"] == EXCLUDE))
    findings = [
        *_findings(path, table[in_lines], "cells in one line: a quotation mark may be missing"),
        *_findings(path, table[~table["decision"].isin([KEEP, EXCLUDE])], "keep or exclude"),
        *_findings(path, table[table["scan"] == ""], "the name of a scan"),
        *_findings(path, table[table["scan"].duplicated()], "each scan once"),
        *_findings(
            path,
            table[~graded & (table["grade"] != "")],
            f"a grade of {', '.join(GRADES)}, or none",
            "grade",
        ),
        *_findings(
            path, table[contradicted], f"the grade {EXCLUDE} with that decision alone", "grade"
        ),
        *_findings(
            path,
            table[table["artefacts"].map(_has_unknown)],
            f"artefacts of {', '.join(ARTEFACTS)}, with ';' between them",
            "artefacts",
        ),
    ]
    if findings:
        raise InputError(findings)
    table["artefacts"] = table["artefacts"].map(lambda cell: join_artefacts(_artefacts_in(cell)))
    return table[["row", *COLUMNS, *DETAILS, *others]]


def _filled(cells: Sequence[str], width: int) -> list[str]:
    """Return the cells of a row in the table's width, empty where nothing is known."""
    known = ["" if cell == "n/a" else cell for cell in cells[:width]]
    return known + [""] * (width - len(known))


def _names(path: Path | str, cells: Sequence[str]) -> list[str]:
    """Return the names of the columns, where the first are ours and none is there twice."""
    names = list(cells)
    while names and not names[-1]:
        del names[-1]
    remedy = "write the table with the quality page, or mend its header"
    if tuple(names[: len(COLUMNS)]) != COLUMNS:
        raise bad_input(path, f"columns {', '.join(COLUMNS)}", ", ".join(cells), remedy)
    if len(set(names)) < len(names) or "" in names or "row" in names:
        expected = "a name for each column, each once and none called row"
        raise bad_input(path, expected, ", ".join(cells), remedy)
    return names


def _artefacts_in(cell: str) -> list[str]:
    return [name for part in cell.split(";") if (name := part.strip())]


def _has_unknown(cell: str) -> bool:
    return not set(_artefacts_in(cell)) <= set(ARTEFACTS)


def join_artefacts(names: Iterable[str]) -> str:
    """Return artefacts as a cell of the table, in the order of `ARTEFACTS`."""
    known = set(names)
    return SEPARATOR.join(name for name in ARTEFACTS if name in known)


def excluded_by_rater(names: Iterable[str], path: Path | str | None) -> pd.DataFrame:
    """Return the scans that a rater excluded, as excluded.tsv has them.

    Parameters
    ----------
    names : iterable of str
        The cohort's scans.
    path : Path, str or None
        The table of decisions; None, or no such file: none was made.

    Raises
    ------
    InputError
        As `read_decisions`; and with every exclusion of a scan that is not there, as the scan that
        was meant would go on.
    """
    if path is None or not Path(path).exists():
        return pd.DataFrame(columns=list(EXCLUDED_COLUMNS), dtype=object)
    decisions = _read(path)
    decisions = decisions[decisions["decision"] == EXCLUDE]
    names = list(names)
    unknown = decisions[~decisions["scan"].isin(set(names))]
    if len(unknown):
        raise InputError(_unknown(path, row.row, row.scan, names) for row in unknown.itertuples())
    reasons = [_reason(row.reason, row.artefacts) for row in decisions.itertuples()]
    excluded = decisions[["scan"]].assign(by=RATER, reason=reasons)
    return excluded.reset_index(drop=True)


def _reason(reason: str, artefacts: str) -> str:
    """Return why a scan was excluded: the rater's words, and the artefacts ticked."""
    return ": ".join(filter(None, [artefacts.replace(SEPARATOR, ", "), reason])) or (
        "no reason given"
    )


def _unknown(path: Path | str, row: int, scan: str, names: Sequence[str]) -> Finding:
    """Return that no scan has a name, with the one that was probably meant."""
    lower = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(f"sub-{scan.lower().removeprefix('sub-')}", lower, n=1)
    write = f"write {lower[alike[0]]}, if that is meant; else " if alike else ""
    remedy = f"{write}correct the name, or remove the row"
    expected = "a scan of the scan table, sub-X or sub-X_ses-Y"
    return Finding(f"{path}, row {row}", expected, f"'{scan}', to be excluded", remedy)


def write_decisions(path: Path | str, decisions: pd.DataFrame) -> None:
    """Write a table of decisions, sorted by scan, atomically; a link stays, its target is written.

    Parameters
    ----------
    path : Path or str
    decisions : DataFrame
        As `read_decisions` returns.
    """
    table = decisions.sort_values("scan", ignore_index=True).fillna("")
    write_tsv(os.path.realpath(path), table.mask(table == ""))


def change_decision(path: Path, scan: str, changed: Mapping[str, str] | None) -> None:
    """Put one scan's row in place of what the table says of it; no other process does so meanwhile.

    Parameters
    ----------
    path : Path
        The table; made with its first row.
    scan : str
    changed : mapping or None
        What columns of the row hold now, without control characters; None takes the row away.

    Raises
    ------
    InputError
        If the table cannot be read.
    DiskError
        If the disk takes no file; the table is as it was.
    TableLocked
        If another process holds the table for longer than it takes to write it.
    """
    with locked(path):
        table = read_decisions(path) if path.exists() else no_decisions()
        is_row = table["scan"] == scan
        # columns of the user's own keep what they say of the scan
        known = table[is_row].to_dict("records")[0] if is_row.any() else {}
        rows = [] if changed is None else [{**known, **changed, "scan": scan}]
        if rows or known:
            new = pd.DataFrame(rows, columns=table.columns, dtype=object)
            write_decisions(path, pd.concat([table[~is_row], new]))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a table against other threads and processes, of other machines too; yield if it is held.

    The lock is a file beside the table, as the table itself is another file after each write. It
    stays there; the system lets go of it when the process ends, however. Disks without locks yield
    False.

    Raises
    ------
    TableLocked, DiskError
        As `change_decision`.
    """
    place = Path(os.path.realpath(path))
    with explain_refusal(place):
        place.parent.mkdir(parents=True, exist_ok=True)
        handle = _open_lock(place.with_name(f".{place.name}.lock"))
    try:
        yield _wait_for(handle, path)
    finally:
        os.close(handle)


def _open_lock(lock: Path) -> int:
    flags = os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK
    try:
        return os.open(lock, flags | os.O_RDWR, 0o666)
    except PermissionError:
        return os.open(lock, flags | os.O_RDONLY, 0o666)  # that of another rater of the table


def _wait_for(handle: int, path: Path) -> bool:
    end = time.monotonic() + SECONDS_OF_PATIENCE
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            if time.monotonic() > end:
                said = f"{path} is held by another process for {SECONDS_OF_PATIENCE:.0f} s"
                raise TableLocked(f"{said}: end it, then decide again") from error
            time.sleep(SECONDS_BETWEEN_TRIES)
        except OSError as error:
            if error.errno not in NO_LOCKS:
                raise
            return False
        else:
            return True


def _findings(
    path: Path | str, rows: pd.DataFrame, expected: str, column: str = "decision"
) -> list[Finding]:
    return [
        Finding(
            f"{path}, row {row['row']}",
            expected,
            " ".join(f"{row['scan']} {row[column]}".split()),
            "correct the row",
        )
        for _, row in rows.iterrows()
    ]
