"""Table S7: how much perturbations of held-out scans cost each method."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN, read_tsv
from msnmo.core.numbers import fixed
from msnmo.robustness.conditions import PERTURBATIONS, UNPERTURBED
from msnmo.robustness.statistics import COLUMNS
from msnmo.settings.methods import get_method
from msnmo.tables.layout import ROBUSTNESS, ROBUSTNESS_CAPTION
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text

AS_THEY_ARE = "Scans as they are"
"""The title of the panel that the others are compared with."""
EXPLAINED = (
    "Each condition is compared with the same held-out scans without perturbation, by the same "
    "networks, on the scan's own grid and with the readers' unchanged mask.",
    "Scans are perturbed as they arrived. N4, crop, resizing and z-score are repeated. The brain "
    "mask is the scan's own, except under Brain mask and Skull strip.",
    "Flips: scans whose predicted class differs from that of the unperturbed scan; Wilson "
    "interval, with scans taken as independent.",
)


def read_judged(paths: Sequence[Path]) -> pd.DataFrame:
    """Return one table of all methods.

    Parameters
    ----------
    paths : sequence of Path
        As written by `msnmo.robustness.statistics`, one per method, in the wanted order.

    Returns
    -------
    DataFrame
        Columns table, label, then those of the files.

    Raises
    ------
    If a file cannot be read, has an unknown perturbation, or has other conditions than the first.
        the first.
    """
    tables = {path: read_tsv(path, COLUMNS)[list(COLUMNS)] for path in paths}
    key = ["perturbation", "severity", "n_scans", "n_left_out"]
    first = next(iter(tables))
    for path, table in tables.items():
        known = {UNPERTURBED, *PERTURBATIONS}
        if not set(table["perturbation"]) <= known or table.empty:
            expected = f"perturbations {', '.join(PERTURBATIONS)}"
            found = ", ".join(sorted(set(table["perturbation"]) - known)) or "none"
            raise bad_input(path, expected, found, MAKE_AGAIN)
        if not table[key].equals(tables[first][key]):
            raise bad_input(path, f"the conditions and scans of {first}", "others", MAKE_AGAIN)
    table = pd.concat(tables.values(), ignore_index=True)
    table.insert(0, "table", ROBUSTNESS)
    table.insert(1, "label", [get_method(str(name)).label for name in table["method"]])
    return table


def page_of_robustness(table: pd.DataFrame) -> Page:
    """Return Table S7 as its readers see it.

    Parameters
    ----------
    table : DataFrame
        As `read_judged` returns.
    """
    made = table[table["n_scans"] > 0]
    level = f"{100 * float(table['confidence'].iloc[0]):g} % CI"
    panels = tuple(
        _panel(str(name), rows, level) for name, rows in made.groupby("perturbation", sort=False)
    )
    notes = tuple(_notes(table, level))
    return Page(ROBUSTNESS, ROBUSTNESS_CAPTION, "Method", "Severity", panels, notes)


def title_of(perturbation: str) -> str:
    """Return the title of a perturbation's panel: what it is, and its severity."""
    if perturbation == UNPERTURBED:
        return AS_THEY_ARE
    told = PERTURBATIONS[perturbation]
    return f"{told.label} ({told.severity})"


def _panel(perturbation: str, rows: pd.DataFrame, level: str) -> Panel:
    columns = ("scans", "DSC (%)", f"difference, {level}", f"class flips (%), {level}")
    blocks = tuple(
        Block(str(label), tuple(map(_line, cells.itertuples())))
        for label, cells in rows.groupby("label", sort=False)
    )
    return Panel(title_of(perturbation), columns, blocks)


def _line(row: Any) -> Line:
    scans = Text(str(row.n_scans), value=float(row.n_scans))
    if row.perturbation == UNPERTURBED:
        return Line("as is", (scans, _share(row.dsc), Text(NOTHING), Text(NOTHING)))
    change = _with_interval(row.difference, row.difference_low, row.difference_high)
    flips = _with_interval(row.flips, row.flips_low, row.flips_high)
    return Line(severity_of(row), (scans, _share(row.dsc), change, flips))


def severity_of(row: Any) -> str:
    """Return a row's severity as people read it."""
    return str(row.severity) if row.perturbation == "engines" else row.severity.replace("-", "−")


def _share(value: float) -> Text:
    return Text(NOTHING) if math.isnan(value) else Text(_percent(value), value=100 * value)


def _with_interval(value: float, low: float, high: float) -> Text:
    if math.isnan(value):
        return Text(NOTHING)
    if math.isnan(low):
        return Text(f"{_percent(value)} (no interval)", value=100 * value)
    # a dash before a minus sign cannot be read
    dash = " to " if low < 0 else "–"
    return Text(f"{_percent(value)} ({_percent(low)}{dash}{_percent(high)})", value=100 * value)


def _percent(value: float) -> str:
    return fixed(100 * value, 1)


def _notes(table: pd.DataFrame, level: str) -> Iterator[str]:
    first = table.iloc[0]
    yield (
        f"{first['n_scans']} held-out scans of {first['n_subjects']} subjects; networks of seed "
        f"{first['seed']} only. DSC: mean over folds, for scans with a mask "
        f"({table['n_dsc'].max()})."
    )
    yield (
        f"{level} of the difference: bootstrap of subjects, for the networks as trained; none if "
        "all scans differ by the same amount."
    )
    yield from EXPLAINED
    own = table[table["method"] == first["method"]]
    for row in own[own["n_left_out"] > 0].itertuples():
        what = f"{PERTURBATIONS[row.perturbation].label} {severity_of(row)}"
        yield f"{what}: {'not run' if not row.n_scans else 'scans left out'}: {row.left_out}."
