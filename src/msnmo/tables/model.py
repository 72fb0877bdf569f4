"""The content of a table without a format. All formats and the report's pages use it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN, read_json, write_json

NOTHING = "–"
LONGEST = 48
"""Lines of a table on one printed page."""


@dataclass(frozen=True)
class Text:
    """One cell.

    Parameters
    ----------
    text : str
        As shown.
    rank : int, optional
        1 for the best and 2 for the second best of the compared values.
    value : float, optional
        The number shown in the text, used for sorting.
    """

    text: str
    rank: int | None = None
    value: float | None = None


@dataclass(frozen=True)
class Line:
    """One line of a block, such as ours, reported or difference of a method."""

    name: str
    cells: tuple[Text, ...]


@dataclass(frozen=True)
class Block:
    """Lines of one label, such as a method."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Panel:
    """Columns shown side by side. More than four do not fit a page or a phone."""

    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Page:
    """A whole table as its readers see it.

    Parameters
    ----------
    number, caption : str
    heading, lines : str
        Headings of the first column, and of the second, which names the lines of a block.
    panels : tuple of Panel
    notes : tuple of str
        Sentences below the table.
    details : Panel, optional
        Details without room in printed formats: one line per number of each block.
    beats_chance : mapping of str to bool, optional
        For a table of maps, by row: whether the map finds lesions better than chance; None if
        nothing was measured.
    """

    number: str
    caption: str
    heading: str
    lines: str
    panels: tuple[Panel, ...]
    notes: tuple[str, ...]
    details: Panel | None = None
    beats_chance: Mapping[str, bool | None] | None = None

    @property
    def is_long(self) -> bool:
        """Whether its panels together do not fit a printed page."""
        return sum(len(block.lines) for panel in self.panels for block in panel.blocks) > LONGEST


def write_page(path: Path, page: Page) -> None:
    """Write a table's content as JSON. `read_page` inverts it exactly."""
    content = asdict(page)
    if page.beats_chance is None:
        del content["beats_chance"]
    write_json(path, content)


def read_page(path: Path) -> Page:
    """Read what `write_page` wrote.

    Raises
    ------
    InputError
        Names the file, if it is missing, damaged or of another kind.
    """
    content = read_json(path)
    try:
        return _page(content)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        expected = "a table written by `msnmo.tables`"
        raise bad_input(path, expected, repr(error), MAKE_AGAIN) from error


def _page(content: Mapping[str, Any]) -> Page:
    return Page(
        str(content["number"]),
        str(content["caption"]),
        str(content["heading"]),
        str(content["lines"]),
        tuple(map(_panel, content["panels"])),
        tuple(map(str, content["notes"])),
        None if content["details"] is None else _panel(content["details"]),
        _verdicts(content.get("beats_chance")),
    )


def _verdicts(content: Mapping[str, Any] | None) -> dict[str, bool | None] | None:
    if content is None:
        return None
    if odd := [each for each in content.values() if each not in (True, False, None)]:
        raise ValueError(f"{odd[0]!r} is no verdict")
    return dict(content)


def _panel(content: Mapping[str, Any]) -> Panel:
    columns = tuple(map(str, content["columns"]))
    blocks = tuple(
        Block(str(block["label"]), tuple(_line(each, len(columns)) for each in block["lines"]))
        for block in content["blocks"]
    )
    return Panel(str(content["title"]), columns, blocks)


def _line(content: Mapping[str, Any], columns: int) -> Line:
    cells = tuple(Text(**cell) for cell in content["cells"])
    if len(cells) != columns:
        raise ValueError(f"{len(cells)} cells for {columns} columns")
    return Line(str(content["name"]), cells)
