"""Lesions found and missed, distances and volumes: what the MS field expects beside overlap.

Lesions are components of voxels that touch by a side, an edge or a corner (26-connected).
"""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np
from scipy import ndimage

from msnmo.core.volumes import Grid

TOUCH = np.ones((3, 3, 3), dtype=bool)


def lesion_metrics(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return the lesion-wise LTPR, LFPR and LF1 of one scan (ISBI 2015; Carass et al. 2017).

    ::

        LTPR = true lesions that touch the prediction / true lesions
        LFPR = predicted lesions that touch no true lesion / predicted lesions
        LF1  = 2 LTPR (1 - LFPR) / (LTPR + 1 - LFPR)

    A lesion is touched where one voxel of it is. Without lesions on a side:

    ========== ===== ==== ==== ===
    prediction truth LTPR LFPR LF1
    ========== ===== ==== ==== ===
    empty      empty 1    0    1
    empty      some  0    0    0
    some       empty n/a  1    0
    ========== ===== ==== ==== ===

    Parameters
    ----------
    prediction, truth : (X, Y, Z) ndarray of bool
        On the same grid.

    Returns
    -------
    dict of str to float
        In [0, 1]; NaN where undefined.
    """
    found, true = _touched(truth, prediction)
    right, predicted = _touched(prediction, truth)
    if not true:
        clean = float(predicted == 0)
        return {"LTPR": 1.0 if clean else math.nan, "LFPR": 1.0 - clean, "LF1": clean}
    sensitivity, precision = found / true, right / predicted if predicted else 0.0
    both = sensitivity + precision
    return {
        "LTPR": sensitivity,
        "LFPR": 1 - precision if predicted else 0.0,
        "LF1": 2 * sensitivity * precision / both if both else 0.0,
    }


def _touched(lesions: np.ndarray, other: np.ndarray) -> tuple[int, int]:
    """Return how many lesions of a mask have a voxel in the other, and how many there are."""
    labels, count = ndimage.label(lesions, structure=TOUCH)
    return len(np.unique(labels[other & lesions])), count


def distance_metrics(prediction: np.ndarray, truth: np.ndarray, grid: Grid) -> dict[str, float]:
    """Return HD95 and ASD of one scan in mm (MONAI's).

    HD95 is the larger of the two 95th centiles of the distances from one mask's surface to the
    other's; ASD is the mean of all these distances, both ways. A surface voxel is one that touches
    the outside.

    To an empty mask no distance is defined. Were such scans left out of means, a network would look
    the better for finding nothing. So where one mask alone is empty both are the diagonal of the
    grid, as in BraTS (373.13 mm of 240 x 240 x 155 voxels of 1 mm): no distance between two voxels
    is as long. Where both are empty, both are 0.

    Parameters
    ----------
    prediction, truth : (X, Y, Z) ndarray of bool
    grid : Grid
        Of both; its voxel sizes are what distances are measured with.

    Returns
    -------
    dict of str to float
        In [0, diagonal of the grid].
    """
    if not prediction.any() or not truth.any():
        value = 0.0 if prediction.any() == truth.any() else diagonal_mm(grid)
        return {"HD95": value, "ASD": value}
    import torch  # noqa: PLC0415 - seconds that only whole folds are worth
    from monai.metrics.hausdorff_distance import compute_hausdorff_distance  # noqa: PLC0415
    from monai.metrics.surface_distance import compute_average_surface_distance  # noqa: PLC0415

    box = ndimage.find_objects((prediction | truth).astype(np.uint8))[0]
    # one voxel around: a mask that fills the box has its surface there all the same
    one, other = (
        torch.from_numpy(np.pad(mask[box], 1))[None, None] for mask in (prediction, truth)
    )
    spacing = [float(size) for size in grid.voxel_mm]
    options: dict[str, Any] = {"include_background": True, "spacing": spacing}
    with warnings.catch_warnings():
        # MONAI 1.6 calls its own function with an argument that it has deprecated
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
    """Return the volumes V_PRED and V_TRUE of both masks and their difference AVD, in ml."""
    predicted, true = (float(mask.sum() * grid.voxel_ml) for mask in (prediction, truth))
    return {"V_TRUE": true, "V_PRED": predicted, "AVD": abs(predicted - true)}


def volume_correlation(true: np.ndarray, predicted: np.ndarray) -> float:
    """Return Pearson's r of the scans' true and predicted lesion volumes.

    NaN for fewer than three scans, or where either volume is the same in all.
    """
    if len(true) < 3 or np.ptp(true) == 0 or np.ptp(predicted) == 0:
        return math.nan
    return float(np.corrcoef(true, predicted)[0, 1])
