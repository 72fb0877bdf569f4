"""The common style of figures: fonts, colours, and the legend and note under the panels."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine

from msnmo.core.diagnoses import NO_DIAGNOSIS, diagnoses
from msnmo.settings.methods import METHODS, get_method

WIDTH = 7.2
"""Inches: the text width of an A4 page."""
SMALL, NORMAL = 7.0, 8.0
"""Points."""

# Okabe and Ito's colours, which colour-blind readers tell apart; grey instead of their yellow,
# which is hard to see on white
ORANGE, SKY, GREEN, BLUE = "#E69F00", "#56B4E9", "#009E73", "#0072B2"
VERMILLION, PURPLE, GREY, BLACK = "#D55E00", "#CC79A7", "#777777", "#000000"
_COLOURS = (BLUE, ORANGE, GREEN, VERMILLION, PURPLE, SKY, GREY)
_DASHES = (
    (0, (6, 1.5)),
    (0, (1.2, 1.2)),
    (0, (5, 1.2, 1.2, 1.2)),
    (0, (2.8, 1.2)),
    (0, (4, 1.2, 1.2, 1.2, 1.2, 1.2)),
)
_CLASS_STYLES: tuple[dict[str, Any], ...] = (
    {"color": BLUE, "marker": "o"},
    {"color": VERMILLION, "marker": "^"},
    {"color": GREY, "marker": "o"},
)

_POINTS_PER_INCH = 72
# a character's width and a line's height, in font sizes, of the font used; both on the safe side
_CHARACTER, _LINE = 0.56, 1.25
_GAP = 0.06  # inches
_LEGEND = {"frameon": False, "handlelength": 3.2, "columnspacing": 2.0, "borderaxespad": 0.0}


@contextmanager
def house_style() -> Iterator[None]:
    """Draw with matplotlib's defaults and this project's fonts, without the user's settings."""
    sizes: dict[Any, Any] = {
        "font.size": NORMAL,
        "axes.titlesize": NORMAL,
        "axes.labelsize": NORMAL,
        "xtick.labelsize": SMALL,
        "ytick.labelsize": SMALL,
        "legend.fontsize": SMALL,
    }
    thin: dict[Any, Any] = {
        "axes.linewidth": 0.6,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
    }
    with mpl.rc_context({**mpl.rcParamsDefault, **sizes, **thin}):
        yield


def diagnosis_style(*there: pd.Series) -> dict[str, dict[str, Any]]:
    """Return colour and marker of each class present. Scans without a class come last.

    Parameters
    ----------
    *there : Series of str
        Diagnoses of scans.
    """
    names = {name for each in there for name in each}
    styles = zip((*diagnoses(), NO_DIAGNOSIS), _CLASS_STYLES, strict=True)
    return {name: style for name, style in styles if name in names}


def method_style(name: str) -> dict[str, Any]:
    """Return a method's colour and line style, the same in every figure.

    The joint model is solid black. No two of the first 36 methods share both. Those of one table
    share no colour, and no line style as long as there are enough, so that they can also be
    distinguished in grey.

    Raises
    ------
    InputError
        If there is no such method.
    """
    get_method(name)
    place = list(METHODS).index(name)
    if place == 0:
        return {"color": BLACK, "linestyle": "-"}
    dashes = _DASHES[(place - 1) % len(_DASHES)]
    return {"color": _COLOURS[(place - 1) % len(_COLOURS)], "linestyle": dashes}


def method_label(name: str, width: float) -> str:
    """Return a method's label, broken into lines that are at most `width` inches wide."""
    return wrapped(get_method(name).label, width, NORMAL)


def wrapped(text: str, width: float, size: float = SMALL) -> str:
    """Return the text in lines that are at most `width` inches wide at a font size in points."""
    characters = max(1, int(width * _POINTS_PER_INCH / (size * _CHARACTER)))
    return textwrap.fill(text, characters)


def panel_grid(
    count: int, most_columns: int, height: float, **options: Any
) -> tuple[Figure, list[Axes]]:
    """Return a figure of `count` panels, row by row.

    Parameters
    ----------
    count : int
        At least 1.
    most_columns : int
        The panels of a row if there are enough.
    height : float
        Inches of a row.
    **options
        Of `Figure.subplots`.
    """
    columns = min(count, most_columns)
    rows = -(-count // columns)
    figure = Figure((WIDTH, rows * height), dpi=150, layout="compressed")
    panels = list(figure.subplots(rows, columns, squeeze=False, **options).flat)
    for spare in panels[count:]:
        spare.remove()
    for above in panels[max(0, count - columns) : count]:
        above.xaxis.set_tick_params(labelbottom=True)
    return figure, panels[:count]


def put_below(
    figure: Figure,
    note: str,
    handles: Sequence[Artist] = (),
    columns: int = 1,
    labels: tuple[str, str] | None = None,
) -> None:
    """Put a legend and a note under the panels. The figure grows by the space they need.

    Parameters
    ----------
    figure : Figure
        As `panel_grid` makes it, complete but for this; its panels keep their size.
    note : str
        The number of drawn scans, and the rule.
    handles : sequence of Artist
        The entries of the legend. Without them there is no legend.
    columns : int
        Columns of the legend.
    labels : tuple of str, optional
        The labels of all panels' x and y axes.
    """
    # a picture may be copied without its page, so the note is also kept in the file
    figure.set_label(_plain(note))
    width, height = figure.get_size_inches()
    note = wrapped(note, width - 2 * _GAP)
    line = _LINE * NORMAL / _POINTS_PER_INCH
    label_height = line + _GAP if labels else 0.0
    # matplotlib would put a common label at the figure's edge, where the note is
    left = label_height
    note_height = (note.count("\n") + 1) * _LINE * SMALL / _POINTS_PER_INCH + 2 * _GAP
    legend_height = 0.0
    if handles:
        legend = figure.legend(handles=handles, ncols=columns, loc="upper center", **_LEGEND)
        # at another resolution letters get other heights
        legend_height = 1.08 * legend.get_window_extent().height / figure.dpi + _GAP
    total = height + note_height + legend_height + label_height
    if handles:
        # without the transform it would move when a line is added below the figure
        anchor = (0.5, (note_height + legend_height) / total)
        legend.set_bbox_to_anchor(anchor, transform=figure.transFigure)
    figure.set_size_inches(width, total)
    rect = (left / width, 1 - height / total, 1 - left / width, height / total)
    constrain(figure, rect=rect)
    figure.text(_GAP / width, _GAP / total, note, fontsize=SMALL, va="bottom", ha="left")
    if labels:
        across, upwards = labels
        over_legend = (note_height + legend_height + _GAP) / total
        middle = 1 - height / total / 2
        figure.text(0.5, over_legend, across, fontsize=NORMAL, va="bottom", ha="center")
        figure.text(
            _GAP / width, middle, upwards, fontsize=NORMAL, va="center", ha="left", rotation=90
        )
    _freeze(figure)


def _plain(text: str) -> str:
    """Return a text without the marks of formulas: V1 for $V_1$."""
    return re.sub(r"\$(.*?)\$", lambda formula: formula[1].replace("_", ""), text)


def constrain(figure: Figure, **settings: Any) -> None:
    """Set options of a figure's constrained layout: pads, spaces or its rectangle."""
    engine = figure.get_layout_engine()
    if not isinstance(engine, ConstrainedLayoutEngine):
        raise TypeError("the figure was made without layout='constrained'")
    engine.set(**settings)


def _freeze(figure: Figure) -> None:
    """Lay the panels out now, once for every format.

    The solver's last digits vary from run to run, and would change names in an SVG.
    """
    figure.draw_without_rendering()
    figure.set_layout_engine("none")
    for axes in figure.axes:
        bounds = axes.get_position(original=True).bounds
        left, bottom, width, height = (round(side, 5) for side in bounds)
        axes.set_position((left, bottom, width, height))


def count_scans(tables: Sequence[pd.DataFrame]) -> str:
    """Return the number of scans, subjects and diagnoses in the methods' tables.

    If some methods have values for fewer scans than others, the range is given.
    """
    scans = _span([len(table) for table in tables])
    subjects = _span([table["subject"].nunique() for table in tables])
    diagnoses = [
        f"{_span([int((table['diagnosis'] == name).sum()) for table in tables])} {name}"
        for name in diagnosis_style(*(table["diagnosis"] for table in tables))
    ]
    return f"n = {scans} scans ({', '.join(diagnoses)}) of {subjects} subjects"


def _span(counts: Sequence[int]) -> str:
    low, high = int(np.min(counts)), int(np.max(counts))
    return str(low) if low == high else f"{low} to {high}"
