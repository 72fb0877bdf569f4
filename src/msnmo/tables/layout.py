"""The list of tables: number, caption, rows and columns.

Rows and columns are those of the paper (`reported`), then any method of the registry that names the
table as its own without being in the paper. So a method becomes a row by its entry in
`msnmo.methods` alone, and a row of the paper is there whether or not its method can be run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from msnmo.methods import METHODS, Method
from msnmo.tables.reported import read_reported

CAPTIONS = {
    3: "Comparative experimental results of the lesion segmentation method",
    4: "Comparative experimental results of lesion classification method",
    5: "The influence of the joint learning strategy on segmentation task",
    6: "The influence of the joint learning strategy on classification task",
    7: "The influence of the information-sharing module",
    8: "The effect of the LGM on classification performance",
    9: "The effect of cross-task loss function",
}
"""The paper's captions."""

ROW_HEADINGS = {8: "Interactive mode"}
"""What the paper heads the first column with, where it is not "Method"."""


@dataclass(frozen=True)
class Row:
    """One row of a table.

    Parameters
    ----------
    label : str
        As in the paper.
    method : str or None
        Its name in the registry; None where the registry has no such method.
    reported : mapping of str to float
        Percent by metric, as the paper reports it; empty for a method of ours.
    """

    label: str
    method: str | None
    reported: Mapping[str, float]


@dataclass(frozen=True)
class Table:
    """One of the paper's tables of results.

    Parameters
    ----------
    number : int
    caption : str
        The paper's.
    heading : str
        Of the first column.
    metrics : tuple of str
        Its other columns.
    rows : tuple of Row
    """

    number: int
    caption: str
    heading: str
    metrics: tuple[str, ...]
    rows: tuple[Row, ...]


def lay_out(methods: Mapping[str, Method] = METHODS) -> dict[int, Table]:
    """Return every table by its number.

    Parameters
    ----------
    methods : mapping of str to Method
        The registry.
    """
    tables = {}
    for number, reported in read_reported().items():
        ours = {method.label: method.name for method in methods.values() if number in method.tables}
        labels = [*reported, *(label for label in ours if label not in reported)]
        tables[number] = Table(
            number,
            CAPTIONS[number],
            ROW_HEADINGS.get(number, "Method"),
            tuple(next(iter(reported.values()))),
            tuple(Row(label, ours.get(label), reported.get(label, {})) for label in labels),
        )
    return tables
