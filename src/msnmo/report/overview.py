"""What the overview shows at a glance: headline numbers, a ROC curve, the worst scans."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from sklearn.metrics import roc_curve

from msnmo.core.diagnoses import positive, score, score_in_words
from msnmo.core.geometry import ras_order, reorder
from msnmo.core.numbers import fixed
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.figures.style import house_style
from msnmo.report.results import Results
from msnmo.report.scatter import TOP
from msnmo.report.tables import joined
from msnmo.settings.methods import get_method
from msnmo.tables.content import HIGH, LOW, OURS, REPORTED
from msnmo.tables.model import NOTHING, Page, Text
from msnmo.viewing.display import brain_alone
from msnmo.viewing.slices import (
    AXIAL,
    PREDICTION,
    TRUTH,
    cut,
    mark_sides,
    outline,
    pixel_aspect,
    save,
    show,
)

FEWEST, SHOWN = 4, 3
"""Scans that there must be for some to be called the worst, and how many are shown."""
ROW, FOOT, ACROSS, LABELS, RIM = 26, 44, 352, 48, 20
"""Pixels of the forest plot: a row, what is below them, its width, left and right of its axis."""
SIDE, MARGIN = 260, 46
"""Pixels of the ROC curve's square, and of what stands around it."""
BRIGHTEST = 99.5
"""Percentile of the brain that is white in the picture of a scan."""
AROUND_MM = 8.0


@dataclass(frozen=True)
class Percent:
    """A metric in percent: ours, the ends of its interval, the reported one."""

    name: str
    ours: float
    low: float | None
    high: float | None
    reported: float | None


@dataclass(frozen=True)
class Bar:
    """One metric of the forest plot, in pixels.

    Parameters
    ----------
    label : str
    y, x : float
    low, high : float or None
        Ends of the interval; None where there is none.
    reported : float or None
        Where the paper's number lies.
    told : str
        All of it in words.
    """

    label: str
    y: float
    x: float
    low: float | None
    high: float | None
    reported: float | None
    told: str


@dataclass(frozen=True)
class Forest:
    """Metrics in percent with their intervals, beside the reported ones.

    Parameters
    ----------
    title : str
    height : float
        Of the picture in pixels; its width is `ACROSS`.
    ticks : tuple of (x, text)
    bars : tuple of Bar
    """

    title: str
    height: float
    ticks: tuple[tuple[float, str], ...]
    bars: tuple[Bar, ...]

    @property
    def foot(self) -> float:
        """Where the axis lies."""
        return self.height - FOOT


def draw_forest(pages: Iterable[Page], label: str) -> Forest | None:
    """Return a method's metrics in percent, each of the first table that has it.

    Parameters
    ----------
    pages : iterable of Page
        Tables of results.
    label : str
        The method's row in them.

    Returns
    -------
    Forest or None
        None where no table has a number of the method.
    """
    found: dict[str, Percent] = {}
    for page in pages:
        for each in _percents(page, label):
            found.setdefault(each.name, each)
    if not found:
        return None
    bars = tuple(_bar(place, each) for place, each in enumerate(found.values()))
    ticks = tuple((_x(step), str(step)) for step in range(0, 101, 20))
    return Forest(label, TOP + ROW * len(bars) + FOOT, ticks, bars)


def _percents(page: Page, label: str) -> Iterator[Percent]:
    """Yield a method's metrics in percent that have a number."""
    columns, lines = joined(page.panels)
    _, details = joined([] if page.details is None else [page.details])
    reported = lines.get((label, REPORTED), {})
    names = {column.split(" ")[0]: column for column in columns if "(%)" in column}
    for (of, name), cells in details.items():
        if of == label and name in names and (ours := cells[OURS].value) is not None:
            paper = reported.get(names[name], Text(NOTHING))
            yield Percent(name, ours, cells[LOW].value, cells[HIGH].value, paper.value)


def _bar(place: int, of: Percent) -> Bar:
    told = f"{of.name} {fixed(of.ours, 1)} %"
    if of.low is not None and of.high is not None:
        told += f", interval {fixed(of.low, 1)} to {fixed(of.high, 1)}"
    if of.reported is not None:
        told += f"; reported {fixed(of.reported, 1)}"
    low, high, reported = (
        None if each is None else _x(each) for each in (of.low, of.high, of.reported)
    )
    return Bar(of.name, TOP + (place + 0.5) * ROW, _x(of.ours), low, high, reported, told)


def _x(percent: float) -> float:
    return round(LABELS + (ACROSS - LABELS - RIM) * min(max(percent / 100, 0.0), 1.0), 1)


@dataclass(frozen=True)
class Curve:
    """A ROC curve, in pixels of a square of `SIDE`.

    Parameters
    ----------
    points : str
        As SVG has them.
    told : str
        What it is made of.
    """

    points: str
    told: str


def draw_curve(results: Results) -> Curve | None:
    """Return the reference method's ROC curve; None where its scans are not of both classes."""
    scores = results.of_scans(score())[results.reference].dropna()
    truth = results.cohort.loc[scores.index, "diagnosis"] == positive()
    if truth.nunique() < 2:
        return None
    fpr, tpr, _ = roc_curve(truth, scores, drop_intermediate=True)
    points = " ".join(
        f"{MARGIN + SIDE * x:.1f},{TOP + SIDE * (1 - y):.1f}" for x, y in zip(fpr, tpr, strict=True)
    )
    label = get_method(results.reference).label
    told = (
        f"{label}: {len(scores)} scans of all folds by {score_in_words()}. The table's AUC is the "
        "mean of the folds' own."
    )
    return Curve(points, told)


@dataclass(frozen=True)
class Shown:
    """A scan's picture on the overview: its file, where it leads, what is said of it."""

    file: str
    href: str
    scan: str
    told: str
    alt: str


def draw_worst(
    results: Results, predictions: str, folder: Path, *, deface: bool = False
) -> list[Shown]:
    """Draw the scans that the reference method segments worst.

    Parameters
    ----------
    results : Results
    predictions : str
        Pattern with {method} and {fold} of the folder of a fold's predictions.
    folder : Path
        Where the pictures are written.
    deface : bool
        Whether the brain alone is shown.

    Returns
    -------
    list of Shown
        The worst first; empty for a method that does not segment, or of fewer than `FEWEST` scans.
    """
    dsc = results.of_scans("DSC")[results.reference].dropna()
    if len(dsc) < FEWEST:
        return []
    worst = dsc.sort_values(kind="stable").head(SHOWN)
    shown = []
    for place, (scan, value) in enumerate(worst.items(), start=1):
        file = f"worst-{place}.png"
        with house_style():
            image, masks = _read(results, str(scan), predictions)
            shown_image = brain_alone(image, masks["brain"]) if deface else image
            picture = _picture(shown_image, masks)
            save(picture, folder / file, "simulated" if results.banner else "")
        shown.append(_shown(results, file, str(scan), float(value)))
    return shown


def _shown(results: Results, file: str, scan: str, dsc: float) -> Shown:
    diagnosis = results.cohort.loc[scan, "diagnosis"]
    named = "" if pd.isna(diagnosis) else f", {diagnosis}"
    told = f"DSC {fixed(dsc, 1)} %{named}"
    alt = (
        f"Axial slice of {scan} with most wrong voxels, outlines of annotated and predicted lesions"
    )
    return Shown(f"figures/{file}", f"scans/{scan}.html", scan, told, alt)


def _read(results: Results, scan: str, predictions: str) -> tuple[Volume, dict[str, Volume]]:
    """Return a scan as it arrived and its masks: truth, prediction, brain."""
    files = results.manifest.loc[scan]
    fold = predictions.format(method=results.reference, fold=results.fold_of(scan))
    where = Path(results.cohort.loc[scan, "flair"])
    paths = {
        "truth": Path(files["native_lesion"]),
        "prediction": Path(fold) / f"{scan}_desc-lesion_mask.nii.gz",
        "brain": Path(files["native_brain"]),
    }
    image = load_volume(where)
    masks = {name: load_mask(path) for name, path in paths.items()}
    for name, mask in masks.items():
        check_same_grid(paths[name], mask, where, image)
    return image, masks


def _picture(image: Volume, masks: dict[str, Volume]) -> Figure:
    """Return the axial slice with most voxels that are wrong, with both contours."""
    order = ras_order(image.grid.affine)
    head = reorder(image.data, *order)
    truth, prediction, brain = (
        reorder(masks[name].data, *order) for name in ("truth", "prediction", "brain")
    )
    height = int((truth != prediction).sum(axis=(0, 1)).argmax())
    voxel_mm = image.grid.voxel_mm[list(order[0])]
    box = tuple(
        _around(np.asarray(brain.any(axis=(1 - axis, 2))), voxel_mm[axis]) for axis in range(2)
    )
    aspect = pixel_aspect(voxel_mm, AXIAL)
    brightest = float(np.percentile(head[brain], BRIGHTEST)) if brain.any() else None
    slices = [cut(each[box], AXIAL, height) for each in (head, truth, prediction)]
    rows, columns = slices[0].shape
    figure = Figure((2.4, 2.4 * aspect * rows / columns), dpi=120, facecolor="black")
    axes = figure.add_axes((0, 0, 1, 1))
    show(axes, slices[0], aspect=aspect, vmin=0, vmax=brightest)
    outline(axes, slices[1], TRUTH, linewidth=1.2)
    outline(axes, slices[2], PREDICTION, linestyle="--", linewidth=1.2)
    mark_sides(axes, AXIAL)
    return figure


def _around(there: np.ndarray, voxel_mm: float) -> slice:
    """Return where an axis has brain, and a rim around it."""
    places = np.flatnonzero(there)
    if not len(places):
        return slice(None)
    rim = math.ceil(AROUND_MM / voxel_mm)
    return slice(max(0, int(places[0]) - rim), int(places[-1]) + rim + 1)
