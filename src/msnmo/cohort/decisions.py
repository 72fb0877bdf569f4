"""A rater's decisions on scans, keep or exclude, which the workflow reads on its next run."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pandas as pd

from msnmo.cohort.delimited import read_rows
from msnmo.cohort.excluded import COLUMNS as EXCLUDED_COLUMNS
from msnmo.cohort.excluded import RATER
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import write_tsv

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
        With every row that is wrong: a decision that is neither, a scan without a name or twice.
    """
    header, *rows = read_rows(Path(path), "correct its path (config key decisions)")
    if tuple(header.cells[: len(COLUMNS)]) != COLUMNS:
        remedy = "write the table with the quality page, or mend its header"
        raise bad_input(path, f"columns {', '.join(COLUMNS)}", ", ".join(header.cells), remedy)
    table = pd.DataFrame(
        [(row.number, *(row.cells + [""] * 3)[:3]) for row in rows], columns=["row", *COLUMNS]
    )
    findings = [
        *_findings(path, table[~table["decision"].isin([KEEP, EXCLUDE])], "keep or exclude"),
        *_findings(path, table[table["scan"] == ""], "the name of a scan"),
        *_findings(path, table[table["scan"].duplicated()], "each scan once"),
    ]
    if findings:
        raise InputError(findings)
    return table[list(COLUMNS)].replace("n/a", "")


def excluded_by_rater(names: Iterable[str], path: Path | str | None) -> pd.DataFrame:
    """Return the scans that a rater excluded, as excluded.tsv has them.

    Parameters
    ----------
    names : iterable of str
        The cohort's scans. A decision on another scan is of no consequence.
    path : Path, str or None
        The table of decisions; None, or no such file: none was made.
    """
    if path is None or not Path(path).exists():
        return pd.DataFrame(columns=list(EXCLUDED_COLUMNS), dtype=object)
    decisions = read_decisions(path)
    decisions = decisions[decisions["decision"] == EXCLUDE]
    decisions = decisions[decisions["scan"].isin(set(names))]
    excluded = decisions[["scan"]].assign(by=RATER, reason=decisions["reason"])
    return excluded.replace({"reason": {"": "no reason given"}}).reset_index(drop=True)


def write_decisions(path: Path | str, decisions: pd.DataFrame) -> None:
    """Write a table of decisions, sorted by scan, atomically."""
    table = decisions[list(COLUMNS)].sort_values("scan", ignore_index=True)
    write_tsv(path, table.mask(table == ""))


def _findings(path: Path | str, rows: pd.DataFrame, expected: str) -> list[Finding]:
    return [
        Finding(f"{path}, row {row.row}", expected, f"{row.scan} {row.decision}", "correct the row")
        for row in rows.itertuples()
    ]
