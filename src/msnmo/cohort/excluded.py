"""The excluded scans, with who excluded them and why. Every table states them."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from msnmo.core.files import read_tsv

COLUMNS = ("scan", "by", "reason")
CHECK, RATER = "check", "rater"
MOST_NAMED = 10
"""A note names at most this many scans."""


def read_excluded(path: Path) -> pd.DataFrame:
    """Return excluded.tsv: columns scan, by (check or rater) and reason."""
    return read_tsv(path, dict.fromkeys(COLUMNS, str))


def exclusion_note(excluded: pd.DataFrame) -> str:
    """Return one sentence: how many scans were excluded, which ones and why.

    Parameters
    ----------
    excluded : DataFrame
        As returned by `read_excluded`.
    """
    if excluded.empty:
        return "No scan was excluded."
    count = len(excluded)
    shares = excluded["by"].value_counts().sort_index()
    told = " and ".join(f"{number} by the {by}" for by, number in shares.items())
    named = [f"{row.scan} ({row.reason})" for row in excluded.head(MOST_NAMED).itertuples()]
    more = f"; and {count - MOST_NAMED} more in excluded.tsv" if count > MOST_NAMED else ""
    return f"Excluded: {count} scan{'s' if count > 1 else ''}, {told}: {'; '.join(named)}{more}."
