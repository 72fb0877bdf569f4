"""Table S5: results by lesion size and by lesion load, and the agreement of raters."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import product
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN, read_tsv
from msnmo.core.numbers import fixed
from msnmo.evaluate.metrics import EXACT, NOT_APPLICABLE
from msnmo.evaluate.statistics.lesions import (
    BY_LOAD,
    COLUMNS,
    METRICS,
    OF_RATERS,
    RATERS,
    SIZE,
    WHOLE,
)
from msnmo.settings.methods import get_method
from msnmo.tables.content import EXACT_WHERE_ALL_ARE_EQUAL, SEEDS, counted_note
from msnmo.tables.layout import LESIONS, LESIONS_CAPTION
from msnmo.tables.model import NOTHING, Block, Line, Page, Panel, Text

TITLES = {
    WHOLE: "All lesions",
    SIZE: "Lesions {}",
    BY_LOAD: "Scans with a load {}",
    RATERS: "Scans of several raters",
}
"""By kind, the title of a group's panel."""
MADE_OF = "scans (lesions)"
"""The name of the line with the counts behind a number."""
NUMBERS = ("mean", "sd", "sd_seeds", "ci_low", "ci_high", "confidence", "n_lesions")
COUNTS = (
    *("n_folds", "n_undefined_folds", "n_seeds", "n_scans", "n_undefined_scans", "n_subjects"),
)
TYPES = {
    **dict.fromkeys(COLUMNS, str),
    **dict.fromkeys(NUMBERS, float),
    **dict.fromkeys(COUNTS, int),
}
EXPLAINED = (
    "Sizes: LTPR by the size of the true lesion, LFPR by the size of the predicted lesion. DSC "
    "of a class compares its true lesions with the nearest parts of the prediction, plus "
    "predictions of this size where no lesion is; for scans with such a lesion.",
    "Loads: scans by thirds of their true lesion volume. DSC is for whole masks, LTPR and LFPR "
    "for all counted lesions, as in Table S1.",
)
OF_THE_RATERS = (
    "Raters: each compared with each other, mean over both directions. Methods are compared with "
    "the combined mask (lesion_masks.combine), with which they can agree better than raters with "
    "one another."
)


def read_described(path: Path) -> pd.DataFrame:
    """Read the output of `msnmo.evaluate.statistics.lesions` as the machine-readable table.

    Returns
    -------
    DataFrame
        Columns table, label, then those of the file.

    Raises
    ------
    InputError
        If the file cannot be read, has an unknown kind of group, lacks a required kind, or if a
        group lacks a method or a metric that others have.
    """
    table = read_tsv(path, TYPES)[list(COLUMNS)]
    kinds = set(table["kind"])
    if not {*TITLES} >= kinds >= {*TITLES} - {RATERS}:
        found = ", ".join(sorted(kinds)) or "none"
        raise bad_input(path, f"the kinds {', '.join(TITLES)}", found, MAKE_AGAIN)
    if lacking := [f"{kind} {name}" for kind, name in _incomplete(table)]:
        expected, found = "every metric of every method", f"not all of {', '.join(lacking)}"
        raise bad_input(path, expected, found, MAKE_AGAIN)
    table.insert(0, "table", LESIONS)
    table.insert(1, "label", [_label(row) for row in table.itertuples()])
    return table


def _incomplete(table: pd.DataFrame) -> Iterator[tuple[str, str]]:
    """Yield the kind and name of each group that lost rows."""
    methods = set(table["method"].dropna())
    for (kind, name), rows in table.groupby(["kind", "group"]):
        wanted = product(methods, METRICS)
        if kind == RATERS:
            wanted = product([*methods, RATERS], OF_RATERS)
        there = zip(rows["method"].fillna(RATERS), rows["metric"], strict=True)
        if sorted(there) != sorted(wanted):
            yield str(kind), str(name)


def _label(row: Any) -> str:
    if not pd.isna(row.method):
        return get_method(row.method).label
    return f"Raters ({row.n_scans} scan{'' if row.n_scans == 1 else 's'})"


def page_of_lesions(table: pd.DataFrame, smallest_mm3: float) -> Page:
    """Return Table S5 as its readers see it.

    Parameters
    ----------
    table : DataFrame
        As `read_described` returns.
    smallest_mm3 : float
        Smallest volume of a counted lesion.
    """
    level = f"{100 * float(table['confidence'].iloc[0]):g} % CI"
    panels = tuple(
        _panel(str(kind), str(name), rows, level)
        for (kind, name), rows in table.groupby(["kind", "group"], sort=False)
    )
    notes = tuple(_notes(table, level, smallest_mm3))
    return Page(LESIONS, LESIONS_CAPTION, "Method", "Value", panels, notes)


def _panel(kind: str, name: str, rows: pd.DataFrame, level: str) -> Panel:
    metrics = OF_RATERS if kind == RATERS else METRICS
    blocks = []
    for label, cells in rows.groupby("label", sort=False):
        by_metric = {cell.metric: cell for cell in cells.itertuples()}
        lines = _lines([by_metric[metric] for metric in metrics], level)
        blocks.append(Block(str(label), tuple(lines)))
    columns = tuple(f"{metric} (%)" for metric in metrics)
    return Panel(TITLES[kind].format(name), columns, tuple(blocks))


def _lines(cells: Sequence[Any], level: str) -> Iterator[Line]:
    yield Line("mean ± SD", tuple(map(_mean, cells)))
    if cells[0].n_seeds > 1:
        yield Line(SEEDS, tuple(map(_between_seeds, cells)))
    yield Line(level, tuple(map(_interval, cells)))
    yield Line(MADE_OF, tuple(map(_made_of, cells)))


def _mean(cell: Any) -> Text:
    if math.isnan(cell.mean):
        return Text(NOT_APPLICABLE)
    sd = NOT_APPLICABLE if math.isnan(cell.sd) else _percent(cell.sd)
    return Text(f"{_percent(cell.mean)} ± {sd}", value=100 * cell.mean)


def _between_seeds(cell: Any) -> Text:
    if math.isnan(cell.sd_seeds):
        return Text(NOTHING)
    return Text(f"± {_percent(cell.sd_seeds)}", value=100 * cell.sd_seeds)


def _interval(cell: Any) -> Text:
    if math.isnan(cell.ci_low):
        return Text(NOTHING)
    return Text(f"{_percent(cell.ci_low)}–{_percent(cell.ci_high)}")


def _percent(share: float) -> str:
    return fixed(100 * share, 1)


def _made_of(cell: Any) -> Text:
    scans = cell.n_scans - cell.n_undefined_scans
    of_all = f" of {cell.n_scans}" if cell.n_undefined_scans else ""
    # a mean over seeds, and over raters, need not be whole
    lesions = fixed(cell.n_lesions, 1).removesuffix(".0")
    return Text(f"{scans}{of_all} ({lesions})", value=float(scans))


def _notes(table: pd.DataFrame, level: str, smallest_mm3: float) -> Iterator[str]:
    ours = table[table["method"].notna()]
    first = ours.iloc[0]
    folds = first["n_folds"] + first["n_undefined_folds"]
    drawn = f"{level}: bootstrap of {first['n_subjects']} subjects"
    if first["n_seeds"] == 1:
        of_folds = (
            f"of the values of {folds} folds" if folds > 1 else "of folds, as there is only one"
        )
        yield f"Mean ± sample standard deviation {of_folds}."
        yield f"{drawn}, for the networks as trained."
    else:
        yield (
            f"Mean over {folds} folds and {first['n_seeds']} seeds ± sample standard deviation of "
            f"the folds' values; {SEEDS}: that of the seeds' values."
        )
        yield f"{drawn} and {first['n_seeds']} seeds."
    if (table["interval"] == EXACT).any():
        yield EXACT_WHERE_ALL_ARE_EQUAL
    yield counted_note(smallest_mm3)
    yield from EXPLAINED
    yield (
        f"{MADE_OF}: number of scans with a value, and number of their lesions (true ones; for "
        "LFPR, predicted ones). A scan without such a lesion enters no mean."
    )
    yield from _gaps(ours)
    if RATERS in set(table["kind"]):
        yield OF_THE_RATERS
    else:
        yield "No scan has masks of several raters, so their agreement is unknown."


def _gaps(ours: pd.DataFrame) -> Iterator[str]:
    """Yield notes on numbers to which some folds do not contribute."""
    nothing, some = ours["n_folds"] == 0, ours["n_undefined_folds"] > 0
    if nothing.any():
        yield f"{nothing.sum()} of {len(ours)} numbers are n/a: no scan has such a lesion."
    if (count := (some & ~nothing).sum()) > 0:
        yield f"{count} of {len(ours)} numbers lack one or more folds without such a scan."
