"""The tables as pages show them: sortable, ours, reported and difference side by side."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

import pandas as pd

from msnmo.tables.content import DIFFERENCE, OURS, REPORTED
from msnmo.tables.model import NOTHING, Page, Panel, Text
from msnmo.viewing.pages import Cell, Column, Table

COMPARED = (OURS, REPORTED, DIFFERENCE)
"""The lines that stand side by side; the others are shown when asked."""


def caption_of(page: Page) -> str:
    """Return a table's number and caption."""
    return f"Table {page.number}. {page.caption}"


def shown_tables(page: Page) -> list[Table]:
    """Return what is shown of a table at once: one for all panels of a title.

    The notes stand below the last.
    """
    panels = [list(group) for _, group in groupby(page.panels, key=lambda panel: panel.title)]
    # where lines are named by a column of their own they stand below one another, as printed
    lay = _lines_below if page.lines else _lines_beside
    return [lay(page, group, page.notes if group is panels[-1] else ()) for group in panels]


def details_of(page: Page) -> list[Table]:
    """Return what is shown of a table when asked: its intervals and tests, if it has any."""
    if page.details is None:
        return []
    return [_listed([page.details], ("method", "metric"), page.details.title)]


def reference_row(page: Page, label: str) -> pd.DataFrame:
    """Return one method's numbers of a table of results, a row per metric.

    Columns metric (with its unit), ours, reported, difference, table; empty where it has no row.
    """
    columns, lines = joined(page.panels)
    of_method = [lines.get((label, name), {}) for name in COMPARED]
    rows = [
        [column, *(_cell(of.get(column), ranked=False) for of in of_method), f"Table {page.number}"]
        for column in columns
        if column in of_method[0]
    ]
    return pd.DataFrame(rows, columns=["metric", *COMPARED, "from"])


def joined(panels: Sequence[Panel]) -> tuple[list[str], dict[tuple[str, str], dict[str, Text]]]:
    """Return the columns of some panels, each once, and each line's cells by column.

    Lines are found by their block's label and their name.
    """
    columns = list(dict.fromkeys(column for panel in panels for column in panel.columns))
    lines: dict[tuple[str, str], dict[str, Text]] = {}
    for panel in panels:
        for block in panel.blocks:
            for line in block.lines:
                cells = dict(zip(panel.columns, line.cells, strict=True))
                lines.setdefault((block.label, line.name), {}).update(cells)
    return columns, lines


def _lines_below(page: Page, panels: Sequence[Panel], notes: Sequence[str]) -> Table:
    title = panels[0].title or "Ours and reported"
    return _listed(panels, (page.heading, page.lines), title, notes)


def _listed(
    panels: Sequence[Panel], headings: tuple[str, str], title: str, notes: Sequence[str] = ()
) -> Table:
    """Return a table with a row for each line."""
    columns, lines = joined(panels)
    rows = [
        (Cell(label), Cell(name), *(_cell(cells.get(column)) for column in columns))
        for (label, name), cells in lines.items()
    ]
    made = [Column(each, number=_has_numbers(each, lines.values())) for each in columns]
    return Table(title, (*map(Column, headings), *made), tuple(rows), tuple(notes))


def _has_numbers(column: str, lines: Iterable[dict[str, Text]]) -> bool:
    return any(column in cells and cells[column].value is not None for cells in lines)


def _lines_beside(page: Page, panels: Sequence[Panel], notes: Sequence[str]) -> Table:
    """Return a table with a row for each block, its lines in columns of one group."""
    columns, lines = joined(panels)
    names = [each for each in COMPARED if any(name == each for _, name in lines)]
    labels = dict.fromkeys(label for label, _ in lines)
    rows = [
        (
            Cell(label),
            *(
                _cell(lines.get((label, name), {}).get(column))
                for column in columns
                for name in names
            ),
        )
        for label in labels
    ]
    made = (Column(page.heading), *_columns(columns, names))
    return Table(panels[0].title, made, tuple(rows), tuple(notes))


def _columns(columns: Sequence[str], names: Sequence[str]) -> Iterator[Column]:
    """Yield a column for each line of each group; one alone needs no group."""
    for column in columns:
        if len(names) == 1:
            yield Column(column, number=True)
        else:
            yield from (Column(name, column, number=True) for name in names)


def _cell(text: Text | None, ranked: bool = True) -> Cell:
    if text is None:
        return Cell(NOTHING)
    return Cell(text.text, text.value, rank=text.rank if ranked else None)
