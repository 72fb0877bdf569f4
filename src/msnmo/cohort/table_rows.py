"""One row of a scan table: its cells, and what is wrong in it, whatever the others say."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator

from msnmo.cohort.delimited import DelimitedRow
from msnmo.core.cells import show_hidden
from msnmo.core.counts import counted
from msnmo.core.diagnoses import diagnoses, in_words
from msnmo.core.errors import Finding
from msnmo.core.names import name_of_scan
from msnmo.core.paths import CONTROL
from msnmo.core.schemas import read_schema

# A link to workflow/schemas, so that the installed package and the workflow share one copy
SCHEMA = read_schema(Path(__file__).with_name("scans.schema.yaml"))
VALIDATOR = Draft202012Validator(SCHEMA)
COLUMNS: dict[str, dict[str, Any]] = SCHEMA["properties"]
NIFTI = re.compile(COLUMNS["flair"]["pattern"])
OURS = ("scan", "told_as")
"""Columns that the workflow makes. A scan table may not have them."""
MOST_COLUMNS = 1000
ID_PREFIXES = {"subject": "sub-", "session": "ses-"}
IDS = {name: Draft202012Validator(COLUMNS[name]) for name in ID_PREFIXES}
MISSING = "n/a"
OTHER_LABELS = "; to use other labels, name them in the config (diagnoses)"


@dataclass(frozen=True)
class Problem:
    """One problem in one cell. `others` are rows that may be wrong instead."""

    row: int
    column: str
    expected: str
    found: str
    remedy: str
    others: frozenset[int] = frozenset()

    def finding(self, path: Path) -> Finding:
        """Return it as a finding of the table at a path."""
        where = f"{path}, row {self.row}" + (f", column {self.column}" if self.column else "")
        return Finding(where, self.expected, self.found, self.remedy)


@dataclass(frozen=True)
class ScanRow:
    """One row of the table: its number, its cells by column, and those of the user's own columns.

    Missing cells are empty.
    """

    row: int
    cells: dict[str, str]
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """Name of the scan: ``sub-X`` or ``sub-X_ses-Y``."""
        return name_of_scan(self.cells["subject"], self.cells["session"])

    @property
    def label(self) -> str:
        """The label of its class; empty if it has none, or one that is not a class's label."""
        given = self.cells["diagnosis"]
        return given if given in diagnoses() else ""

    @property
    def is_named(self) -> bool:
        """Whether subject and session are ids, so that rows can be compared by them."""
        return all(rule.is_valid(self.cells[name]) for name, rule in IDS.items())

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the column and path, as written, of every file of the scan."""
        if self.cells["flair"]:
            yield "flair", self.cells["flair"]
        for mask in self.cells["lesion_mask"].split(";"):
            if mask.strip():
                yield "lesion_mask", mask.strip()
        if self.cells["brain_mask"]:
            yield "brain_mask", self.cells["brain_mask"]


def header_problems(header: DelimitedRow) -> Iterator[Problem]:
    """Yield what is wrong with the names of columns."""
    names = _trimmed(header.cells)
    if len(names) > MOST_COLUMNS:
        found = f"{len(names)} columns"
        remedy = "check that it is a scan table; remove columns"
        yield Problem(header.number, "", f"{MOST_COLUMNS} columns at most", found, remedy)
        return
    yield from _unknown_columns(header.number, names)
    for name in sorted({name for name in names if names.count(name) > 1 and name}):
        found = f"{names.count(name)} columns {name}"
        yield Problem(header.number, name, "each column once", found, "remove all but one of them")
    for name in SCHEMA["required"]:
        if name not in names:
            found = f"no column {name}"
            remedy = f"add the column {name}: {COLUMNS[name]['description']}"
            yield Problem(header.number, "", f"a column {name}", found, remedy)


def _unknown_columns(row: int, names: Sequence[str]) -> Iterator[Problem]:
    """Yield problems of unknown columns. Most are the user's own and are kept."""
    expected = f"columns {', '.join(COLUMNS)}"
    for name in sorted(set(names) - set(COLUMNS)):
        if not name:
            remedy = "name the column, or remove it"
        elif close := difflib.get_close_matches(name.lower(), COLUMNS, n=1):
            remedy = f"rename it to {close[0]}"
        elif name in OURS:
            remedy = "give the column another name, as the workflow uses this name"
        else:
            continue
        yield Problem(row, name, expected, f"unknown column {name!r}", remedy)


def _trimmed(cells: list[str]) -> list[str]:
    """Return the cells without empty cells at the end, which spreadsheets may add."""
    filled = [index for index, cell in enumerate(cells, start=1) if cell]
    return cells[: filled[-1]] if filled else []


def read_row(
    header: DelimitedRow, row: DelimitedRow, labels: Mapping[str, str]
) -> tuple[ScanRow | None, list[Problem]]:
    """Return the row's cells by column (None if they do not fit the header) and its problems."""
    names, cells = _trimmed(header.cells), row.cells
    if len(cells) < len(names) or any(cells[len(names) :]):
        expected = f"{counted(len(names), 'cell')}, as in the header"
        remedy = "look for a missing or extra tab; empty cells need a tab too"
        count = len(cells) if len(cells) < len(names) else len(_trimmed(cells))
        return None, [Problem(row.number, "", expected, counted(count, "cell"), remedy)]
    defaults = {name: entry.get("default", "") for name, entry in COLUMNS.items()}
    given = {
        name: "" if cell == MISSING else cell
        for name, cell in zip(names, cells, strict=False)
        if name in COLUMNS
    }
    if "diagnosis" in given:
        given["diagnosis"] = labels.get(given["diagnosis"].lower(), given["diagnosis"])
    extra = {
        name: "" if cell == MISSING else cell
        for name, cell in zip(names, cells, strict=False)
        if name and name not in COLUMNS
    }
    found = {name: cell for name, cell in given.items() if cell}
    return ScanRow(row.number, defaults | found, extra), [
        *_cell_problems(row.number, given),
        *_control_problems(row.number, extra),
    ]


def _cell_problems(row: int, cells: dict[str, str]) -> Iterator[Problem]:
    told = set()
    for error in VALIDATOR.iter_errors(cells):
        if error.validator == "required":
            continue  # reported once, for the header
        column = str(error.absolute_path[0])
        if column not in told:
            told.add(column)
            cell = cells[column]
            expected = COLUMNS[column]["description"]
            yield Problem(row, column, expected, _quoted(cell), _remedy(column, cell))
    diagnosis = cells.get("diagnosis", "")
    if diagnosis not in ("", *diagnoses()) and "diagnosis" not in told:
        told.add("diagnosis")
        expected = f"{in_words()}; empty for a scan that is only predicted"
        # similar names of diseases must not be mixed up
        remedy = _remedy_of_choice(diagnosis, list(diagnoses()), alike=0.7)
        yield Problem(row, "diagnosis", expected, _quoted(diagnosis), f"{remedy}{OTHER_LABELS}")
    yield from _control_problems(row, {name: cells[name] for name in cells if name not in told})


def _control_problems(row: int, cells: Mapping[str, str]) -> Iterator[Problem]:
    for column, cell in cells.items():
        if CONTROL.search(cell):
            remedy = "remove the tab, line end or other control character"
            yield Problem(row, column, "text in one line", repr(cell), remedy)


def _quoted(cell: str) -> str:
    if not cell:
        return "an empty cell"
    cell = show_hidden(cell)
    return f"'{cell}'" if len(cell) <= 80 else f"'{cell[:77]}...' ({len(cell)} characters)"


def _remedy(column: str, cell: str) -> str:
    choices = [choice for choice in COLUMNS[column].get("enum", []) if choice]
    if choices:
        return _remedy_of_choice(cell, choices)
    prefix = ID_PREFIXES.get(column)
    if prefix and cell.lower().startswith(prefix) and cell[len(prefix) :].isalnum():
        return f"write {cell[len(prefix) :]}, without the prefix {prefix}"
    if prefix:
        return "give an id of letters and digits only" if cell else f"fill in the {column}'s id"
    if not cell:
        return "fill in the path"
    if column == "lesion_mask" and not all(part.strip() for part in cell.split(";")):
        return "remove the semicolon that has no path next to it"
    return "convert the file to NIfTI (e.g. dcm2niix)"


def _remedy_of_choice(cell: str, choices: list[str], alike: float = 0.6) -> str:
    lower = [choice.lower() for choice in choices]
    close = difflib.get_close_matches(cell.lower(), lower, n=1, cutoff=alike)
    if close:
        right = next(choice for choice in choices if choice.lower() == close[0])
        return f"write {right}"
    return f"write {' or '.join(choices)}, or leave the cell empty"
