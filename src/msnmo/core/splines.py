"""Resampling along the axes: `scipy.ndimage.zoom` of a volume, in an eighth of its time.

Splines of a volume are products of splines along its axes. For cubic splines ndimage sums 64
products for each voxel. One axis after the other needs only 4 products for each of three axes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from scipy import sparse

PADDING = 12
"""Voxels of edge padding before cubic coefficients are computed, as in ndimage."""


def zoom(data: np.ndarray, shape: tuple[int, int, int], order: int) -> np.ndarray:
    """Return values at another number of voxels over the same extent, edges aligned.

    Equal to ``ndimage.zoom(..., mode="nearest", grid_mode=True)`` but for the order of sums, which
    changes the last digit of float32.

    Parameters
    ----------
    data : (I, J, K) ndarray of float32
    shape : tuple of int
    order : {1, 3}
        Linear or cubic splines.

    Returns
    -------
    ndarray of float32
        Of the shape given.
    """
    # a third of a process's start, which whoever only crops need not pay
    from scipy import ndimage  # noqa: PLC0415

    values = data.astype(np.float64)
    if order == 3:
        values = np.pad(values, PADDING, mode="edge")
        values = ndimage.spline_filter(values, order, output=np.float64, mode="nearest")
    for before, after in zip(data.shape, shape, strict=True):
        weights = _weights(before, after, order)
        others = values.shape[1:]
        along = weights @ values.reshape(values.shape[0], -1)
        # the axis that is done goes last: after three, all are in their places
        values = np.moveaxis(along.reshape(after, *others), 0, -1)
    return np.ascontiguousarray(values, dtype=np.float32)


def _weights(before: int, after: int, order: int) -> sparse.csr_array:
    """Return the weight of each old voxel, padded ones too, in each new one: (new, old)."""
    from scipy import sparse  # noqa: PLC0415 - as in `zoom`

    place = (np.arange(after) + 0.5) * (before / after) - 0.5
    if order == 1:
        place, length = np.clip(place, 0, before - 1), before
    else:
        place, length = place + PADDING, before + 2 * PADDING
    first = np.floor(place).astype(int)
    part = place - first
    if order == 1:
        taps = [1 - part, part]
    else:
        first -= 1
        taps = [
            (1 - part) ** 3 / 6,
            (4 - 6 * part**2 + 3 * part**3) / 6,
            (4 - 6 * (1 - part) ** 2 + 3 * (1 - part) ** 3) / 6,
            part**3 / 6,
        ]
    columns = np.minimum(first[:, None] + np.arange(len(taps)), length - 1)
    rows = np.repeat(np.arange(after), len(taps))
    entries = (np.stack(taps, axis=1).ravel(), (rows, columns.ravel()))
    return sparse.csr_array(entries, shape=(after, length))
