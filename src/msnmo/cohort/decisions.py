"""A rater's decisions on scans: keep or exclude. The workflow reads them on its next run."""

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
"""Columns that a table may lack. No step of the workflow reads them."""
KEEP, EXCLUDE = "keep", "exclude"
GRADES = (EXCLUDE, "poor", "fair", "good")
"""Grades of a scan, worst first."""
ARTEFACTS = (
    *("motion", "wrap-around", "noise", "bias field", "missing brain", "eye left", "cut apex"),
    *("wrong contrast", "misplaced lesion mask", "other"),
)
SEPARATOR = "; "
SECONDS_OF_PATIENCE = 10.0
SECONDS_BETWEEN_TRIES = 0.02


class TableLocked(MsnmoError):  # noqa: N818 - describes the table
    """Another process holds the table of decisions and does not release it."""


def read_decisions(path: Path | str) -> pd.DataFrame:
    """Read a table of decisions.

    Returns
    -------
    DataFrame
        One row per scan. Columns scan, decision (keep or exclude), reason (free text), grade (of
        `GRADES`), artefacts (of `ARTEFACTS`, joined with ``; ``), rater and time, then any further
        columns of the table. Unknown values are empty texts.

    Raises
    ------
    Lists every wrong row: a decision that is neither keep nor exclude, a grade that contradicts it,
    an artefact that is not in the list, a scan without a name or listed twice, a cell of several
    lines (a stray quotation mark makes one from several rows).
    """
    return _read(path).drop(columns="row")


def no_decisions() -> pd.DataFrame:
    """Return an empty table with the columns of `read_decisions`."""
    return pd.DataFrame(columns=[*COLUMNS, *DETAILS], dtype=object)


def _read(path: Path | str) -> pd.DataFrame:
    """Return the table. Column row holds each row's number as a spreadsheet counts."""
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
            path, table[contradicted], f"the grade {EXCLUDE} only with that decision", "grade"
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
    """Return the cells of a row, padded with empty cells to the table's width."""
    known = ["" if cell == "n/a" else cell for cell in cells[:width]]
    return known + [""] * (width - len(known))


def _names(path: Path | str, cells: Sequence[str]) -> list[str]:
    """Return the names of the columns. The first must be ours, and none may repeat."""
    names = list(cells)
    while names and not names[-1]:
        del names[-1]
    remedy = "write the table with the quality page, or correct its header"
    if tuple(names[: len(COLUMNS)]) != COLUMNS:
        raise bad_input(path, f"columns {', '.join(COLUMNS)}", ", ".join(cells), remedy)
    if len(set(names)) < len(names) or "" in names or "row" in names:
        expected = "a different name for each column, and none called row"
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
    """Return the scans that a rater excluded, in the form of excluded.tsv.

    Parameters
    ----------
    names : iterable of str
        The cohort's scans.
    path : Path, str or None
        The table of decisions. None, or a missing file, means no decisions.

    Raises
    ------
    InputError
        As `read_decisions`. Also lists every excluded scan that does not exist, because the scan
        that was meant would stay in.
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
    """Return why a scan was excluded: the rater's words and the ticked artefacts."""
    return ": ".join(filter(None, [artefacts.replace(SEPARATOR, ", "), reason])) or (
        "no reason given"
    )


def _unknown(path: Path | str, row: int, scan: str, names: Sequence[str]) -> Finding:
    """Return a finding for a scan that does not exist, with the name that was probably meant."""
    lower = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(f"sub-{scan.lower().removeprefix('sub-')}", lower, n=1)
    write = f"write {lower[alike[0]]} if you meant that; else " if alike else ""
    remedy = f"{write}correct the name, or remove the row"
    expected = "a scan of the scan table, sub-X or sub-X_ses-Y"
    return Finding(f"{path}, row {row}", expected, f"'{scan}', to be excluded", remedy)


def write_decisions(path: Path | str, decisions: pd.DataFrame) -> None:
    """Write a table of decisions atomically, sorted by scan. A link stays; its target is written.

    Parameters
    ----------
    path : Path or str
    decisions : DataFrame
        As returned by `read_decisions`.
    """
    table = decisions.sort_values("scan", ignore_index=True).fillna("")
    write_tsv(os.path.realpath(path), table.mask(table == ""))


def change_decision(path: Path, scan: str, changed: Mapping[str, str] | None) -> None:
    """Replace one scan's row in the table, while no other process can change the table.

    Parameters
    ----------
    path : Path
        The table. It is created with its first row.
    scan : str
    changed : mapping or None
        New values of the row's columns, without control characters. None removes the row.

    Raises
    ------
    InputError
        If the table cannot be read.
    DiskError
        If the disk accepts no file. The table then stays as it was.
    TableLocked
        If another process holds the table for longer than writing takes.
    """
    with locked(path):
        table = read_decisions(path) if path.exists() else no_decisions()
        is_row = table["scan"] == scan
        # the user's own columns keep their values
        known = table[is_row].to_dict("records")[0] if is_row.any() else {}
        rows = [] if changed is None else [{**known, **changed, "scan": scan}]
        if rows or known:
            new = pd.DataFrame(rows, columns=table.columns, dtype=object)
            write_decisions(path, pd.concat([table[~is_row], new]))


@contextlib.contextmanager
def locked(path: Path) -> Iterator[bool]:
    """Hold a table against other threads and processes. Yield whether it is held.

    This includes processes on other machines. The lock is a separate file beside the table, because
    each write replaces the table's file. The lock file stays; the system releases the lock when the
    process ends for any reason. On disks without locks the result is False.

    Raises
    ------
    TableLocked, DiskError
        As for `change_decision`.
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
        return os.open(lock, flags | os.O_RDONLY, 0o666)  # the lock file of another rater


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
