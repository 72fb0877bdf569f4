"""Each method's value of each scan as a point that leads to the scan's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from msnmo.figures.style import diagnosis_style
from msnmo.settings.methods import get_method

WIDTH, LEFT, RIGHT, TOP, BOTTOM, ROW = 760, 120, 20, 12, 44, 46
STAGGER = (0, -9, 9, -4, 5, -13, 13)
"""Pixels that scans lie above or below their method's line, in turn: equal values stay apart."""


@dataclass(frozen=True)
class Point:
    """One scan of a strip: where it is drawn, what it is, where it leads."""

    x: float
    y: float
    marker: str
    colour: str
    told: str
    href: str


@dataclass(frozen=True)
class Strips:
    """A strip for each method, as the page's template draws it.

    Parameters
    ----------
    title, axis : str
        Of the whole, and of the values.
    height : float
        Of the picture; its width is `WIDTH`.
    ticks : tuple of (x, text)
    labels : tuple of (y, text)
        One per method.
    medians : tuple of (x, y)
    points : tuple of Point
    line : float, optional
        Where a line is drawn across all strips.
    note : str
    """

    title: str
    axis: str
    height: float
    ticks: tuple[tuple[float, str], ...]
    labels: tuple[tuple[float, str], ...]
    medians: tuple[tuple[float, float], ...]
    points: tuple[Point, ...]
    line: float | None
    note: str

    @property
    def foot(self) -> float:
        """Where the axis lies."""
        return self.height - BOTTOM


def draw_strips(
    values: pd.DataFrame,
    diagnoses: pd.Series,
    title: str,
    axis: str,
    *,
    top: float,
    threshold: float | None = None,
) -> Strips | None:
    """Return the strips of a metric, or None where no scan has a value.

    Parameters
    ----------
    values : DataFrame
        A row per scan, a column per method.
    diagnoses : Series of str
        By scan.
    title, axis : str
    top : float
        The axis runs from 0 to this.
    threshold : float, optional
        Marked by a line; the medians of what lies on its two sides would say nothing.
    """
    values = values.dropna(axis="columns", how="all")
    if values.empty or not len(values.columns):
        return None
    points: list[Point] = []
    medians, labels = [], []
    for row, method in enumerate(values.columns):
        y = TOP + (row + 0.5) * ROW
        label = get_method(method).label
        labels.append((y, label))
        known = values[method].dropna()
        if threshold is None:
            medians.append((_x(float(known.median()), top), y))
        points += _points(known, diagnoses, label, y, top)
    steps = [top * step / 5 for step in range(6)]
    missing = int(values.isna().to_numpy().sum())
    note = f"{len(values)} scans" + ("; the upright stroke is the median." if medians else ".")
    if missing:
        note += (
            f" {missing} points are missing where a value is undefined or no fold tested a scan."
        )
    return Strips(
        title,
        axis,
        TOP + BOTTOM + ROW * len(labels),
        tuple((_x(step, top), f"{step:g}") for step in steps),
        tuple(labels),
        tuple(medians),
        tuple(points),
        None if threshold is None else _x(threshold, top),
        note,
    )


def _x(value: float, top: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * min(max(value / top, 0.0), 1.0), 1)


def _points(
    known: pd.Series, diagnoses: pd.Series, label: str, y: float, top: float
) -> Sequence[Point]:
    styles = diagnosis_style(diagnoses)
    return [
        Point(
            _x(float(value), top),
            y + STAGGER[place % len(STAGGER)],
            styles[diagnoses[scan]]["marker"],
            styles[diagnoses[scan]]["color"],
            f"{scan} ({diagnoses[scan]}), {label}: {value:.3g}",
            f"scans/{scan}.html",
        )
        for place, (scan, value) in enumerate(known.items())
    ]
