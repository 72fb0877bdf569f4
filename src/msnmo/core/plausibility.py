"""What speaks against a volume being what it is said to be: a whole brain, a stripped scan."""

from __future__ import annotations

import numpy as np

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume

# Litres; the range of adult intracranial volumes with a wide margin on both sides
LEAST_LITRES, MOST_LITRES = 0.5, 2.5
# Share of the voxels on the volume's faces that may differ from 0 in a scan with no background
MOST_ON_FACES = 0.5
SMALLEST_VOXEL_MM, LARGEST_VOXEL_MM = 0.2, 8.0
# The shortest side of a stripped adult brain is 100 mm and more; no bore is wider than 700 mm
SMALLEST_VIEW_MM, LARGEST_VIEW_MM = 80.0, 700.0
# A mask or label map has few values; int8 scans have over a hundred
FEWEST_VALUES = 9


def volume_doubts(mask: np.ndarray, grid: Grid) -> list[str]:
    """Return doubts that a mask is a whole brain, by its volume; empty if there are none."""
    litres = int(mask.sum()) * grid.voxel_ml / 1000.0
    if LEAST_LITRES <= litres <= MOST_LITRES:
        return []
    return [
        f"brain mask of {litres:.2f} litres, outside {LEAST_LITRES:g} to {MOST_LITRES:g} litres"
    ]


def background_doubts(scan: Volume) -> list[str]:
    """Return doubts that the scan's background is zero; empty if there are none."""
    share = share_on_faces(scan.data)
    if share <= MOST_ON_FACES:
        return []
    return [f"{share:.0%} of the voxels on the volume's faces are not zero"]


def share_on_faces(data: np.ndarray) -> float:
    """Return the share of the voxels on the volume's six faces that are not zero."""
    faces = np.concatenate([data.take((0, -1), axis=axis).ravel() for axis in range(3)])
    return float((faces != 0).mean())
