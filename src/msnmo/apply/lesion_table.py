"""Lesions of one mask, one by one: where each lies, how large and how long it is."""

from __future__ import annotations

import numpy as np
import pandas as pd
from scipy import ndimage
from scipy.spatial import ConvexHull
from scipy.spatial.distance import pdist

from msnmo.core.grid import Grid
from msnmo.evaluate.lesion_detection import TOUCH

COLUMNS = {
    "lesion": np.int64,
    "voxels": np.int64,
    "volume_ml": np.float64,
    "x_mm": np.float64,
    "y_mm": np.float64,
    "z_mm": np.float64,
    "longest_axis_mm": np.float64,
}
# Of the eight corners of a voxel, offsets from its centre in voxels
CORNERS = np.stack(np.meshgrid(*[(-0.5, 0.5)] * 3, indexing="ij"), axis=-1).reshape(-1, 3)


def label_lesions(mask: np.ndarray) -> np.ndarray:
    """Return the lesions of a mask, numbered from the largest to the smallest.

    Lesions are components of voxels that touch by a side, an edge or a corner (26-connected), as
    in `msnmo.evaluate.lesion_detection`. Those of equal size are ordered by their first voxel, by
    i, then j, then k.

    Parameters
    ----------
    mask : (I, J, K) ndarray of bool

    Returns
    -------
    (I, J, K) ndarray of int32
        0 outside, ids from 1 on.
    """
    labels, count = ndimage.label(mask, structure=TOUCH)
    # the ids that are found in a flat order are 1, 2, ...: a stable sort keeps it among equals
    sizes = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    rank = np.zeros(count + 1, dtype=np.int32)
    rank[1 + np.argsort(-sizes, kind="stable")] = np.arange(1, count + 1)
    return rank[labels]


def lesion_table(labels: np.ndarray, grid: Grid) -> pd.DataFrame:
    """Return size, place and length of each lesion.

    Places are scanner mm (RAS+), by the whole affine: right for oblique, sheared, left-handed and
    anisotropic grids alike. The longest axis is the greatest distance between any two points of a
    lesion, whose voxels are taken as the solid boxes (parallelepipeds, if sheared) they are: it is
    reached between two corners, and these are corners of the convex hull. It is exact, and one
    voxel has its space diagonal.

    Parameters
    ----------
    labels : (I, J, K) ndarray of int
        0 outside, ids 1 to N without a gap, as from `label_lesions`.
    grid : Grid
        Where the voxels lie.

    Returns
    -------
    DataFrame
        One row per lesion, ordered by id: lesion, voxels, volume_ml, x_mm, y_mm, z_mm (centroid),
        longest_axis_mm. Without lesions no row, and the same columns and types.
    """
    boxes = ndimage.find_objects(labels)
    rows = [_row(labels, box, number, grid) for number, box in enumerate(boxes, start=1)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _row(labels: np.ndarray, box: tuple[slice, ...], number: int, grid: Grid) -> tuple[float, ...]:
    voxels = np.argwhere(labels[box] == number) + [axis.start for axis in box]
    place = grid.affine[:3, :3] @ voxels.mean(axis=0) + grid.affine[:3, 3]
    length = _longest_axis(_outer_corners(voxels) @ grid.affine[:3, :3].T)
    return number, len(voxels), len(voxels) * grid.voxel_ml, *place, length


def _outer_corners(voxels: np.ndarray) -> np.ndarray:
    """Return the corners of the first and last voxel of each row along k: the hull needs no more.

    Parameters
    ----------
    voxels : (N, 3) ndarray of int
        Indices in flat order, as `numpy.argwhere` gives them.
    """
    new_row = (np.diff(voxels[:, :2], axis=0) != 0).any(axis=1)
    ends = voxels[np.r_[True, new_row] | np.r_[new_row, True]]
    corners = (ends[:, None] + CORNERS).reshape(-1, 3)
    return np.unique(corners, axis=0)


def _longest_axis(points: np.ndarray) -> float:
    """Return the greatest distance between two of (N, 3) points that span a volume."""
    return float(pdist(points[ConvexHull(points).vertices]).max())
