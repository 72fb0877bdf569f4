"""Numbers on real scans, as they are given to a bundle's card."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.core.cells import escape_markdown
from msnmo.core.counts import counted
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import read_tsv

MEASURED = {"scan": str, "truth_ml": float, "found_ml": float, "DSC": float, "LF1": float}
"""Columns of the table of real scans; DSC and LF1 in [0, 1], n/a without a true mask."""
FITTING: dict[str, tuple[Callable[[Any], bool], str]] = {
    "scan": (lambda value: isinstance(value, str) and bool(value.strip()), "a name"),
    "truth_ml": (lambda value: value >= 0, "a volume of 0 or more"),
    "found_ml": (lambda value: value >= 0, "a volume of 0 or more"),
    "DSC": (lambda value: math.isnan(value) or 0 <= value <= 1, "n/a, or a share from 0 to 1"),
    "LF1": (lambda value: math.isnan(value) or 0 <= value <= 1, "n/a, or a share from 0 to 1"),
}
"""What values of these columns must be."""
WRITE_TABLE = f"write a table (TSV) with the columns {', '.join(MEASURED)}"


@dataclass(frozen=True, eq=False)
class Measured:
    """Numbers on real scans, as given, and notes on how far these scans are a test."""

    measured: pd.DataFrame | None
    notes: str

    @property
    def rows(self) -> list[dict[str, str]]:
        """What the card's table shows."""

        def share(value: float) -> str:
            return "n/a" if np.isnan(value) else f"{100 * value:.1f}"

        return [
            {
                "scan": escape_markdown(" ".join(row.scan.split())),
                "truth_ml": f"{row.truth_ml:.1f}",
                "found_ml": f"{row.found_ml:.1f}",
                "dsc": share(row.DSC),
                "f1": share(row.LF1),
            }
            for row in ([] if self.measured is None else self.measured.itertuples())
        ]


def read_measured(path: Path) -> pd.DataFrame:
    """Read a table of real scans.

    Raises
    ------
    InputError
        Names the file and each value that cannot be.
    """
    table = read_tsv(path, MEASURED, WRITE_TABLE)
    if table.empty:
        raise bad_input(path, "a row for each real scan", "none", WRITE_TABLE)
    findings = []
    for number, row in enumerate(table.to_dict("records"), start=2):
        for name, (fits, expected) in FITTING.items():
            if not fits(row[name]):
                where = f"{path}, line {number}, {name}"
                findings.append(Finding(where, expected, str(row[name]), WRITE_TABLE))
    if findings:
        raise InputError(findings)
    return table


def accuracy_in_words(scores: pd.DataFrame, measured: pd.DataFrame | None) -> str:
    """Return in a sentence or two how accurate the network was found to be."""
    having = scores[scores["load_ml"] > 0]
    mean = f"{100 * having['DSC'].mean():.0f} %"
    told = f"Mean Dice of {counted(len(having), 'simulated scan')}: {mean}."
    if measured is None:
        return f"{told} It was not measured on real scans."
    real = measured[measured["DSC"].notna()]
    each = ", ".join(f"{100 * row.DSC:.0f} % ({row.truth_ml:.1f} ml)" for row in real.itertuples())
    dice = f" Dice of {counted(len(real), 'real scan')}: {each}." if each else ""
    empty = [f"{row.found_ml:.1f} ml" for row in measured.itertuples() if row.truth_ml == 0]
    without = f" Found in real heads without lesions: {', '.join(empty)}." if empty else ""
    return f"{told}{dice}{without}"
