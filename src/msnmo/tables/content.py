"""What a table for people says, cell by cell and note by note, in no format yet."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE
from msnmo.methods import Task
from msnmo.tables.compare import DECIMALS, Cell, ComparedRow, Ours
from msnmo.tables.layout import Table
from msnmo.tables.reported import CITATION

NOT_RUN = "not run"
NOTHING = "–"


@dataclass(frozen=True)
class Text:
    """One cell; `rank` as in `Cell`."""

    text: str
    rank: int | None = None


@dataclass(frozen=True)
class Line:
    """One line of a method: ours, reported or difference."""

    name: str
    cells: tuple[Text, ...]


@dataclass(frozen=True)
class Block:
    """One method: its label and lines."""

    label: str
    lines: tuple[Line, ...]


@dataclass(frozen=True)
class Panel:
    """The columns of one task: eight metrics side by side fit neither page nor phone."""

    title: str
    columns: tuple[str, ...]
    blocks: tuple[Block, ...]


def panels(table: Table, rows: list[ComparedRow]) -> list[Panel]:
    """Return a table's columns of each task, with every row."""
    return [
        Panel(
            task.capitalize(),
            tuple(f"{metric} (%)" for metric in table.metrics if METRICS[metric].task == task),
            tuple(
                Block(row.label, tuple(_lines([c for c in row.cells if _task(c) == task])))
                for row in rows
            ),
        )
        for task in dict.fromkeys(METRICS[metric].task for metric in table.metrics)
    ]


def _lines(cells: list[Cell]) -> Iterator[Line]:
    """Yield the lines that say something: a method that is not the paper's has only ours."""
    yield Line("ours", tuple(Text(ours_text(cell.ours), cell.rank) for cell in cells))
    if any(cell.reported is not None for cell in cells):
        yield Line("reported", tuple(Text(_number(cell.reported)) for cell in cells))
    if any(cell.difference is not None for cell in cells):
        yield Line("difference", tuple(Text(_number(cell.difference, "+")) for cell in cells))


def ours_text(ours: Ours | None) -> str:
    """Return our number as shown: mean ± sd, or why there is none."""
    if ours is None:
        return NOT_RUN
    if math.isnan(ours.mean):
        return NOT_APPLICABLE
    sd = NOT_APPLICABLE if math.isnan(ours.sd) else _number(ours.sd)
    return f"{_number(ours.mean)} ± {sd}"


def _number(value: float | None, sign: str = "") -> str:
    if value is None:
        return NOTHING
    plus = sign if value > 0 else ""
    return f"{plus}{value:.{DECIMALS}f}".replace("-", "−")


def notes(table: Table, rows: list[ComparedRow], second: str) -> list[str]:
    """Return the sentences below a table: what its numbers are and what is in no mean.

    Parameters
    ----------
    table : Table
    rows : list of ComparedRow
    second : str
        How the format marks the second best.
    """
    cells = [cell for row in rows for cell in row.cells if cell.ours is not None]
    sentences = _ours_notes(cells) if cells else ["None of these methods was run."]
    sentences += _gap_notes(rows)
    if any(cell.rank for cell in cells):
        sentences.append(f"Of ours, the best is bold and the second best {second}.")
    if "VD" in table.metrics:
        sentences.append("VD: lower is better.")
    return [
        *sentences,
        f"Reported: {CITATION}; measured on the paper's own cohort.",
        "Difference: ours minus reported, in percentage points; it is no test.",
    ]


def _ours_notes(cells: list[Cell]) -> list[str]:
    folds = cells[0].ours.n_folds + cells[0].ours.n_undefined_folds
    texts = [f"Ours: mean ± sample standard deviation of the values of {folds} folds."]
    for task in dict.fromkeys(map(_task, cells)):
        cell = next(cell for cell in cells if _task(cell) == task)
        where = "" if cell.space == NOT_APPLICABLE else f", masks compared in {cell.space} space"
        texts.append(f"{task.capitalize()}: {cell.ours.n_scans} test scans{where}.")
    return texts


def _gap_notes(rows: list[ComparedRow]) -> list[str]:
    """Return what is in no mean: a sentence per reason, with methods and metrics."""
    gaps: dict[str, dict[str, list[str]]] = {}
    for row in rows:
        for cell in row.cells:
            for reason in _gaps(cell.ours):
                gaps.setdefault(reason, {}).setdefault(row.label, []).append(cell.metric)
    return [
        f"Undefined {reason}, left out: "
        + "; ".join(f"{label} {', '.join(metrics)}" for label, metrics in where.items())
        + "."
        for reason, where in gaps.items()
    ]


def _gaps(ours: Ours | None) -> Iterator[str]:
    if ours is not None and ours.n_undefined_scans:
        count = ours.n_undefined_scans
        yield f"for {count} scan{'' if count == 1 else 's'} without a true lesion"
    if ours is not None and ours.n_undefined_folds:
        yield f"in {ours.n_undefined_folds} of {ours.n_folds + ours.n_undefined_folds} folds"


def _task(cell: Cell) -> Task:
    return METRICS[cell.metric].task
