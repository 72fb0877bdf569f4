"""Robustness: DSC and class flips of perturbed held-out scans over severity, a column each."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msnmo.cohort.simulated import Simulated
from msnmo.core.errors import run_command
from msnmo.core.files import read_tsv
from msnmo.figures.style import GREY, SMALL, house_style, method_style, panel_grid, put_below
from msnmo.robustness.conditions import PERTURBATIONS, UNPERTURBED
from msnmo.settings.methods import get_method
from msnmo.tables.robustness import read_judged, severity_of
from msnmo.viewing.slices import save

COLUMNS = 4
HEIGHT = 1.35
"""Inches of a row of panels."""
ROOM, LEAST = 4.0, 20.0
"""Margin of an axis and its smallest range, in percentage points."""


def severities(rows: pd.DataFrame, perturbation: str) -> list[str]:
    """Return the severities of a panel, with that of unperturbed scans in its place."""
    found = list(dict.fromkeys(rows["severity"]))
    unchanged = PERTURBATIONS[perturbation].unchanged
    if unchanged == "as is":
        return [unchanged, *found]
    return sorted([*found, unchanged], key=float)


def draw(table: pd.DataFrame) -> Figure:
    """Draw, for each perturbation, DSC above and class flips below, a line a method.

    Parameters
    ----------
    table : DataFrame
        As `msnmo.tables.robustness.read_judged` returns. Conditions without any scan are left out.
    """
    made = table[(table["n_scans"] > 0) & (table["perturbation"] != UNPERTURBED)]
    as_is = table[table["perturbation"] == UNPERTURBED].set_index("method")
    # if a condition has fewer scans, add only the change in these scans
    made = made.assign(shown_dsc=made["method"].map(as_is["dsc"]) + made["difference"])
    limits = {
        "dsc": _limits(as_is["dsc"], made["shown_dsc"]),
        "flips": _limits(as_is["flips"], made["flips"]),
    }
    shown = [name for name in PERTURBATIONS if name in set(made["perturbation"])]
    methods = list(as_is.index)
    columns = min(COLUMNS, max(1, len(shown)))
    bands = max(1, -(-len(shown) // columns))
    with house_style():
        figure, panels = panel_grid(2 * bands * columns, columns, HEIGHT)
        for place, axes in enumerate(panels):
            band, column = divmod(place, columns)
            index = band // 2 * columns + column
            if index >= len(shown):
                axes.remove()
                continue
            of_dsc = band % 2 == 0
            name, column_drawn = shown[index], "dsc" if of_dsc else "flips"
            rows = made[made["perturbation"] == name]
            _draw_panel(axes, name, rows, as_is, column_drawn)
            axes.set_ylim(*limits[column_drawn])
            if of_dsc:
                axes.set_title(PERTURBATIONS[name].label)
            else:
                axes.set_xlabel(PERTURBATIONS[name].severity, fontsize=SMALL)
            if column == 0:
                axes.set_ylabel("DSC (%)" if of_dsc else "Class flips (%)", fontsize=SMALL)
        handles = [
            Line2D([], [], label=get_method(name).label, **method_style(name)) for name in methods
        ]
        handles.append(Line2D([], [], label="scans as they are", **_LEVEL))
        put_below(figure, _note(table), handles, columns=4)
    return figure


_LEVEL: dict[str, Any] = {"color": GREY, "linewidth": 0.7, "linestyle": (0, (1, 1.5))}


def _draw_panel(
    axes: Axes, perturbation: str, rows: pd.DataFrame, as_is: pd.DataFrame, column: str
) -> None:
    ticks = severities(rows, perturbation)
    unchanged = PERTURBATIONS[perturbation].unchanged
    for method, told in as_is.iterrows():
        own = rows[rows["method"] == method].set_index("severity")
        level = told[column]
        if pd.isna(level):
            continue
        axes.axhline(100 * level, **_LEVEL)
        changed = own["shown_dsc"] if column == "dsc" else own["flips"]
        values = [100 * (level if each == unchanged else changed[each]) for each in ticks]
        style = method_style(str(method))
        if perturbation == "engines":
            style["linestyle"] = "none"  # engines have no order
        axes.plot(range(len(ticks)), values, marker="o", markersize=2.2, linewidth=1.0, **style)
    labels = [each.replace("-", "−") if perturbation != "engines" else each for each in ticks]
    axes.set_xticks(range(len(ticks)), labels)
    axes.set_xlim(-0.4, len(ticks) - 0.6)


def _limits(*shares: pd.Series) -> tuple[float, float]:
    """Return the limits of an axis of percentages: all of them, some margin, at least 20."""
    values = 100 * pd.concat(shares).dropna()
    if values.empty:
        return 0.0, 100.0
    low, high = values.min() - ROOM, values.max() + ROOM
    short = max(0.0, LEAST - (high - low)) / 2
    return round(float(low - short), 2), round(float(high + short), 2)


def _note(table: pd.DataFrame) -> str:
    first = table.iloc[0]
    texts = [
        f"{first['n_scans']} held-out scans of {first['n_subjects']} subjects, networks of seed "
        f"{first['seed']}. Dotted: unperturbed scans. DSC: that of unperturbed scans, plus the "
        "change in the perturbed scans. Flips: another class than for the unperturbed scan. "
        "Intervals: Table S7."
    ]
    own = table[table["method"] == first["method"]]
    left = own[(own["n_left_out"] > 0) & (own["n_scans"] > 0)]
    if len(left):
        listed = ", ".join(
            f"{PERTURBATIONS[row.perturbation].label} {severity_of(row)} ({row.n_left_out})"
            for row in left.itertuples()
        )
        texts.append(f"Scans left out, as the perturbation was not possible: {listed}.")
    missing = own[own["n_scans"] == 0]
    if len(missing):
        listed = ", ".join(
            f"{PERTURBATIONS[row.perturbation].label} {severity_of(row)}"
            for row in missing.itertuples()
        )
        texts.append(f"Not run: {listed}.")
    return " ".join(texts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Draw the figure of perturbed scans."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.figures.robustness", description=__doc__)
    parser.add_argument(
        "--robustness",
        type=Path,
        nargs="+",
        required=True,
        help="tables of msnmo.robustness.statistics, one per method",
    )
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument("--out-png", type=Path, required=True, help="PNG")
    parser.add_argument("--out-svg", type=Path, required=True, help="SVG")
    given = parser.parse_args(arguments)
    figure = draw(read_judged(given.robustness))
    stamp = Simulated.among(read_tsv(given.cohort, {"scan": str})).note
    save(figure, given.out_png, stamp)
    save(figure, given.out_svg, stamp)


if __name__ == "__main__":
    run_command(main)
