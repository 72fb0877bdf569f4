"""Training curves: each method's losses against epochs, folds and their mean."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import LogLocator, MaxNLocator, NullFormatter, StrMethodFormatter

from msnmo.core.errors import Finding, InputError
from msnmo.core.files import read_tsv
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import (
    BLACK,
    GREEN,
    ORANGE,
    SKY,
    VERMILLION,
    WIDTH,
    house_style,
    method_label,
    panel_grid,
    put_below,
)

LOSSES: dict[str, dict[str, Any]] = {
    "segmentation": {"color": VERMILLION, "linestyle": "--"},
    "classification": {"color": SKY, "linestyle": "-."},
    "cross": {"color": GREEN, "linestyle": ":"},
}
HISTORY_COLUMNS = {"epoch": int, "total": float, **dict.fromkeys(LOSSES, float), "lr": float}
LOWEST = 1e-4
"""Smaller losses are below the axis, otherwise a vanished loss would compress all others."""


def read_histories(inputs: Inputs) -> dict[str, dict[int, pd.DataFrame]]:
    """Return the tables of losses of every method and fold.

    Returns
    -------
    dict of str to dict of int to DataFrame
        By method and fold: columns epoch (from 1), total, segmentation, classification, cross (NaN
        where a method has no such loss), lr (of the epoch).

    Raises
    ------
    InputError
        With every table that cannot be used.
    """
    tables: dict[str, dict[int, pd.DataFrame]] = {}
    findings: list[Finding] = []
    folds = sorted({int(fold) for fold in inputs.folds["fold"]})
    for method in inputs.methods:
        tables[method] = {}
        for fold in folds:
            path = inputs.history.format(method=method, fold=fold)
            try:
                tables[method][fold] = read_tsv(path, HISTORY_COLUMNS)
            except InputError as error:
                findings += error.findings
    if findings:
        raise InputError(findings)
    return tables


def mean_of_folds(folds: Iterable[pd.DataFrame], loss: str) -> pd.Series:
    """Return the mean of a loss over the folds that have it, by epoch; empty if none has."""
    return pd.concat(list(folds)).groupby("epoch")[loss].mean().dropna()


def rate_cuts(history: pd.DataFrame) -> np.ndarray:
    """Return the (N,) int epochs that are the first with a lower learning rate."""
    lower = history["lr"].diff() < 0
    return history.loc[lower, "epoch"].to_numpy()


def draw(inputs: Inputs) -> Figure:
    """Draw a panel per method of `inputs.methods`, all with the same axes.

    Raises
    ------
    InputError
        With every table of losses that cannot be used.
    """
    histories = read_histories(inputs)
    columns = 3 if len(histories) <= 9 else 4
    height = 2.0 if len(histories) <= 9 else 1.5
    with house_style():
        figure, panels = panel_grid(len(histories), columns, height, sharex=True, sharey=True)
        for axes, (method, folds) in zip(panels, histories.items(), strict=True):
            axes.set_title(method_label(method, 0.8 * WIDTH / columns))
            _draw_method(axes, folds)
        _scale(panels[0])
        labels = ("Epoch", "Training loss")
        put_below(figure, _note(histories), _handles(histories), columns=3, labels=labels)
    return figure


def _draw_method(axes: Axes, folds: Mapping[int, pd.DataFrame]) -> None:
    # a line of one epoch is invisible
    dot: dict[str, Any] = {"marker": "." if max(map(len, folds.values())) == 1 else ""}
    for fold, history in folds.items():
        line: dict[str, Any] = {"color": BLACK, "alpha": 0.35, "linewidth": 0.5}
        axes.plot(history["epoch"], history["total"], label=f"total, fold {fold}", **line, **dot)
    for loss, style in LOSSES.items():
        mean = mean_of_folds(folds.values(), loss)
        if not mean.empty:
            axes.plot(mean.index, mean, label=loss, linewidth=1.1, **style, **dot)
    mean = mean_of_folds(folds.values(), "total")
    axes.plot(mean.index, mean, label="total", color=BLACK, linewidth=1.6, **dot)
    cuts = np.unique(np.concatenate([rate_cuts(history) for history in folds.values()]))
    if len(cuts):  # an empty line has no extent, which breaks the layout
        foot = axes.get_xaxis_transform()
        axes.plot(cuts, np.zeros(len(cuts)), label="rate cut", transform=foot, **_CUT)


_CUT: dict[str, Any] = {
    "color": ORANGE,
    "marker": "^",
    "markersize": 4,
    "linestyle": "none",
    "zorder": 3,
    "clip_on": False,
}


def _scale(axes: Axes) -> None:
    axes.set_yscale("log")
    bottom, top = axes.get_ylim()
    bottom = max(bottom, min(LOWEST, top / 10))
    axes.set_ylim(bottom=bottom)
    # powers of ten alone might give one tick or none; written out, as exponents are tiny
    steps = (1.0,) if top / bottom > 50 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(subs=steps))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
    axes.yaxis.set_minor_formatter(NullFormatter())
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True, min_n_ticks=1))


def _handles(histories: Mapping[str, Mapping[int, pd.DataFrame]]) -> list[Line2D]:
    every = [history for folds in histories.values() for history in folds.values()]
    handles = [
        Line2D([], [], color=BLACK, linewidth=1.6, label="total, mean of folds"),
        Line2D([], [], color=BLACK, linewidth=0.5, alpha=0.35, label="total, each fold"),
    ]
    handles += [
        Line2D([], [], linewidth=1.1, label=f"{loss}, mean of folds", **style)
        for loss, style in LOSSES.items()
        if any(history[loss].notna().any() for history in every)
    ]
    if any(len(rate_cuts(history)) for history in every):
        handles.append(Line2D([], [], label="learning rate cut in a fold", **_CUT))
    return handles


def _note(histories: Mapping[str, Mapping[int, pd.DataFrame]]) -> str:
    every = [history for folds in histories.values() for history in folds.values()]
    folds = len(next(iter(histories.values())))
    epochs = sorted({len(history) for history in every})
    ran = str(epochs[0]) if len(epochs) == 1 else f"{epochs[0]} to {epochs[-1]}"
    texts = [
        f"{len(histories)} method{'s' * (len(histories) != 1)}, n = {folds}",
        f"fold{'s' * (folds != 1)} each, {ran} epoch{'s' * (ran != '1')}. Mean loss of an epoch's",
        "training scans, on a logarithmic axis; the total weighs its parts, which are shown",
        "unweighted.",
    ]
    if len(epochs) > 1:
        texts.append("Means are over the folds that reached the epoch.")
    if any((history[["total", *LOSSES]] < LOWEST).any(axis=None) for history in every):
        texts.append(f"Losses under {LOWEST:g} are below the axis.")
    return " ".join(texts)
