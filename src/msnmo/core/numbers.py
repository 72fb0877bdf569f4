"""The one place that turns a number into text.

Tables for machines have twelve digits of a number. Numbers for people are rounded from these, once.
A number that is rounded to four decimals and then to two can differ in the last digit from the same
number rounded once. Digits after the twelfth are no result: they depend on the order in which a
processor adds.
"""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

FEWEST_FOR_CORRELATION = 3
"""Scans: of two a correlation is 1 or -1, whatever their volumes."""


def plain(value: float) -> str:
    """Return a number for machine-readable tables: twelve digits, without trailing zeros."""
    return f"{value:.12g}"


def duration(seconds: float) -> str:
    """Return a time for readers: 0.2 s, 48 s, 12 min, 1 h 12 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    if seconds < 119.5:
        return f"{seconds:.0f} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    if hours < 2:
        return f"{60 * hours + minutes} min"
    return f"{hours} h {minutes} min"


def as_text(table: pd.DataFrame, numbers: Iterable[str]) -> pd.DataFrame:
    """Return a table for machines, so that equal results give equal bytes.

    Parameters
    ----------
    table : DataFrame
    numbers : iterable of str
        The columns that `plain` turns into text. Missing numbers stay missing.
    """
    text = table.astype(object)
    for name in numbers:
        text[name] = [None if pd.isna(value) else plain(value) for value in table[name]]
    return text


def rounded(value: float, decimals: int) -> float:
    """Return a number rounded as shown: equal if the text is equal, and never -0."""
    return float(f"{float(plain(value)):.{decimals}f}") + 0.0


def fixed(value: float, decimals: int, sign: str = "") -> str:
    """Return a number for readers: with fixed decimals and a true minus sign.

    Parameters
    ----------
    value : float
        Not rounded before, or read from what `plain` wrote. Both give the same text.
    decimals : int
    sign : {"", "+"}
        Whether numbers above 0 have a plus. A number that is shown as 0 has no sign.
    """
    shown = rounded(value, decimals)
    text = f"{abs(shown):.{decimals}f}"
    return f"−{text}" if shown < 0 else f"{sign if shown > 0 else ''}{text}"
