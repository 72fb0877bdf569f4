"""A bundle on an outside cohort: overlap of each scan's masks by site, and the ROC curve."""

from __future__ import annotations

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from msnmo.core.diagnoses import NO_DIAGNOSIS, diagnoses, positive
from msnmo.core.numbers import fixed
from msnmo.figures.roc import Roc, roc
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

HEIGHT = 3.4
STRIP = 0.3
"""Spread of a site's points to either side. Sites are 1 apart."""
NO_CURVE = "no curve: scans of one diagnosis"
MOST_UPRIGHT = 5
"""With more sites than this, their names are rotated."""


def draw_outside(masks: pd.DataFrame, classes: pd.DataFrame) -> Figure:
    """Draw a strip of DSC for each site, and the ROC curve of all scans.

    Parameters
    ----------
    masks : DataFrame
        Scans judged by their mask: columns scan, subject, site, diagnosis, DSC; may be empty.
    classes : DataFrame
        Scans judged by their diagnosis: columns scan, subject, diagnosis and the probability of
        class 1; may be empty.
    """
    masks = masks.assign(diagnosis=masks["diagnosis"].replace("", NO_DIAGNOSIS))
    shown = [table for table in (masks, classes) if len(table)]
    with house_style():
        figure, panels = panel_grid(max(len(shown), 1), 2, HEIGHT)
        free = iter(panels)
        notes: list[str] = []
        handles: list[Line2D] = []
        if len(masks):
            _draw_strips(next(free), masks)
            handles = _handles(masks)
            counted = count_scans([masks])
            notes.append(
                f"DSC in native space, one point per scan, lines at the medians; {counted}."
            )
        if len(classes):
            curve = roc(classes)
            _draw_roc(next(free), curve)
            area = NO_CURVE if curve is None else f"AUC {_area(curve)}"
            notes.append(
                f"ROC of all sites, {positive()} positive, {area}; {count_scans([classes])}."
            )
        if not shown:
            panels[0].set_axis_off()
            notes.append("No scan has a true mask or diagnosis to test this method with.")
        put_below(figure, " ".join(notes), handles, columns=max(len(handles), 1))
    return figure


def _draw_strips(axes: Axes, masks: pd.DataFrame) -> None:
    sites = sorted(masks["site"].unique())
    for place, site in enumerate(sites):
        rows = masks[masks["site"] == site].sort_values("scan")
        # spread in the order of scans: nothing random, and no two points in one place
        count = len(rows)
        steps = [STRIP * (2 * (each + 0.5) / count - 1) for each in range(count)]
        for name, style in diagnosis_style(masks["diagnosis"]).items():
            some = (rows["diagnosis"] == name).to_numpy()
            across = [place + step for step, chosen in zip(steps, some, strict=True) if chosen]
            axes.plot(across, rows.loc[some, "DSC"], **_POINTS, **style)
        median = rows["DSC"].median()
        axes.plot([place - 0.4, place + 0.4], [median, median], color=BLACK, linewidth=1.2)
    axes.set(title="Overlap by site", ylabel="DSC", ylim=(-0.03, 1.03))
    axes.set_xlim(-0.6, len(sites) - 0.4)
    width = 0.8 * WIDTH / 2 / len(sites) if len(sites) <= MOST_UPRIGHT else 1.2
    axes.set_xticks(range(len(sites)), [wrapped(site, width, SMALL) for site in sites])
    if len(sites) > MOST_UPRIGHT:
        axes.tick_params(axis="x", rotation=90)


_POINTS: dict[str, Any] = {
    "linestyle": "none",
    "markersize": 3.5,
    "markeredgewidth": 0.7,
    "fillstyle": "none",
}


def _handles(masks: pd.DataFrame) -> list[Line2D]:
    named = diagnosis_style(masks["diagnosis"])
    points = [Line2D([], [], label=name, **_POINTS, **style) for name, style in named.items()]
    return [*points, Line2D([], [], label="median", color=BLACK, linewidth=1.2)]


def _draw_roc(axes: Axes, curve: Roc | None) -> None:
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=0.6, label="chance")
    if curve is None:
        said = "\n".join(NO_CURVE.split(": "))
        axes.text(0.7, 0.25, said, ha="center", va="center", fontsize=SMALL)
    else:
        axes.plot(curve.fpr, curve.tpr, color=BLACK, linewidth=1.3, label="ensemble")
    axes.set(
        title=" against ".join(reversed(diagnoses())),
        xlabel="False positive rate (1 − specificity)",
        ylabel="True positive rate (sensitivity)",
        xlim=(-0.02, 1.02),
        ylim=(-0.02, 1.02),
        aspect="equal",
    )


def _area(curve: Roc) -> str:
    return f"{fixed(100 * curve.auc, 1)} %"
