"""Shared parts of all pages: their frame, and sortable tables."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import pandas as pd

from msnmo.core.numbers import fixed
from msnmo.core.templates import templates
from msnmo.viewing.abbreviations import abbreviations_in

NOTHING = "–"
PAGES = (
    ("Overview", "index.html"),
    ("Tables", "tables.html"),
    ("Figures", "figures.html"),
    ("Scans", "scans.html"),
    ("Provenance", "provenance.html"),
)
"""The pages of a whole report, as its header names them."""
METHODS_TEXT = "methods.md"
"""The file beside a report's pages with what was done, as a text for an article."""


@dataclass(frozen=True)
class Cell:
    """One cell of a table.

    Parameters
    ----------
    text : str
        As shown.
    value : float, optional
        The number that a column is sorted by. A cell without it comes last.
    href : str
        Address that it links to, relative to the page; empty: none.
    rank : int, optional
        1 for the best of a column, 2 for the second best.
    name : str
        Anchor that links can lead to; empty: none.
    place : tuple of float, optional
        Scanner mm (RAS+) that the viewer of the page goes to when the row is clicked.
    """

    text: str
    value: float | None = None
    href: str = ""
    rank: int | None = None
    name: str = ""
    place: tuple[float, float, float] | None = None


@dataclass(frozen=True)
class Column:
    """One column: its heading, that of its group, and whether it holds numbers."""

    label: str
    group: str = ""
    number: bool = False


@dataclass(frozen=True)
class Table:
    """A table that can be sorted by each of its columns. The first column names the row.

    Parameters
    ----------
    caption : str
    columns : tuple of Column
        Columns of one group are side by side.
    rows : tuple of tuples of Cell
    notes : tuple of str
        Sentences below it.
    """

    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Cell, ...], ...]
    notes: tuple[str, ...] = ()

    @property
    def groups(self) -> list[tuple[str, int]]:
        """The groups of columns and how many columns each spans."""
        spans: list[tuple[str, int]] = []
        for column in self.columns:
            if spans and spans[-1][0] == column.group:
                spans[-1] = (column.group, spans[-1][1] + 1)
            else:
                spans.append((column.group, 1))
        return spans


def table_of(caption: str, frame: pd.DataFrame, notes: Sequence[str] = ()) -> Table:
    """Return a DataFrame as a table. Its cells are plain values or `Cell` objects."""
    columns, cells = [], []
    for name in frame.columns:
        made = to_cells(list(frame[name]))
        numbers = any(cell.value is not None for cell in made)
        columns.append(Column(str(name), number=numbers))
        cells.append(made)
    return Table(caption, tuple(columns), tuple(zip(*cells, strict=True)), tuple(notes))


def to_cells(values: Sequence[Any]) -> list[Cell]:
    """Return a column's values as shown: numbers in one format, a dash if there is none.

    Fractions have so many decimals that the largest has three digits.
    """
    fractions = [abs(each) for each in values if isinstance(each, float) and math.isfinite(each)]
    largest = max(fractions, default=0.0)
    decimals = min(max(2 - math.floor(math.log10(largest)), 0), 6) if largest > 0 else 0
    return [_to_cell(value, decimals) for value in values]


def _to_cell(value: Any, decimals: int) -> Cell:
    if isinstance(value, Cell):
        return value
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return Cell(NOTHING)
    if isinstance(value, bool) or not isinstance(value, Real):
        return Cell(str(value))
    if isinstance(value, Integral):
        return Cell(fixed(int(value), 0), float(value))
    return Cell(fixed(float(value), decimals), float(value))


def fill(template: str, *packages: str, **content: Any) -> str:
    """Return a page.

    Parameters
    ----------
    template : str
        Name of a template of this package or of `packages`.
    *packages : str
        Packages with templates, such as ``msnmo.report``.
    **content
        What the page shows. Text is escaped.
    """
    environment = templates(__package__, *packages, keep_trailing_newline=True)
    environment.filters["abbreviations"] = abbreviations_in
    return environment.get_template(template).render(**content)


def frame(
    title: str, here: str, navigation: Sequence[tuple[str, str]], up: str, banner: str = ""
) -> Mapping[str, object]:
    """Return the data for the frame around a page.

    Parameters
    ----------
    title : str
    here : str
        The entry of the navigation that the page belongs to; empty if none.
    navigation : sequence of (label, address)
        Relative to the site's folder; may be empty.
    up : str
        From the page to the site's folder: empty or "../".
    banner : str
        A sentence at the top of the page, such as that its scans are simulated; empty: none.
    """
    return {
        "title": title,
        "here": here,
        "navigation": tuple(navigation),
        "up": up,
        "banner": banner,
    }
