"""Confusion matrices of each method, all folds together."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from sklearn.metrics import confusion_matrix

from msnmo.core.diagnoses import diagnoses, positive, score
from msnmo.core.numbers import fixed
from msnmo.evaluate.classification import predicted_nmosd
from msnmo.figures.inputs import Inputs
from msnmo.figures.style import (
    NORMAL,
    SMALL,
    count_scans,
    house_style,
    method_label,
    panel_grid,
    put_below,
)

COLUMNS = 4
PANEL_WIDTH = 1.35
DARK = 0.7
"""From this share on, a square is dark and its numbers are white."""


def confusion(scans: pd.DataFrame) -> np.ndarray:
    """Return the (2, 2) int counts of scans by diagnosis (rows) and predicted class (columns).

    Parameters
    ----------
    scans : DataFrame
        Columns diagnosis and P_NMOSD, all defined. Over 0.5 is NMOSD, as for ACC, SN and SP.
    """
    nmosd = (scans["diagnosis"] == positive()).to_numpy()
    predicted = predicted_nmosd(scans[score()].to_numpy())
    if len(scans) == 0:  # which scikit-learn refuses
        return np.zeros((2, 2), dtype=int)
    return confusion_matrix(nmosd, predicted, labels=[False, True])


def shares(counts: np.ndarray) -> np.ndarray:
    """Return the (2, 2) counts as fractions of their row; NaN for a diagnosis without scans."""
    rows = counts.sum(axis=1, keepdims=True).astype(float)
    return np.divide(counts, rows, out=np.full((2, 2), np.nan), where=rows > 0)


def draw(inputs: Inputs) -> Figure:
    """Draw a matrix per method of `inputs.methods` that classifies.

    Raises
    ------
    InputError
        If no method classifies, or there are no metrics.
    """
    methods = inputs.methods_of("classification")
    tables = {name: inputs.by_scan(name, [score()]) for name in methods}
    with house_style():
        figure, panels = panel_grid(len(methods), COLUMNS, 2.05, sharex=True, sharey=True)
        for axes, (name, table) in zip(panels, tables.items(), strict=True):
            head = method_label(name, PANEL_WIDTH)
            _draw_matrix(axes, f"{head}\nn = {len(table)}", confusion(table))
        for left in panels[::COLUMNS]:
            left.set_ylabel("Diagnosis")
        for lowest in panels[-COLUMNS:]:
            lowest.set_xlabel("Predicted")
        put_below(figure, _note(tables))
    return figure


def _draw_matrix(axes: Axes, title: str, counts: np.ndarray) -> None:
    parts = shares(counts)
    axes.imshow(np.nan_to_num(parts), cmap="Blues", vmin=0, vmax=1)
    for (row, column), count in np.ndenumerate(counts):
        part = parts[row, column]
        text = f"{count}\n" + ("n/a" if np.isnan(part) else f"{fixed(float(100 * part), 1)} %")
        colour = "white" if part > DARK else "black"
        axes.text(column, row, text, ha="center", va="center", color=colour, fontsize=NORMAL)
    axes.set_title(title)
    axes.set_xticks([0, 1], diagnoses())
    axes.set_yticks([0, 1], diagnoses(), rotation=90, va="center")
    axes.tick_params(length=0, labelsize=SMALL)


def _note(tables: Mapping[str, pd.DataFrame]) -> str:
    folds = len({fold for table in tables.values() for fold in table["fold"]})
    return (
        f"{count_scans(list(tables.values()))}. Counts over {folds} fold{'s' * (folds != 1)} and"
        " percent of their row, which also gives the colour (white 0\u00a0%, dark blue 100\u00a0%)."
        f" {positive()} is predicted where its probability exceeds 0.5."
    )
