"""ROC curves of methods: all folds pooled, and the mean of the folds (Figures 9 and 11)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from sklearn.metrics import auc, roc_curve

from msnmo.core.diagnoses import positive, score
from msnmo.core.numbers import fixed
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import (
    GREY,
    WIDTH,
    count_scans,
    house_style,
    method_style,
    panel_grid,
    put_below,
    wrapped,
)
from msnmo.settings.methods import get_method

GRID = np.linspace(0, 1, 1001)
"""False positive rates at which the curves of folds are averaged."""
PANEL_HEIGHT = 3.7
MOST_BANDS = 8
"""With more methods than this, bands would hide each other and the curves."""


@dataclass(frozen=True)
class Roc:
    """A ROC curve.

    Parameters
    ----------
    fpr, tpr : (N,) ndarray
        False and true positive rates, in [0, 1], both rising from 0 to 1.
    """

    fpr: np.ndarray
    tpr: np.ndarray

    @property
    def auc(self) -> float:
        """The area under the curve, in [0, 1]."""
        return float(auc(self.fpr, self.tpr))

    def on_grid(self) -> np.ndarray:
        """Return the (1 + len(GRID),) true positive rates at 0 and then at each of `GRID`.

        The first is 0, where the curve starts. The second is the highest at a rate of 0.
        """
        return np.concatenate([[0.0], np.interp(GRID, self.fpr, self.tpr)])


@dataclass(frozen=True)
class MethodRoc:
    """The curves of one method.

    Parameters
    ----------
    scans : DataFrame
        The scans that were drawn: columns subject, diagnosis, fold, P_NMOSD.
    pooled : Roc or None
        Of the scans of all folds together; None where they have one class.
    folds : mapping of int to Roc
        Of each fold that has both classes.
    """

    scans: pd.DataFrame
    pooled: Roc | None
    folds: Mapping[int, Roc]

    @property
    def one_class(self) -> frozenset[int]:
        """The folds that have no curve."""
        return frozenset(self.scans["fold"]) - frozenset(self.folds)

    def describe(self) -> str:
        """Return the areas under the curves, as the legend gives them."""
        pooled = "n/a" if self.pooled is None else f"{fixed(100 * self.pooled.auc, 1)} %"
        areas = np.array([100 * roc.auc for roc in self.folds.values()])
        if len(areas) == 0:
            folds = "n/a"
        else:
            spread = f" ± {fixed(areas.std(ddof=1), 1)}" if len(areas) > 1 else ""
            folds = f"{fixed(areas.mean(), 1)}{spread} %"
        return f"AUC pooled {pooled}, folds {folds}"


def roc(scans: pd.DataFrame) -> Roc | None:
    """Return the ROC curve of scans, with NMOSD positive; None if they have only one class.

    Parameters
    ----------
    scans : DataFrame
        Columns diagnosis and P_NMOSD.
    """
    nmosd = (scans["diagnosis"] == positive()).to_numpy()
    if nmosd.all() or not nmosd.any():
        return None
    fpr, tpr, _ = roc_curve(nmosd, scans[score()].to_numpy())
    return Roc(fpr, tpr)


def method_roc(scans: pd.DataFrame) -> MethodRoc:
    """Return the curves of one method.

    Parameters
    ----------
    scans : DataFrame
        Columns diagnosis, fold and P_NMOSD, all defined.
    """
    curves = {int(fold): roc(rows) for fold, rows in scans.groupby("fold")}
    kept = {fold: curve for fold, curve in curves.items() if curve is not None}
    return MethodRoc(scans, roc(scans), kept)


def draw(inputs: Inputs) -> Figure:
    """Draw the ROC curves of those of `inputs.methods` that classify.

    Left all scans together, right the mean of the folds' curves at equal false positive rates
    (vertical averaging) within one sample standard deviation.

    Raises
    ------
    InputError
        If no method classifies, or there are no metrics.
    """
    methods = inputs.methods_of("classification")
    curves = {name: method_roc(inputs.by_scan(name, [score()])) for name in methods}
    with house_style():
        figure, (left, right) = panel_grid(2, 2, PANEL_HEIGHT)
        _prepare(left, "All folds pooled")
        bands = len(curves) <= MOST_BANDS
        _prepare(right, "Mean of the folds" + bands * " ± 1 sd")
        for name, method in curves.items():
            style = {**method_style(name), "linewidth": 1.3}
            if method.pooled is not None:
                left.plot(method.pooled.fpr, method.pooled.tpr, label=name, **style)
            if method.folds:
                _draw_mean(right, name, method, style, bands)
        columns = 1 if len(curves) <= MOST_BANDS else 2
        handles = [
            Line2D([], [], **method_style(name), linewidth=1.3, label=_entry(name, method, columns))
            for name, method in curves.items()
        ]
        put_below(figure, _note(curves), handles, columns)
    return figure


def _prepare(axes: Axes, title: str) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, label="chance")
    axes.set(
        title=title,
        xlabel="False positive rate (1 − specificity)",
        ylabel="True positive rate (sensitivity)",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )


def _draw_mean(axes: Axes, name: str, method: MethodRoc, style: dict[str, Any], band: bool) -> None:
    rates = np.stack([curve.on_grid() for curve in method.folds.values()])
    mean, fpr = rates.mean(axis=0), np.concatenate([[0.0], GRID])
    axes.plot(fpr, mean, label=name, **style)
    if band and len(rates) > 1:
        sd = rates.std(axis=0, ddof=1)
        low, high = np.clip(mean - sd, 0, 1), np.clip(mean + sd, 0, 1)
        axes.fill_between(fpr, low, high, color=style["color"], alpha=0.1, linewidth=0)
        for edge in (low, high):
            axes.plot(fpr, edge, **{**style, "linewidth": 0.4, "alpha": 0.5})


def _entry(name: str, method: MethodRoc, columns: int) -> str:
    label, areas = f"{get_method(name).label}:", method.describe()
    width = WIDTH / columns - 0.6  # the space beside the line and the gap
    whole = f"{label} {areas}"
    fits = wrapped(whole, width) == whole
    return whole if fits else f"{wrapped(label, width)}\n{areas}"


def _note(curves: Mapping[str, MethodRoc]) -> str:
    tables = [method.scans for method in curves.values()]
    folds = {fold for table in tables for fold in table["fold"]}
    texts = [
        f"{count_scans(tables)}, {len(folds)} fold{'s' * (len(folds) != 1)}.",
        f"{positive()} is positive. Area under the curve: for all scans together; mean ± sample "
        "standard deviation of the folds' areas. Right: curves averaged at equal false positive "
        "rates.",
    ]
    for fold in sorted(folds):
        without = [name for name, method in curves.items() if fold in method.one_class]
        if without:
            whose = "" if len(without) == len(curves) else f" of {_labels(without)}"
            texts.append(
                f"Fold {fold}{whose} has scans of only one diagnosis, so no curve:"
                " left out on the right."
            )
    if without := [name for name, method in curves.items() if method.pooled is None]:
        texts.append(f"No curve at all, as one diagnosis is missing: {_labels(without)}.")
    if any(len(method.folds) == 1 for method in curves.values()):
        texts.append("One curve has no standard deviation.")
    elif len(curves) > MOST_BANDS:
        texts.append("With this many methods, bands of the standard deviation are left out.")
    return " ".join(texts)


def _labels(names: list[str]) -> str:
    return ", ".join(get_method(name).label for name in names)
