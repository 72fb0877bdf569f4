"""A picture of one scan in three planes with the outline of its brain mask and of its lesions."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure

from msnmo.drawing import CONVENTION, PLANES, Plane, cut, save, upright
from msnmo.errors import run_command
from msnmo.files import read_json
from msnmo.geometry import ras_order
from msnmo.volumes import Grid, check_same_grid, load_mask, load_volume

COLUMNS = 7
# The longest side of the head, in pixels; the head is what is brighter than this share of white
LONGEST_PIXELS = 220
DIM = 0.08
GAP_PIXELS = 4
BRAIN_COLOUR, LESION_COLOUR = (1.0, 0.85, 0.0), (1.0, 0.15, 0.15)
DOTS_PER_INCH = 100
TITLE_PIXELS = 44


def paint(
    image: np.ndarray, outlines: Sequence[tuple[np.ndarray, tuple[float, ...]]], grid: Grid
) -> list[np.ndarray]:
    """Return one row of slices for each plane of the scan.

    The planes are the scan's own (an oblique scan is not resampled); pixels are square in mm, so
    that thick slices look as thick as they are.

    Parameters
    ----------
    image : (I, J, K) ndarray
        Intensities.
    outlines : sequence of ((I, J, K) ndarray of bool, colour)
        Masks to outline, RGB colours in [0, 1]; the slices are spread over the first mask.
    grid : Grid
        Where the voxels lie.

    Returns
    -------
    list of (height, width, 3) ndarray
        RGB in [0, 1], in the order of `PLANES`; the first pixel is the upper left.
    """
    grey = _grey(upright(image, grid.affine))
    masks = [(upright(mask, grid.affine), colour) for mask, colour in outlines]
    seen = _bounding_box(np.logical_or.reduce([grey > DIM, *(mask for mask, _ in masks)]))
    grey, masks = grey[seen], [(mask[seen], colour) for mask, colour in masks]
    axes, _ = ras_order(grid.affine)
    voxel_mm = grid.voxel_mm[list(axes)]
    pixel_mm = float((voxel_mm * grey.shape).max()) / LONGEST_PIXELS
    return [_row(plane, grey, masks, voxel_mm / pixel_mm) for plane in PLANES]


def _row(
    plane: Plane,
    grey: np.ndarray,
    masks: Sequence[tuple[np.ndarray, tuple[float, ...]]],
    pixels_per_voxel: np.ndarray,
) -> np.ndarray:
    index = [
        _pixel_voxels(grey.shape[axis], pixels_per_voxel[axis]) for axis in (plane.up, plane.across)
    ]
    panels = []
    for place in _places(masks[0][0], plane.normal):
        pixels = _cut(grey, plane, place, index)
        panel = np.repeat(pixels[:, :, None], 3, axis=2)
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


def _places(mask: np.ndarray, axis: int) -> np.ndarray:
    """Return slices spread over the mask, or over the volume where the mask is empty."""
    others = tuple(other for other in range(3) if other != axis)
    filled = np.flatnonzero(mask.any(axis=others))
    first, last = (filled[0], filled[-1]) if filled.size else (0, mask.shape[axis] - 1)
    inner = np.linspace(first, last, 2 * COLUMNS + 1)[1::2]
    return np.round(inner).astype(int)


def _grey(image: np.ndarray) -> np.ndarray:
    """Return intensities as grey in [0, 1]: black at 0 or below, white from the 99.5th centile."""
    lit = image[image > 0]
    white = float(np.percentile(lit, 99.5)) if lit.size else 1.0
    return np.clip(image / white, 0.0, 1.0).astype(np.float32)


def draw(path: Path, rows: Sequence[np.ndarray], title: str) -> None:
    """Write the rows of `paint` with labels and a title as PNG; equal input gives equal bytes."""
    width = max(row.shape[1] for row in rows)
    height = sum(row.shape[0] for row in rows) + GAP_PIXELS * (len(rows) - 1) + TITLE_PIXELS
    canvas = np.zeros((height, width, 3), np.float32)
    # text at the sizes of this module, whatever the user's matplotlibrc says
    with mpl.rc_context(mpl.rcParamsDefault):
        figure = Figure(figsize=(width / DOTS_PER_INCH, height / DOTS_PER_INCH), dpi=DOTS_PER_INCH)
        axes = figure.add_axes((0.0, 0.0, 1.0, 1.0))
        axes.set_axis_off()
        top = TITLE_PIXELS
        for plane, row in zip(PLANES, rows, strict=True):
            bottom, side = top + row.shape[0], row.shape[1]
            canvas[top:bottom, :side] = row
            shade = {"facecolor": "black", "edgecolor": "none", "pad": 1.0}
            label = {"color": "white", "fontsize": 8, "bbox": shade}
            axes.text(4, top + 4, plane.name, va="top", **label)
            axes.text(4, (top + bottom) / 2, plane.left, va="center", **label)
            axes.text(side - 4, (top + bottom) / 2, plane.right, ha="right", va="center", **label)
            top = bottom + GAP_PIXELS
        axes.imshow(canvas, interpolation="nearest", aspect="auto")
        axes.text(6, 4, title, va="top", color="white", fontsize=9, parse_math=False)
    save(figure, path)


def _title(arguments: argparse.Namespace, brain_ml: float, lesion_ml: float | None) -> str:
    parts = [arguments.image.name]
    flags = []
    if arguments.sidecar is not None:
        made = read_json(arguments.sidecar).get("skullstrip", {})
        parts.append(f"skull stripping: {made.get('engine', 'unknown')}")
        flags = made.get("flags", [])
    parts.append(f"brain {brain_ml:.0f} ml (yellow)")
    if lesion_ml is not None:
        parts.append(f"lesions {lesion_ml:.2f} ml (red)")
    return "   ".join(parts) + "\n" + "   ".join([CONVENTION, *flags])


def main() -> None:
    """Draw one scan with the outline of its brain mask and, if given, its lesion mask."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.mosaic", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="scan on its native grid")
    parser.add_argument("--mask", type=Path, required=True, help="brain mask on the same grid")
    parser.add_argument("--lesion", type=Path, help="lesion mask on the same grid")
    parser.add_argument("--sidecar", type=Path, help="JSON of skull stripping: engine and flags")
    parser.add_argument("--out", type=Path, required=True, help="PNG")
    arguments = parser.parse_args()

    scan = load_volume(arguments.image)
    outlines, millilitres = [], [0.0, None]
    files = [(arguments.mask, BRAIN_COLOUR), (arguments.lesion, LESION_COLOUR)]
    for place, (file, colour) in enumerate(files):
        if file is None:
            continue
        mask = load_mask(file)
        check_same_grid(file, mask, arguments.image, scan)
        outlines.append((mask.data, colour))
        millilitres[place] = int(mask.data.sum()) * mask.grid.voxel_ml
    draw(arguments.out, paint(scan.data, outlines, scan.grid), _title(arguments, *millilitres))


if __name__ == "__main__":
    run_command(main)
