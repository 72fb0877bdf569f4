"""Volumes small enough for a page: cropped, no finer than needed, one byte per voxel.

All volumes of a page lie on one grid. `msnmo.core.geometry` makes it in the same way as model
space: axes in RAS+ order, cropped to a box, resampled over the same extent. So every voxel keeps
its place in scanner mm.
"""

from __future__ import annotations

import base64
import gzip
from collections.abc import Iterable
from dataclasses import replace
from typing import Literal

import numpy as np

from msnmo.core.geometry import Crop, ModelSpace, Resize, resample_mask
from msnmo.core.grid import Grid
from msnmo.core.nifti import nib
from msnmo.core.volumes import Volume

Kind = Literal["image", "mask", "probability"]

LONGEST = 160
"""Most voxels along a side."""
FINEST_MM = 1.0
"""Voxels finer than this are merged. Coarser ones stay."""
MARGIN_MM = 8.0
"""Margin shown around the brain."""
PERCENTILES = (0.5, 99.5)
"""Percentiles of an image's voxels shown black and white."""
LEVELS = 255


def brain_alone(image: Volume, brain: Volume) -> Volume:
    """Return a scan (I, J, K) set to 0 outside its brain mask, as a head shows a face."""
    return replace(image, data=np.where(brain.data, image.data, np.float32(0)))


def display_space(native: Grid, around: np.ndarray | None) -> ModelSpace:
    """Return the mapping from a scan's native grid to the grid that its page shows.

    Parameters
    ----------
    native : Grid
        Of the scan as it arrived.
    around : (I, J, K) ndarray of bool, optional
        The box encloses this, such as the brain; it is the whole scan if None or empty.
    """
    if around is None or not around.any():
        around = np.ones(native.shape, dtype=bool)
    crop = Crop.around(around, native)
    voxel_mm = crop.grid.voxel_mm
    sides = [native.shape[axis] for axis in crop.axes]
    margin = np.ceil(MARGIN_MM / voxel_mm).astype(int)
    start = [max(0, a - m) for a, m in zip(crop.start, margin, strict=True)]
    stop = [min(n, b + m) for b, m, n in zip(crop.stop, margin, sides, strict=True)]
    crop = replace(crop, start=_three(start), stop=_three(stop))
    extent = np.array(crop.shape) * voxel_mm
    coarsest = np.maximum.reduce([voxel_mm, np.full(3, FINEST_MM), extent / LONGEST])
    # a side of 160 voxels may come out as 159.999
    target = _three(np.maximum(1, np.floor(extent / coarsest + 1e-6)))
    return ModelSpace(crop, Resize.fit(crop.shape, voxel_mm, target, "stretch"))


def to_display(space: ModelSpace, data: np.ndarray, kind: Kind) -> np.ndarray:
    """Return native (I, J, K) data on the display grid (X, Y, Z), float32.

    Data are smoothed before they are made coarser, to avoid aliasing. A voxel of a mask is kept if
    half of it is marked.
    """
    if kind == "mask":
        marked = (space.crop.apply(data) > 0).astype(np.float32)
        return resample_mask(marked, space.resize, "linear").astype(np.float32)
    return space.to_model(data, order=1)


def shown_range(shown: np.ndarray, kind: Kind) -> tuple[float, float]:
    """Return the values of the smallest and the largest byte."""
    if kind != "image":
        return 0.0, 1.0
    low, high = (float(value) for value in np.percentile(shown, PERCENTILES))
    return (low, high) if high > low else (low, low + 1.0)


def encode(shown: np.ndarray, grid: Grid, kind: Kind) -> str:
    """Return a volume as base64 of .nii.gz, one byte per voxel. Equal data give equal text.

    Parameters
    ----------
    shown : (X, Y, Z) ndarray
        As `to_display` returns.
    grid : Grid
        Of the display.
    kind : {"image", "mask", "probability"}
        An image is clipped at its percentiles, a probability at 0 and 1. The header's scaling gives
        the values back, to within half a level.
    """
    low, high = shown_range(shown, kind)
    step = (high - low) / (1 if kind == "mask" else LEVELS)
    levels = np.rint((np.clip(shown, low, high) - low) / step).astype(np.uint8)
    header = nib.Nifti1Image(levels, grid.affine).header
    header.set_slope_inter(step, low)
    header["vox_offset"] = header.single_vox_offset
    # nibabel would scale the levels once more
    gap = bytes(header.single_vox_offset - len(header.binaryblock))
    content = header.binaryblock + gap + levels.tobytes(order="F")
    return base64.b64encode(gzip.compress(content, mtime=0)).decode("ascii")


def shown_volume(space: ModelSpace, volume: Volume, kind: Kind) -> np.ndarray:
    """Return a volume on the display grid.

    Raises
    ------
    ValueError
        If it does not lie on the native grid of the scan.
    """
    if not volume.grid.matches(space.native):
        raise ValueError(f"a layer of shape {volume.grid.shape} is not on the grid of the scan")
    return to_display(space, volume.data, kind)


def _three(lengths: Iterable[float]) -> tuple[int, int, int]:
    i, j, k = (int(length) for length in lengths)
    return i, j, k
