"""The result tables as pages show them: ours, reported and difference side by side, sortable."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from msnmo.core.files import read_tsv
from msnmo.evaluate.metrics import METRICS, tasks_of
from msnmo.tables.compare import DECIMALS
from msnmo.tables.content import NOT_RUN
from msnmo.tables.layout import CAPTIONS, DESCRIBED
from msnmo.tables.reported import CITATION
from msnmo.viewing.pages import NOTHING, Cell, Column, Table, fixed, table_of

DESCRIBED_COLUMNS = dict.fromkeys(("table", "panel", "row", "line", "column", "value"), str)
COMPARED_COLUMNS = {
    **dict.fromkeys(("table", "label", "method", "metric", "space", "status", "test"), str),
    **dict.fromkeys(("ours_mean", "ours_sd", "ci_low", "ci_high", "reported"), float),
    **dict.fromkeys(("difference", "rank", "p", "p_holm", "n_scans", "n_subjects"), float),
}
DESCRIBED_CAPTIONS = {"1": "MS and NMOSD datasets", "2": "MRI parameters of the scans"}
DESCRIBED_HEADINGS = {"1": ("classification", "source"), "2": ("parameter", "unit")}
SURENESS = {
    "label": "method",
    "metric": "metric",
    "ours_mean": "ours",
    "ci_low": "interval from",
    "ci_high": "to",
    "test": "test",
    "p": "p",
    "p_holm": "p (Holm)",
    "n_scans": "scans",
    "n_subjects": "subjects",
}
"""Columns of the intervals and tests, and their headings."""

NOTES = (
    "Ours: mean ± sample standard deviation of the values of the folds; masks are compared in model"
    " space, in Table S1 on the native grid.",
    "Of ours, the best is bold and the second best underlined; VD, LFPR, HD95, ASD and AVD are"
    " better when lower.",
    f"Reported: {CITATION}; measured on the paper's own cohort.",
    "Difference: ours minus reported, in percentage points; it is no test.",
    "Intervals: bootstrap of the subjects, of the networks as trained. p: two-sided, against the"
    " joint model on the same scans; Holm's correction over the methods of a table and metric.",
)


def caption_of(name: str) -> str:
    """Return a table's number and caption."""
    return f"Table {name}. {CAPTIONS.get(name) or DESCRIBED_CAPTIONS[name]}"


def read_table(name: str, path: Path) -> tuple[list[Table], list[Table]]:
    """Return what a page shows of a table at once, and what it shows when asked.

    Parameters
    ----------
    name : str
        Such as "3" or "S1".
    path : Path
        The table as `msnmo.tables` writes it for machines.

    Raises
    ------
    InputError
        Naming the file, if it cannot be read or lacks a column.
    """
    if name in DESCRIBED:
        return list(_described(name, read_tsv(path, DESCRIBED_COLUMNS))), []
    content = read_tsv(path, COMPARED_COLUMNS)
    return list(_compared(content)), [_sureness(content)]


def _described(name: str, content: pd.DataFrame) -> Iterator[Table]:
    # where columns are many, some stand in each of their groups
    cells = content.fillna("").drop_duplicates(["panel", "row", "line", "column"])
    for panel, part in cells.groupby("panel", sort=False):
        columns = list(part["column"].unique())
        rows = [
            [row, line, *line_cells.set_index("column")["value"].reindex(columns)]
            for (row, line), line_cells in part.groupby(["row", "line"], sort=False)
        ]
        frame = pd.DataFrame(rows, columns=[*DESCRIBED_HEADINGS[name], *columns])
        yield table_of(str(panel) or "Ours and reported", frame.apply(_as_numbers))


def _as_numbers(column: pd.Series) -> list[Cell]:
    """Return a column's cells as numbers, if that is what all of them are."""
    numbers = pd.to_numeric(column.str.replace(",", ""), errors="coerce")
    if numbers.isna().any():
        return [Cell(text or NOTHING) for text in column]
    return [Cell(text, float(value)) for text, value in zip(column, numbers, strict=True)]


def _compared(content: pd.DataFrame) -> Iterator[Table]:
    """Yield the metrics of each task: three columns each, one where nothing was reported."""
    metrics = list(content["metric"].unique())
    reported = content["reported"].notna().any()
    for task in tasks_of(metrics):
        shown = [name for name in metrics if METRICS[name].task == task]
        columns = [Column("method")]
        for name in shown:
            heading = f"{name} ({METRICS[name].unit})"
            columns += (
                [Column(each, heading, number=True) for each in ("ours", "reported", "difference")]
                if reported
                else [Column(heading, number=True)]
            )
        rows = []
        for label, lines in content.groupby("label", sort=False):
            by_metric = lines.set_index("metric")
            cells = [Cell(str(label))]
            for name in shown:
                cells += _cells(by_metric.loc[name], reported)
            rows.append(tuple(cells))
        yield Table(task.capitalize(), tuple(columns), tuple(rows))


def reference_row(name: str, path: Path, label: str) -> pd.DataFrame:
    """Return one method's numbers of a table of results, a row per metric.

    Columns metric (with its unit), ours, reported, difference, table; empty where it has no row.
    """
    content = read_tsv(path, COMPARED_COLUMNS)
    rows = [
        [f"{row['metric']} ({METRICS[row['metric']].unit})", *_cells(row, True), f"Table {name}"]
        for _, row in content[content["label"] == label].assign(rank=None).iterrows()
    ]
    return pd.DataFrame(rows, columns=["metric", "ours", "reported", "difference", "from"])


def _cells(row: pd.Series, reported: bool) -> list[Cell]:
    ours = _ours(row)
    if not reported:
        return [ours]
    paper, difference = row["reported"], row["difference"]
    return [ours, _number(paper), _number(difference, "+")]


def _ours(row: pd.Series) -> Cell:
    if row["status"] == NOT_RUN:
        return Cell(NOT_RUN)
    if pd.isna(row["ours_mean"]):
        return Cell(NOTHING)
    spread = NOTHING if pd.isna(row["ours_sd"]) else fixed(row["ours_sd"], DECIMALS)
    text = f"{fixed(row['ours_mean'], DECIMALS)} ± {spread}"
    rank = None if pd.isna(row["rank"]) else int(row["rank"])
    return Cell(text, float(row["ours_mean"]), rank=rank)


def _number(value: float, sign: str = "") -> Cell:
    if pd.isna(value):
        return Cell(NOTHING)
    return Cell(fixed(value, DECIMALS, sign), float(value))


def _sureness(content: pd.DataFrame) -> Table:
    frame = content[content["status"] != NOT_RUN][list(SURENESS)].rename(columns=SURENESS)
    frame = frame.astype({"scans": "Int64", "subjects": "Int64"}).astype(object)
    frame = frame.where(frame.notna(), None)
    for name in ("ours", "interval from", "to"):
        frame[name] = [_number(value) for value in frame[name]]
    return table_of("Intervals and tests", frame)
