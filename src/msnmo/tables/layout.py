"""The list of tables: number, caption, rows and columns.

Rows and columns are those of the paper (`reported`), then any method of the registry that names the
table as its own without being in the paper. So a method becomes a row by its entry in
`msnmo.settings.methods` alone. The workflow reads this list at every start: nothing slow is
imported here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msnmo.evaluate.metrics import SUPPLEMENT, TABLE_METRICS
from msnmo.settings.methods import METHODS, Method
from msnmo.tables.reported import read_reported

TABLES = ("1", "2", "3", "4", "5", "6", "7", "8", "9", SUPPLEMENT)
"""Every table by its number; the supplement is not the paper's."""
DESCRIBED = ("1", "2")
"""The tables of the cohort itself, which need no method."""

CAPTIONS = {
    "3": "Comparative experimental results of the lesion segmentation method",
    "4": "Comparative experimental results of lesion classification method",
    "5": "The influence of the joint learning strategy on segmentation task",
    "6": "The influence of the joint learning strategy on classification task",
    "7": "The influence of the information-sharing module",
    "8": "The effect of the LGM on classification performance",
    "9": "The effect of cross-task loss function",
    SUPPLEMENT: "Lesions, distances and volumes of every method that segments",
}
"""The paper's captions, and the supplement's."""

ROW_HEADINGS = {"8": "Interactive mode"}
"""What the paper heads the first column with, where it is not "Method"."""


@dataclass(frozen=True)
class MethodRow:
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
class Layout:
    """One table of results.

    Parameters
    ----------
    number : str
    caption : str
    heading : str
        Of the first column.
    metrics : tuple of str
        Its other columns.
    rows : tuple of MethodRow
    """

    number: str
    caption: str
    heading: str
    metrics: tuple[str, ...]
    rows: tuple[MethodRow, ...]


def lay_out(methods: Mapping[str, Method] = METHODS) -> dict[str, Layout]:
    """Return every table of results by its number.

    Parameters
    ----------
    methods : mapping of str to Method
        The registry.
    """
    tables = {}
    for number, reported in read_reported().items():
        ours = {method.label: method.name for method in methods.values() if number in method.tables}
        labels = [*reported, *(label for label in ours if label not in reported)]
        rows = tuple(MethodRow(label, ours.get(label), reported.get(label, {})) for label in labels)
        tables[str(number)] = _table(str(number), rows)
    segmenting = [each for each in methods.values() if "segmentation" in each.tasks]
    tables[SUPPLEMENT] = _table(
        SUPPLEMENT, tuple(MethodRow(method.label, method.name, {}) for method in segmenting)
    )
    return tables


def _table(number: str, rows: tuple[MethodRow, ...]) -> Layout:
    heading = ROW_HEADINGS.get(number, "Method")
    return Layout(number, CAPTIONS[number], heading, TABLE_METRICS[number], rows)


def methods_of(table: str, chosen: Sequence[str]) -> list[str]:
    """Return those of the chosen methods that a table shows, in the order they were chosen.

    Parameters
    ----------
    table : str
        One of `TABLES`; those of the cohort show none, the supplement all that segment.
    chosen : sequence of str
        Names of methods.
    """
    if table in DESCRIBED:
        return []
    if table == SUPPLEMENT:
        return [name for name in chosen if "segmentation" in METHODS[name].tasks]
    return [name for name in chosen if int(table) in METHODS[name].tables]
