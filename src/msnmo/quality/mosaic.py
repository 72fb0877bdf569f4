"""Rows of slices of one scan with the outlines of masks, and one picture of several rows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from msnmo.core.geometry import ras_order
from msnmo.core.grid import Grid
from msnmo.viewing.slices import PLANES, Plane, cut, save, upright

COLUMNS = 7
# The longest side of the head, in pixels; the head is what is brighter than this share of white
LONGEST_PIXELS = 220
DIM = 0.08
GAP_PIXELS = 4
DOTS_PER_INCH = 100
TITLE_PIXELS = 44


Colour = tuple[float, ...]
Shade = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Strip:
    """One row of a picture: (height, width, 3) RGB in [0, 1], what it shows, and its plane."""

    name: str
    plane: Plane
    pixels: np.ndarray


def grey(image: np.ndarray) -> np.ndarray:
    """Return intensities as grey in [0, 1]: black at 0 or below, white from the 99.5th centile."""
    lit = image[image > 0]
    white = float(np.percentile(lit, 99.5)) if lit.size else 1.0
    return np.clip(image / white, 0.0, 1.0).astype(np.float32)


def as_grey(pixels: np.ndarray) -> np.ndarray:
    """Return (height, width) values in [0, 1] as grey RGB."""
    return np.repeat(pixels[:, :, None], 3, axis=2)


def paint(
    image: np.ndarray,
    outlines: Sequence[tuple[np.ndarray, Colour]],
    grid: Grid,
    planes: Sequence[Plane] = PLANES,
    *,
    shade: Shade = grey,
    colours: Shade = as_grey,
    prefer: np.ndarray | None = None,
) -> list[np.ndarray]:
    """Return one row of slices for each plane of the scan.

    The planes are those of the scan (an oblique scan is not resampled). Pixels are square in mm, so
    that thick slices have their true thickness.

    Parameters
    ----------
    image : (I, J, K) ndarray
        Intensities.
    outlines : sequence of ((I, J, K) ndarray of bool, colour)
        Masks to outline, RGB colours in [0, 1]; the slices are spread over the first mask.
    grid : Grid
        Where the voxels lie.
    planes : sequence of Plane
    shade : callable
        Turns intensities of the whole volume into values in [0, 1].
    colours : callable
        Turns values of a slice into RGB.
    prefer : (I, J, K) ndarray of bool, optional
        For each part of the scan, the slice with most of these voxels is shown.

    Returns
    -------
    list of (height, width, 3) ndarray
        RGB in [0, 1], in the order of `planes`; the first pixel is the upper left.
    """
    shades = shade(upright(image, grid.affine))
    masks = [(upright(mask, grid.affine), colour) for mask, colour in outlines]
    seen = _bounding_box(np.logical_or.reduce([shades > DIM, *(mask for mask, _ in masks)]))
    shades, masks = shades[seen], [(mask[seen], colour) for mask, colour in masks]
    wanted = np.zeros_like(masks[0][0]) if prefer is None else upright(prefer, grid.affine)[seen]
    axes, _ = ras_order(grid.affine)
    voxel_mm = grid.voxel_mm[list(axes)]
    pixel_mm = float((voxel_mm * shades.shape).max()) / LONGEST_PIXELS
    return [
        _row(plane, shades, masks, voxel_mm / pixel_mm, colours=colours, wanted=wanted)
        for plane in planes
    ]


def _row(
    plane: Plane,
    shades: np.ndarray,
    masks: Sequence[tuple[np.ndarray, Colour]],
    pixels_per_voxel: np.ndarray,
    *,
    colours: Shade,
    wanted: np.ndarray,
) -> np.ndarray:
    index = [
        _pixel_voxels(shades.shape[axis], pixels_per_voxel[axis])
        for axis in (plane.up, plane.across)
    ]
    panels = []
    for place in _places(masks[0][0], plane.normal, wanted):
        panel = colours(_cut(shades, plane, place, index))
        for mask, colour in masks:
            shape = _cut(mask, plane, place, index)
            panel[_rim(shape)] = colour
        panels += [panel, np.zeros((panel.shape[0], GAP_PIXELS, 3), np.float32)]
    return np.concatenate(panels[:-1], axis=1)


def _cut(volume: np.ndarray, plane: Plane, place: int, index: list[np.ndarray]) -> np.ndarray:
    """Return one slice as pixels, upper left first."""
    return cut(volume, plane, place)[np.ix_(*index)]


def _rim(shape: np.ndarray) -> np.ndarray:
    """Return the pixels of a shape that touch its outside by a side."""
    wide = np.pad(shape, 1)
    inner = wide[:-2, 1:-1] & wide[2:, 1:-1] & wide[1:-1, :-2] & wide[1:-1, 2:]
    return shape & ~inner


def _bounding_box(shape: np.ndarray) -> tuple[slice, ...]:
    """Return the box that holds all true voxels, or the whole where there are none."""
    if not shape.any():
        return (slice(None),) * 3
    along = [np.flatnonzero(shape.any(axis=axes)) for axes in ((1, 2), (0, 2), (0, 1))]
    return tuple(slice(line[0], line[-1] + 1) for line in along)


def _pixel_voxels(length: int, pixels_per_voxel: float) -> np.ndarray:
    """Return the voxel that each pixel along an axis shows."""
    count = max(1, round(length * pixels_per_voxel))
    return np.minimum(((np.arange(count) + 0.5) / pixels_per_voxel).astype(int), length - 1)


def _places(mask: np.ndarray, axis: int, wanted: np.ndarray) -> np.ndarray:
    """Return slices spread over the mask, or over the volume where the mask is empty."""
    others = tuple(other for other in range(3) if other != axis)
    filled = np.flatnonzero(mask.any(axis=others))
    first, last = (filled[0], filled[-1]) if filled.size else (0, mask.shape[axis] - 1)
    edges = np.linspace(first, last, 2 * COLUMNS + 1)
    places = np.round(edges[1::2]).astype(int)
    counts = wanted.sum(axis=others)
    for column, (start, stop) in enumerate(zip(edges[:-2:2], edges[2::2], strict=True)):
        part = counts[int(np.ceil(start)) : int(stop) + 1]
        if part.any():
            places[column] = int(np.ceil(start)) + int(part.argmax())
    return places


def draw(path: Path, strips: Sequence[Strip], title: str) -> None:
    """Write strips with labels and a title as PNG; equal input gives equal bytes."""
    width = max(strip.pixels.shape[1] for strip in strips)
    height = sum(strip.pixels.shape[0] for strip in strips) + GAP_PIXELS * (len(strips) - 1)
    canvas = np.zeros((height + TITLE_PIXELS, width, 3), np.float32)
    size = (width / DOTS_PER_INCH, canvas.shape[0] / DOTS_PER_INCH)
    # text at the sizes of this module, whatever the user's matplotlibrc says
    with mpl.rc_context(mpl.rcParamsDefault):
        figure = Figure(figsize=size, dpi=DOTS_PER_INCH)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        top = TITLE_PIXELS
        for strip in strips:
            bottom, side = top + strip.pixels.shape[0], strip.pixels.shape[1]
            canvas[top:bottom, :side] = strip.pixels
            shade: dict[str, Any] = {"facecolor": "black", "edgecolor": "none", "pad": 1.0}
            label: dict[str, Any] = {"color": "white", "fontsize": 8, "bbox": shade}
            middle, plane = (top + bottom) / 2, strip.plane
            axes.text(4, top + 4, strip.name, va="top", parse_math=False, **label)
            axes.text(4, middle, plane.left, va="center", **label)
            axes.text(side - 4, middle, plane.right, ha="right", va="center", **label)
            top = bottom + GAP_PIXELS
        axes.imshow(canvas, interpolation="nearest", aspect="auto")
        axes.text(6, 4, title, va="top", color="white", fontsize=9, parse_math=False)
    save(figure, path)
