"""Agreement of predicted and annotated lesion volumes, after Bland and Altman (Lancet 1986)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msnmo.core.numbers import fixed
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import (
    BLACK,
    GREY,
    SMALL,
    WIDTH,
    count_scans,
    diagnosis_style,
    house_style,
    panel_grid,
    put_below,
    wrapped,
)
from msnmo.settings.methods import get_method

LIMIT = 1.96
"""Standard deviations from the bias to either limit of agreement."""


@dataclass(frozen=True)
class Agreement:
    """Bias and limits of agreement, in ml.

    Parameters
    ----------
    bias : float
        Mean difference; NaN without a scan.
    low, high : float
        Bias -+ 1.96 sample standard deviations; NaN with fewer than two scans.
    """

    bias: float
    low: float
    high: float

    def describe(self) -> str:
        """Return the numbers, as a panel's title gives them."""
        if math.isnan(self.bias):
            return "no scans"
        if math.isnan(self.low):
            return f"bias {fixed(self.bias, 2)} ml; no limits"
        low, high = fixed(self.low, 2), fixed(self.high, 2)
        return f"bias {fixed(self.bias, 2)}, limits {low} to {high} ml"


def agreement(differences: np.ndarray) -> Agreement:
    """Return bias and limits of agreement of (N,) differences in ml, none of them NaN."""
    if len(differences) == 0:
        return Agreement(math.nan, math.nan, math.nan)
    bias = float(np.mean(differences))
    if len(differences) == 1:
        return Agreement(bias, math.nan, math.nan)
    reach = LIMIT * float(np.std(differences, ddof=1))
    return Agreement(bias, bias - reach, bias + reach)


def draw(inputs: Inputs) -> Figure:
    """Draw a panel per method of `inputs.methods` that segments, all with the same axes.

    Raises
    ------
    InputError
        If no method segments, or there are no metrics.
    """
    methods = inputs.methods_of("segmentation")
    tables = {name: inputs.by_scan(name, ["V_TRUE", "V_PRED"]) for name in methods}
    columns = 3
    height = 2.5 if len(methods) <= 9 else 1.85 if len(methods) <= 15 else 1.6
    with house_style():
        figure, panels = panel_grid(len(methods), columns, height, sharex=True, sharey=True)
        for axes, (name, table) in zip(panels, tables.items(), strict=True):
            label = f"{get_method(name).label}, n = {len(table)}"
            _draw_method(axes, wrapped(label, 0.8 * WIDTH / columns), table)
        labels = (
            "Mean of predicted and annotated volume (ml)",
            "Predicted − annotated volume (ml)",
        )
        put_below(figure, _note(tables), _handles(tables), columns=4, labels=labels)
    return figure


def _draw_method(axes: Axes, head: str, table: pd.DataFrame) -> None:
    difference = table["V_PRED"] - table["V_TRUE"]
    mean = (table["V_PRED"] + table["V_TRUE"]) / 2
    found = agreement(difference.to_numpy())
    axes.set_title(f"{head}\n{found.describe()}", fontsize=SMALL)
    axes.axhline(0, color=GREY, linewidth=0.5, label="no difference")
    for name, style in diagnosis_style(table["diagnosis"]).items():
        rows = table["diagnosis"] == name
        axes.plot(mean[rows], difference[rows], label=name, **_POINTS, **style)
    if not math.isnan(found.bias):
        axes.axhline(found.bias, label="bias", **_BIAS)
    for limit in (found.low, found.high):
        if not math.isnan(limit):
            axes.axhline(limit, label="limit", **_LIMITS)


_POINTS: dict[str, Any] = {
    "linestyle": "none",
    "markersize": 3.5,
    "markeredgewidth": 0.7,
    "fillstyle": "none",
}
_BIAS: dict[str, Any] = {"color": BLACK, "linewidth": 1.0}
_LIMITS: dict[str, Any] = {"color": BLACK, "linewidth": 0.9, "linestyle": "--"}


def _handles(tables: Mapping[str, pd.DataFrame]) -> list[Line2D]:
    styles = diagnosis_style(*(table["diagnosis"] for table in tables.values()))
    handles = [Line2D([], [], label=name, **_POINTS, **style) for name, style in styles.items()]
    handles.append(Line2D([], [], label="bias (mean difference)", **_BIAS))
    handles.append(Line2D([], [], label=f"limits, bias ± {LIMIT} sd", **_LIMITS))
    return handles


def _note(tables: Mapping[str, pd.DataFrame]) -> str:
    texts = [
        f"{count_scans(list(tables.values()))}; scans without an annotated mask are left out.",
        "Volumes in native space; sample standard deviation.",
    ]
    if any(table["subject"].duplicated().any() for table in tables.values()):
        texts.append("Scans of one subject are treated as independent.")
    return " ".join(texts)
