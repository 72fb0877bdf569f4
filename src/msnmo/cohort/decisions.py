"""A rater's decisions on scans, keep or exclude, which the workflow reads on its next run."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.delimited import read_rows
from msnmo.cohort.excluded import COLUMNS as EXCLUDED_COLUMNS
from msnmo.cohort.excluded import RATER
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import write_tsv
from msnmo.core.paths import CONTROL

COLUMNS = ("scan", "decision", "reason")
KEEP, EXCLUDE = "keep", "exclude"


def read_decisions(path: Path | str) -> pd.DataFrame:
    """Read a table of decisions.

    Returns
    -------
    DataFrame
        Columns scan, decision (keep or exclude) and reason (free text, may be empty), a row a scan.

    Raises
    ------
    InputError
        With every row that is wrong: a decision that is neither, a scan without a name or twice, a
        cell of several lines, as a stray quotation mark makes of rows.
    """
    return _read(path)[list(COLUMNS)]


def _read(path: Path | str) -> pd.DataFrame:
    """Return the table, with the number of each row as a spreadsheet counts."""
    header, *rows = read_rows(Path(path), "correct its path (config key decisions)")
    if tuple(header.cells[: len(COLUMNS)]) != COLUMNS:
        remedy = "write the table with the quality page, or mend its header"
        raise bad_input(path, f"columns {', '.join(COLUMNS)}", ", ".join(header.cells), remedy)
    table = pd.DataFrame(
        [(row.number, *(row.cells + [""] * 3)[:3]) for row in rows], columns=["row", *COLUMNS]
    )
    in_lines = table[list(COLUMNS)].apply(lambda cells: cells.str.contains(CONTROL)).any(axis=1)
    findings = [
        *_findings(path, table[in_lines], "cells in one line: a quotation mark may be missing"),
        *_findings(path, table[~table["decision"].isin([KEEP, EXCLUDE])], "keep or exclude"),
        *_findings(path, table[table["scan"] == ""], "the name of a scan"),
        *_findings(path, table[table["scan"].duplicated()], "each scan once"),
    ]
    if findings:
        raise InputError(findings)
    return table.replace("n/a", "")


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
    excluded = decisions[["scan"]].assign(by=RATER, reason=decisions["reason"])
    return excluded.replace({"reason": {"": "no reason given"}}).reset_index(drop=True)


def _unknown(path: Path | str, row: int, scan: str, names: Sequence[str]) -> Finding:
    """Return that no scan has a name, with the one that was probably meant."""
    lower = {name.lower(): name for name in names}
    alike = difflib.get_close_matches(f"sub-{scan.lower().removeprefix('sub-')}", lower, n=1)
    write = f"write {lower[alike[0]]}, if that is meant; else " if alike else ""
    remedy = f"{write}correct the name, or remove the row"
    expected = "a scan of the scan table, sub-X or sub-X_ses-Y"
    return Finding(f"{path}, row {row}", expected, f"'{scan}', to be excluded", remedy)


def write_decisions(path: Path | str, decisions: pd.DataFrame) -> None:
    """Write a table of decisions, sorted by scan, atomically."""
    table = decisions[list(COLUMNS)].sort_values("scan", ignore_index=True)
    write_tsv(path, table.mask(table == ""))


def _findings(path: Path | str, rows: pd.DataFrame, expected: str) -> list[Finding]:
    return [
        Finding(
            f"{path}, row {row.row}",
            expected,
            " ".join(f"{row.scan} {row.decision}".split()),
            "correct the row",
        )
        for row in rows.itertuples()
    ]
