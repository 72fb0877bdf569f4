"""Slices of scans as pictures: square pixels, one convention, the same bytes every time."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
import numpy as np

from msnmo.files import atomic_path
from msnmo.geometry import resample

mpl.use("agg")
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

# Okabe and Ito's colours, which colour-blind readers tell apart, on grey
BRAIN, TRUTH, PREDICTION = "#F0E442", "#56B4E9", "#D55E00"


def plane(data: np.ndarray, voxel_mm: np.ndarray, axis: int, index: int) -> np.ndarray:
    """Return a slice of RAS+ ordered data with square pixels of the slice's finer side.

    Parameters
    ----------
    data : (X, Y, Z) ndarray
        Voxels in RAS+ order.
    voxel_mm : (3,) ndarray
        Voxel sizes.
    axis : int
        0 sagittal, 1 coronal, 2 axial.
    index : int
        Slice along the axis.
    """
    across, along = (size for other, size in enumerate(voxel_mm) if other != axis)
    image = np.take(data, index, axis=axis).astype(np.float32)
    finest = min(across, along)
    width, height = round(image.shape[0] * across / finest), round(image.shape[1] * along / finest)
    return resample(image[:, :, None], (width, height, 1), order=1)[:, :, 0]


def show(axes: Axes, image: np.ndarray, title: str = "", **options: object) -> None:
    """Draw a slice in grey, its first axis from right to left, its second upwards."""
    axes.imshow(_seen(image), origin="lower", cmap="gray", interpolation="nearest", **options)
    axes.set_title(title, fontsize=9)
    axes.axis("off")


def outline(axes: Axes, mask: np.ndarray, colour: str) -> None:
    """Draw the edge of a mask's slice, if it has one."""
    if mask.max() >= 0.5 > mask.min():
        axes.contour(_seen(mask), levels=[0.5], colors=[colour], linewidths=0.8)


def overlay(axes: Axes, values: np.ndarray, colours: str, top: float) -> None:
    """Lay a map of values from 0 to `top` over a slice; its lowest quarter stays clear."""
    seen = np.ma.masked_less(_seen(values), 0.25 * top)
    axes.imshow(seen, origin="lower", cmap=colours, vmin=0, vmax=top, alpha=0.6)


def save(figure: Figure, path: Path) -> None:
    """Write a PNG atomically; equal pictures give equal bytes."""
    with atomic_path(path) as temporary:
        # the default metadata would name the version of matplotlib
        figure.savefig(temporary, format="png", metadata={"Software": None})
    plt.close(figure)


def _seen(image: np.ndarray) -> np.ndarray:
    return image[::-1].T
