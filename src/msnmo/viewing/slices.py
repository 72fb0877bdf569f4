"""Slices of scans as pictures, in one convention, with true proportions and reproducible bytes.

Radiological convention: the patient's right is on the left of axial and coronal slices. On sagittal
slices the face is on the left. The array that `cut` returns is as it is seen: rows from the top,
columns from the left.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.transforms import Bbox

from msnmo.core.files import atomic_path
from msnmo.core.geometry import ras_order, reorder, resample

CONVENTION = "radiological: the patient's left is on the right"
# Okabe and Ito's colours, which colour-blind readers tell apart, on grey
BRAIN, TRUTH, PREDICTION = "#F0E442", "#56B4E9", "#D55E00"
OUTCOMES = {
    "true positive": "#F0E442",
    "false positive": PREDICTION,
    "false negative": TRUTH,
}
"""Voxels only in the prediction have its colour, voxels only in the truth have the truth's."""
FINER = 4
CLEAR = 0.25
"""Share of a map's range that stays transparent."""
STAMP = 0.2
"""Inches: the height of a stamp's line."""
SHADES = {"vmin": -2.5, "vmax": 3.5}
"""Black and white of a z-scored scan."""


@dataclass(frozen=True)
class Plane:
    """The view of slices of arrays whose axes run to the right, front and top.

    Parameters
    ----------
    name : str
    normal, across, up : int
        Axis that the slices are stacked along, axis drawn from right to left, axis drawn upwards.
    left, right : str
        Side of the patient at the left and right of the picture.
    """

    name: str
    normal: int
    across: int
    up: int
    left: str
    right: str


# Every axis across is mirrored: the radiological view, and the nose at the left
AXIAL = Plane("axial", normal=2, across=0, up=1, left="R", right="L")
CORONAL = Plane("coronal", normal=1, across=0, up=2, left="R", right="L")
SAGITTAL = Plane("sagittal", normal=0, across=1, up=2, left="A", right="P")
PLANES = (AXIAL, CORONAL, SAGITTAL)


def upright(data: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """Return data with its axes in RAS+ order. An oblique rotation stays."""
    return reorder(data, *ras_order(affine))


def cut(data: np.ndarray, plane: Plane, index: int) -> np.ndarray:
    """Return a slice of RAS+ ordered data (X, Y, Z) as displayed, upper left first."""
    return np.moveaxis(data, plane.normal, 0)[index].T[::-1, ::-1]


def pixel_aspect(voxel_mm: np.ndarray, plane: Plane) -> float:
    """Return the height of a slice's pixel divided by its width."""
    return float(voxel_mm[plane.up] / voxel_mm[plane.across])


def square_pixels(image: np.ndarray, voxel_mm: np.ndarray, plane: Plane) -> np.ndarray:
    """Return a slice resampled to square pixels of its finer side, float32.

    Parameters
    ----------
    image : (height, width) ndarray
        As `cut` returns it.
    voxel_mm : (3,) ndarray
        Voxel sizes in RAS+ order.
    plane : Plane
    """
    size = np.array([voxel_mm[plane.up], voxel_mm[plane.across]])
    height, width = (round(n * mm / size.min()) for n, mm in zip(image.shape, size, strict=True))
    return resample(image[:, :, None], (height, width, 1), order=1)[:, :, 0]


def show(axes: Axes, image: np.ndarray, title: str = "", **options: Any) -> AxesImage:
    """Draw a slice in grey, by `imshow` and its options such as the pixels' aspect."""
    axes.set_title(title, fontsize=9)
    axes.axis("off")
    return axes.imshow(image, cmap="gray", interpolation="nearest", **options)


def show_zscore(axes: Axes, image: np.ndarray, title: str = "", aspect: float = 1.0) -> None:
    """Draw a slice of a z-scored scan, whose background of 0 is shown black."""
    show(axes, np.where(image == 0, SHADES["vmin"], image), title, aspect=aspect, **SHADES)


def outline(
    axes: Axes, mask: np.ndarray, colour: str, linestyle: str = "-", linewidth: float = 0.8
) -> None:
    """Draw the edge of a mask's slice, if it has one."""
    rows, columns, fine = _finer(mask)
    if not fine.any():
        return
    limits = axes.get_xlim(), axes.get_ylim()
    axes.contour(
        columns,
        rows,
        fine,
        levels=[0.5],
        colors=[colour],
        linestyles=[linestyle],
        linewidths=[linewidth],
    )
    axes.set(xlim=limits[0], ylim=limits[1])


def hatch(axes: Axes, mask: np.ndarray, pattern: str) -> None:
    """Cover a mask's slice with a pattern of matplotlib's, such as ``//`` or ``..``, in black."""
    rows, columns, fine = _finer(mask)
    if not fine.any():
        return
    limits = axes.get_xlim(), axes.get_ylim()
    with mpl.rc_context({"hatch.linewidth": 0.5}):
        axes.contourf(columns, rows, fine, levels=[0.5, 1.5], colors="none", hatches=[pattern])
    axes.set(xlim=limits[0], ylim=limits[1])


def _finer(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows, columns and values of a mask finer than its pixels, whose edges lines follow."""
    # a rim of zeros closes what touches the border
    fine = np.pad(np.kron(np.asarray(mask) >= 0.5, np.ones((FINER, FINER))), 1)
    rows, columns = ((np.arange(length) - 0.5) / FINER - 0.5 for length in fine.shape)
    return rows, columns, fine


def say(axes: Axes, text: str, size: float = 6.0) -> None:
    """Write a few words at the foot of a slice, such as why nothing is drawn over it."""
    shade: dict[str, Any] = {"facecolor": "black", "edgecolor": "none", "pad": 0.8, "alpha": 0.6}
    place: dict[str, Any] = {"transform": axes.transAxes, "ha": "center", "va": "bottom"}
    axes.text(0.5, 0.03, text, color="white", fontsize=size, bbox=shade, **place)


def overlay(
    axes: Axes, values: np.ndarray, colours: str, top: float, aspect: float = 1.0
) -> AxesImage:
    """Draw a map of values from 0 to `top` over a slice. Its lowest quarter stays transparent."""
    seen = np.ma.masked_less(values, CLEAR * top)
    return axes.imshow(seen, cmap=colours, vmin=0, vmax=top, alpha=0.6, aspect=aspect)


def mark_sides(axes: Axes, plane: Plane, size: float = 7.0) -> None:
    """Write which side of the patient is at the left and at the right of a slice."""
    shade: dict[str, Any] = {"facecolor": "black", "edgecolor": "none", "pad": 0.8, "alpha": 0.6}
    style: dict[str, Any] = {"color": "white", "fontsize": size, "va": "center", "bbox": shade}
    axes.text(0.03, 0.5, plane.left, transform=axes.transAxes, ha="left", **style)
    axes.text(0.97, 0.5, plane.right, transform=axes.transAxes, ha="right", **style)


def save(figure: Figure, path: Path, stamp: str = "") -> None:
    """Write a picture atomically. Equal pictures give equal bytes.

    Parameters
    ----------
    figure : Figure
        Its layout is final. Its label is its caption, which is kept in the file.
    path : Path
        PNG or SVG, by its ending.
    stamp : str
        A sentence in an extra line under the picture. It is part of the picture, because pictures
        are copied without their captions.
    """
    form = path.suffix.removeprefix(".")
    # the default metadata would name the version of matplotlib, an SVG the time as well
    metadata: dict[str, str | None] = (
        {"Software": None} if form == "png" else {"Creator": None, "Date": None}
    )
    if caption := str(figure.get_label()):
        metadata["Description"] = caption
    fixed = {**mpl.rcParamsDefault, "svg.hashsalt": "msnmo"}
    with mpl.rc_context(fixed), atomic_path(path) as temporary:
        figure.savefig(
            temporary,
            format=form,
            metadata=metadata,
            dpi=figure.dpi,
            bbox_inches=_stamped(figure, stamp),
        )


def _stamped(figure: Figure, stamp: str) -> Bbox | None:
    """Write a sentence below a figure; return what to save in inches, None for the figure alone."""
    if not stamp:
        return None
    width, height = figure.get_size_inches()
    figure.text(
        0.5, -STAMP / 2 / height, stamp, color=PREDICTION, fontsize=7.0, va="center", ha="center"
    )
    return Bbox.from_extents(0, -STAMP, width, height)
