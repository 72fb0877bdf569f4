"""A table as tsv for machines, and as md, tex and html for people."""

from __future__ import annotations

import math
from typing import Any

import pandas as pd
from jinja2 import Environment
from tabulate import tabulate

from msnmo.core.cells import escape_markdown
from msnmo.core.numbers import plain
from msnmo.core.templates import templates
from msnmo.evaluate.metrics import METRICS
from msnmo.tables.compare import DECIMALS, ComparedCell, ComparedRow, Ours, Sureness
from msnmo.tables.content import NOT_RUN
from msnmo.tables.layout import Layout
from msnmo.tables.model import Page, Panel, Text

REFERENCE = "reference"
TEX = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    "−": r"$-$",
    "–": "--",
    "°": r"\textdegree{}",
    **{character: f"\\{character}" for character in "&%$#_"},
}
MARKDOWN_MARKS = {None: "", 1: "**", 2: "_"}
# TeX uses many braces, so its template has other marks
TEX_MARKS = {
    "block_start_string": "<%",
    "block_end_string": "%>",
    "variable_start_string": "<<",
    "variable_end_string": ">>",
    "comment_start_string": "<#",
    "comment_end_string": "#>",
}


def to_tsv(table: Layout, rows: list[ComparedRow]) -> pd.DataFrame:
    """Return the table for machines: a row per method and metric, missing where not run.

    Columns table, label, method, endpoint (primary or secondary), metric, space, status (run, not
    run, or reference for a row without a method), ours_mean, ours_sd, ours_sd_seeds, n_folds,
    n_undefined_folds, n_seeds, n_scans (of the metric; for SN and SP those of its class),
    n_undefined_scans, n_penalised_scans, n_subjects, ci_low, ci_high, interval (bootstrap or
    exact), reported, difference, rank, test, p, p_holm. Numbers are texts in the metric's unit, not
    rounded. reported and difference have the paper's two decimals.
    """
    return pd.DataFrame(
        {
            "table": table.number,
            "label": row.label,
            "method": row.method,
            "endpoint": METRICS[cell.metric].endpoint,
            "metric": cell.metric,
            "space": cell.space,
            "status": NOT_RUN if cell.ours is None else "run" if row.method else REFERENCE,
            **_ours_columns(cell),
            "n_subjects": _whole(_of(cell.sureness, "n_subjects")),
            "ci_low": _plain(_of(cell.sureness, "low")),
            "ci_high": _plain(_of(cell.sureness, "high")),
            "interval": _of(cell.sureness, "interval"),
            "reported": _paper(cell.reported),
            "difference": _paper(cell.difference),
            "rank": _whole(cell.rank),
            "test": _of(cell.sureness, "test"),
            "p": _plain(_of(cell.sureness, "p")),
            "p_holm": _plain(_of(cell.sureness, "p_holm")),
        }
        for row in rows
        for cell in row.cells
    )


def page_to_tsv(page: Page) -> pd.DataFrame:
    """Return a described table for machines: a row per cell.

    Columns table, panel, row, line, column, value.
    """
    return pd.DataFrame(
        {
            "table": page.number,
            "panel": panel.title,
            "row": block.label,
            "line": line.name,
            "column": column,
            "value": cell.text,
        }
        for panel in page.panels
        for block in panel.blocks
        for line in block.lines
        for column, cell in zip(panel.columns, line.cells, strict=True)
    )


def _ours_columns(cell: ComparedCell) -> dict[str, str | None]:
    ours = cell.ours
    counts = ("n_folds", "n_undefined_folds", "n_seeds", "n_scans", "n_undefined_scans")
    columns = {
        "ours_mean": _plain(_of(ours, "mean")),
        "ours_sd": _plain(_of(ours, "sd")),
        "ours_sd_seeds": _plain(_of(ours, "sd_seeds")),
        **{name: _whole(_of(ours, name)) for name in (*counts, "n_penalised_scans")},
    }
    return columns | {"n_scans": _whole(cell.n_scans)}


def _of(numbers: Ours | Sureness | None, name: str) -> Any:
    """Return one of the numbers; None if there are none."""
    return None if numbers is None else getattr(numbers, name)


def _whole(count: int | None) -> str | None:
    return None if count is None else str(count)


def _plain(value: float | None) -> str | None:
    return None if value is None or math.isnan(value) else plain(value)


def _paper(value: float | None) -> str | None:
    return None if value is None else f"{value:.{DECIMALS}f}"


def to_md(page: Page) -> str:
    """Return the table in Markdown whose columns also line up in a terminal."""
    environment = _environment()
    environment.filters |= {"e": escape_markdown, "pipe_table": _pipe_table}
    return _fill(environment, "table.md.jinja", page)


def to_tex(page: Page) -> str:
    r"""Return the table in LaTeX: compiles on its own, or can be ``\input`` by a document."""
    environment = _environment(**TEX_MARKS)
    environment.filters["e"] = escape_tex
    return _fill(environment, "table.tex.jinja", page)


def to_html(page: Page) -> str:
    """Return the table as one self-contained HTML page."""
    return _fill(_environment(), "table.html.jinja", page)


SECOND = {"md": "italic", "tex": "underlined", "html": "underlined"}
"""How each format marks the second best."""
FORMATS = {"md": to_md, "tex": to_tex, "html": to_html}


def _environment(**marks: str) -> Environment:
    return templates(__package__, keep_trailing_newline=True, **marks)


def _fill(environment: Environment, template: str, page: Page) -> str:
    return environment.get_template(template).render(page=page)


def escape_tex(text: str) -> str:
    """Return text that LaTeX (with UTF-8 input) prints unchanged."""
    return "".join(TEX.get(character, character) for character in text)


def _pipe_table(panel: Panel, page: Page) -> str:
    body = [
        [
            "" if place else escape_markdown(block.label),
            escape_markdown(line.name),
            *map(_markdown_cell, line.cells),
        ]
        for block in panel.blocks
        for place, line in enumerate(block.lines)
    ]
    return tabulate(
        body,
        headers=[escape_markdown(each) for each in (page.heading, page.lines, *panel.columns)],
        tablefmt="pipe",
        colalign=["left", "left", *["right"] * len(panel.columns)],
        disable_numparse=True,
    )


def _markdown_cell(cell: Text) -> str:
    mark = MARKDOWN_MARKS[cell.rank]
    return f"{mark}{escape_markdown(cell.text)}{mark}"
