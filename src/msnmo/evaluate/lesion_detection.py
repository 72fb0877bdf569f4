"""Lesion-wise metrics, distances and volumes: what the MS field expects besides overlap.

Lesions are components of voxels that touch by a side, an edge or a corner (26-connected), on the
scan's own grid. Lesions below the smallest volume are not counted.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from msnmo.core.grid import Grid
from msnmo.core.numbers import FEWEST_FOR_CORRELATION

TOUCH = np.ones((3, 3, 3), dtype=bool)
MM3_DECIMALS = 3
"""Tolerance of a lesion's volume, against header rounding: 3 voxels of 1 mm3 are 3 mm3."""


@dataclass(frozen=True)
class Lesions:
    """The lesions of one mask.

    Parameters
    ----------
    labels : (X, Y, Z) ndarray of int
        0 outside, 1 to N within.
    volumes_mm3 : (N,) ndarray of float
        Volumes of lesion 1 to N.
    """

    labels: np.ndarray
    volumes_mm3: np.ndarray

    @classmethod
    def of_mask(cls, mask: np.ndarray, grid: Grid) -> Lesions:
        """Return the lesions of a bool mask on its grid."""
        labels, count = ndimage.label(mask, structure=TOUCH)
        voxels = np.bincount(labels.ravel(), minlength=count + 1)[1:]
        return cls(labels, np.round(voxels * (1000 * grid.voxel_ml), MM3_DECIMALS))

    def touched_by(self, mask: np.ndarray) -> np.ndarray:
        """Return for each lesion whether one of its voxels is in a mask, (N,) bool."""
        touched = np.zeros(len(self.volumes_mm3) + 1, dtype=bool)
        touched[self.labels[mask]] = True
        return touched[1:]


def lesion_metrics(
    prediction: np.ndarray, truth: np.ndarray, grid: Grid, smallest_mm3: float
) -> dict[str, float]:
    """Return the lesion-wise LTPR, LFPR and LF1 of one scan (ISBI 2015; Carass et al. 2017).

    ::

        LTPR = true lesions that touch the prediction / true lesions
        LFPR = predicted lesions that touch no true lesion / predicted lesions
        LF1  = 2 LTPR (1 - LFPR) / (LTPR + 1 - LFPR)

    A lesion is touched if one of its voxels is. Lesions below `smallest_mm3` are not counted (3 mm3
    in animaSegPerfAnalyzer, the tool of the MSSEG challenges), but they can touch and be touched:
    marking a lesion that is too small to count is no false finding. If one side has no counted
    lesions:

    ========== ===== ==== ==== ===
    prediction truth LTPR LFPR LF1
    ========== ===== ==== ==== ===
    none       none  1    0    1
    none       some  0    0    0
    some       none  n/a  1    0
    ========== ===== ==== ==== ===

    A prediction that touches only lesions too small to count is treated as no prediction in the
    last row.

    Parameters
    ----------
    prediction, truth : (X, Y, Z) ndarray of bool
    grid : Grid
        Grid of both.
    smallest_mm3 : float
        Smallest volume of a counted lesion.

    Returns
    -------
    dict of str to float
        In [0, 1]; NaN where undefined.
    """
    touched = _counted(truth, prediction, grid, smallest_mm3)
    right = _counted(prediction, truth, grid, smallest_mm3)
    return lesion_rates(touched, right)


def _counted(lesions: np.ndarray, other: np.ndarray, grid: Grid, smallest_mm3: float) -> np.ndarray:
    """Return for each counted lesion of a mask whether it has a voxel in the other mask."""
    found = Lesions.of_mask(lesions, grid)
    return found.touched_by(other)[found.volumes_mm3 >= smallest_mm3]


def lesion_rates(found: np.ndarray, right: np.ndarray) -> dict[str, float]:
    """Return LTPR, LFPR and LF1, as in `lesion_metrics`.

    Parameters
    ----------
    found : (N,) ndarray of bool
        For each true lesion, whether the prediction touches it.
    right : (M,) ndarray of bool
        For each predicted lesion, whether it touches a true one.
    """
    if not len(found):
        clean = bool(right.all())
        wrong = 1 - float(right.mean()) if len(right) else 0.0
        return {"LTPR": 1.0 if clean else math.nan, "LFPR": wrong, "LF1": float(clean)}
    sensitivity = float(found.mean())
    precision = float(right.mean()) if len(right) else 0.0
    both = sensitivity + precision
    return {
        "LTPR": sensitivity,
        "LFPR": 1 - precision if len(right) else 0.0,
        "LF1": 2 * sensitivity * precision / both if both else 0.0,
    }


def distance_metrics(prediction: np.ndarray, truth: np.ndarray, grid: Grid) -> dict[str, float]:
    """Return HD95 and ASD of one scan in mm (MONAI's).

    HD95 is the larger of the two 95th centiles of the distances from one mask's surface to the
    other's. ASD is the mean of all these distances, in both directions. A surface voxel is one that
    touches the outside.

    No distance is defined to an empty mask. If such scans were left out of means, a network would
    look better for finding nothing. So if only one mask is empty, both values are the diagonal of
    the grid, as in BraTS (373.13 mm for 240 x 240 x 155 voxels of 1 mm). No distance between two
    voxels is that long. If both masks are empty, both values are 0.

    Parameters
    ----------
    prediction, truth : (X, Y, Z) ndarray of bool
    grid : Grid
        Grid of both. Distances use its voxel sizes.

    Returns
    -------
    dict of str to float
        In [0, diagonal of the grid].
    """
    if not prediction.any() or not truth.any():
        value = 0.0 if prediction.any() == truth.any() else diagonal_mm(grid)
        return {"HD95": value, "ASD": value}
    import torch  # noqa: PLC0415 - takes seconds, which only whole folds are worth
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance  # noqa: PLC0415
    from monai.metrics.surface_distance import compute_average_surface_distance  # noqa: PLC0415

    box = ndimage.find_objects((prediction | truth).astype(np.uint8))[0]
    # pad by one voxel, so that a mask that fills the box still has a surface
    one, other = (
        torch.from_numpy(np.pad(mask[box], 1))[None, None] for mask in (prediction, truth)
    )
    spacing = [float(size) for size in grid.voxel_mm]
    options: dict[str, Any] = {"include_background": True, "spacing": spacing}
    with warnings.catch_warnings():
        # MONAI 1.6 calls its own function with a deprecated argument
        warnings.filterwarnings(
            "ignore", message=".*always_return_as_numpy", category=FutureWarning
        )
        return {
            "HD95": float(compute_hausdorff_distance(one, other, percentile=95, **options)),
            "ASD": float(compute_average_surface_distance(one, other, symmetric=True, **options)),
        }


def diagonal_mm(grid: Grid) -> float:
    """Return the length of the diagonal of a grid in mm, from its first corner to its last."""
    return float(np.linalg.norm(np.multiply(grid.shape, grid.voxel_mm)))


def volume_metrics(prediction: np.ndarray, truth: np.ndarray, grid: Grid) -> dict[str, float]:
    """Return the volumes V_PRED and V_TRUE of the masks and their difference AVD, in ml."""
    predicted, true = (float(mask.sum() * grid.voxel_ml) for mask in (prediction, truth))
    return {"V_TRUE": true, "V_PRED": predicted, "AVD": abs(predicted - true)}


def volume_correlation(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return Pearson's r of the scans' true and predicted lesion volumes.

    NaN for fewer than `FEWEST_FOR_CORRELATION` scans, or if either volume is the same in all scans.
    """
    if len(true) < FEWEST_FOR_CORRELATION or np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return math.nan
    return float(np.corrcoef(true, predicted)[0, 1])
