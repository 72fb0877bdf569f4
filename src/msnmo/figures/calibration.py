"""Reliability curves: how often scans are classified right, by a method's confidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from statsmodels.stats.proportion import proportion_confint

from msnmo.core.diagnoses import positive, probabilities, score
from msnmo.core.numbers import fixed
from msnmo.evaluate.calibration import (
    BINS,
    NO_OTHER_FOLD,
    Fit,
    expected_calibration_error,
    fit_other_folds,
    reliability,
    scale,
    scale_folds,
)
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import (
    BLACK,
    GREY,
    SMALL,
    VERMILLION,
    count_scans,
    house_style,
    method_label,
    panel_grid,
    put_below,
)
from msnmo.settings.methods import get_method

COLUMNS = 4
PANEL_WIDTH = 1.35
HEIGHTS = (3, 1)
"""Heights of a curve and of the counts below it."""
LEAST_CONFIDENT = 0.5
"""The likelier of two classes has at least this probability."""
_GIVEN: dict[str, Any] = {"color": BLACK, "marker": "o", "linestyle": "-", "label": "as given"}
_SCALED: dict[str, Any] = {
    "color": VERMILLION,
    "marker": "s",
    "fillstyle": "none",
    "linestyle": "--",
    "label": "temperature scaled",
}
_POINTS: dict[str, Any] = {"markersize": 3.5, "markeredgewidth": 0.8, "linewidth": 1.0}


@dataclass(frozen=True)
class MethodCalibration:
    """The data drawn for one method.

    Parameters
    ----------
    scans : DataFrame
        The drawn scans: columns subject, diagnosis, fold, p_nmosd.
    fits : mapping of int to Fit
        The temperature of each fold, fitted on the others.
    given, scaled : (N,) ndarray of float, or None
        Probabilities of NMOSD of the scans; None if no temperature could be fitted.
    """

    scans: pd.DataFrame
    fits: Mapping[int, Fit]
    given: np.ndarray
    scaled: np.ndarray | None

    @property
    def is_nmosd(self) -> np.ndarray:
        """The (N,) bool diagnoses."""
        return (self.scans["diagnosis"] == positive()).to_numpy()

    def describe(self) -> str:
        """Return the calibration errors, as a panel's title gives them."""
        return f"ECE {self._error(self.given)}, scaled {self._error(self.scaled)}"

    def _error(self, p_nmosd: np.ndarray | None) -> str:
        if p_nmosd is None or not len(p_nmosd):
            return "n/a"
        return f"{fixed(100 * expected_calibration_error(p_nmosd, self.is_nmosd), 1)}\u00a0%"


def method_calibration(scans: pd.DataFrame) -> MethodCalibration:
    """Return the data drawn for one method.

    Parameters
    ----------
    scans : DataFrame
        Columns subject, diagnosis, fold and P_NMOSD, all defined.
    """
    _, column = probabilities()
    scans = scans.rename(columns={score(): column})
    fits, given = fit_other_folds(scans), scans[column].to_numpy()
    temperatures = scale_folds(scans, fits)
    scaled = None if temperatures is None else scale(given, temperatures)
    return MethodCalibration(scans, fits, given, scaled)


def draw(inputs: Inputs) -> Figure:
    """Draw the reliability curve of those of `inputs.methods` that classify, all folds pooled.

    Each is drawn unscaled and scaled by the temperatures of `fit_other_folds`, with Wilson's 95 %
    interval per bin, above the number of scans in each bin.

    Raises
    ------
    InputError
        If no method classifies, or there are no metrics.
    """
    methods = inputs.methods_of("classification")
    drawn = {name: method_calibration(inputs.by_scan(name, [score()])) for name in methods}
    columns = min(len(drawn), COLUMNS)
    with house_style():
        figure, pairs = _paired_panels(len(drawn), columns)
        shown = [each.given for each in drawn.values()]
        shown += [each.scaled for each in drawn.values() if each.scaled is not None]
        most = max(_counts(p_nmosd).max() for p_nmosd in shown)
        for place, ((curve, counts), (name, method)) in enumerate(
            zip(pairs, drawn.items(), strict=True)
        ):
            _draw_curve(curve, f"{method_label(name, PANEL_WIDTH)}\n{method.describe()}", method)
            _draw_counts(counts, method, most)
            if place % columns == 0:
                curve.set_ylabel("Share classified right")
                counts.set_ylabel("Scans")
        put_below(figure, _note(drawn), _handles(_any_scaled(drawn)), columns=3)
    return figure


def _paired_panels(count: int, columns: int) -> tuple[Figure, list[tuple[Axes, Axes]]]:
    """Return a figure of `count` pairs of panels, one above the other, row by row."""
    rows = -(-count // columns)
    ratios = {"height_ratios": HEIGHTS * rows}
    figure, panels = panel_grid(2 * rows * columns, columns, 1.35, gridspec_kw=ratios)
    lines = [panels[start : start + columns] for start in range(0, len(panels), columns)]
    pairs = [
        pair
        for upper, lower in zip(lines[::2], lines[1::2], strict=True)
        for pair in zip(upper, lower, strict=True)
    ]
    for spare in (axes for pair in pairs[count:] for axes in pair):
        spare.remove()
    return figure, pairs[:count]


def _draw_curve(axes: Axes, title: str, method: MethodCalibration) -> None:
    axes.plot([LEAST_CONFIDENT, 1], [LEAST_CONFIDENT, 1], color=GREY, linewidth=0.6)
    for p_nmosd, style in ((method.scaled, _SCALED), (method.given, _GIVEN)):
        if p_nmosd is None or not len(p_nmosd):
            continue
        bins = reliability(p_nmosd, method.is_nmosd).query("scans > 0")
        share = bins["right"] / bins["scans"]
        low, high = proportion_confint(bins["right"], bins["scans"], alpha=0.05, method="wilson")
        # at a share of 0 or 1, the interval may miss it by a float's last digit
        reach = np.maximum([share - low, high - share], 0)
        axes.errorbar(bins["confidence"], share, reach, **style, **_POINTS, elinewidth=0.6)
    axes.set_title(title, fontsize=SMALL)
    axes.set(ylim=(-0.03, 1.03))
    axes.tick_params(labelbottom=False)
    axes.set_box_aspect(1)
    _set_across(axes)


def _counts(p_nmosd: np.ndarray) -> np.ndarray:
    """Return the number of scans in each bin, also without any scans."""
    if not len(p_nmosd):
        return np.zeros(BINS, dtype=int)
    return reliability(p_nmosd, np.zeros(len(p_nmosd), dtype=bool))["scans"].to_numpy()


def _draw_counts(axes: Axes, method: MethodCalibration, most: int) -> None:
    given, edges = _counts(method.given), np.arange(BINS + 1) / BINS
    scaled = given if method.scaled is None else _counts(method.scaled)
    axes.stairs(given, edges, fill=True, color="#CCCCCC")
    if method.scaled is not None:
        axes.stairs(scaled, edges, color=VERMILLION, linewidth=0.8)
    for low, count, other in zip(edges[:-1], given, scaled, strict=True):
        if count:
            # the bin that ends at 0.5 holds what is undecided
            across = max(low + 0.5 / BINS, LEAST_CONFIDENT)
            top = max(count, other)
            axes.text(across, top, str(count), ha="center", va="bottom", fontsize=SMALL)
    axes.set(ylim=(0, 1.6 * max(most, 1)), xlabel="Confidence")
    axes.set_box_aspect(HEIGHTS[1] / HEIGHTS[0])
    _set_across(axes)


def _set_across(axes: Axes) -> None:
    axes.set_xlim(LEAST_CONFIDENT - 0.03, 1.03)
    axes.set_xticks([0.5, 0.6, 0.7, 0.8, 0.9, 1.0])


def _handles(scaled: bool) -> list[Line2D]:
    styles = [_GIVEN, _SCALED] if scaled else [_GIVEN]
    return [
        *(Line2D([], [], **style, **_POINTS) for style in styles),
        Line2D([], [], color=GREY, linewidth=0.6, label="calibrated"),
    ]


def _note(drawn: Mapping[str, MethodCalibration]) -> str:
    tables = [method.scans for method in drawn.values()]
    folds = len({fold for table in tables for fold in table["fold"]})
    texts = [
        f"{count_scans(tables)}, {f'{folds} folds together' if folds > 1 else '1 fold'}.",
        "Confidence is the probability of the predicted class, in bins 0.1 wide. Numbers are the"
        " unscaled scans of a bin, bars Wilson's 95\u00a0% interval. ECE is the expected"
        " calibration error. It is above 0 by chance alone, more so with fewer scans.",
        _how_scaled(drawn),
    ]
    if any(table["subject"].duplicated().any() for table in tables):
        texts.append("Scans of one subject are treated as independent.")
    return " ".join(texts)


def _how_scaled(drawn: Mapping[str, MethodCalibration]) -> str:
    if not _any_scaled(drawn):
        return f"Not scaled: {NO_OTHER_FOLD}."
    texts = [
        "Each fold is scaled by the temperature fitted on the held-out scans of the other folds."
    ]
    notes: dict[str, list[str]] = {}
    for name, method in drawn.items():
        for fold, each in method.fits.items():
            if each.note:
                notes.setdefault(each.note, []).append(f"{get_method(name).label} fold {fold}")
    texts += [f"Temperature {note} ({', '.join(places)})." for note, places in notes.items()]
    return " ".join(texts)


def _any_scaled(drawn: Mapping[str, MethodCalibration]) -> bool:
    return any(method.scaled is not None for method in drawn.values())
