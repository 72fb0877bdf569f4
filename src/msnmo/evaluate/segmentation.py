"""Voxel overlap of a predicted lesion mask with the readers' mask."""

from __future__ import annotations

import math

import numpy as np


def overlap_metrics(prediction: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    """Return DSC, PPV, TPR and VD of one scan (paper, equations 15 to 18).

    With P the predicted and Y the true lesion voxels::

        DSC = 2 |P and Y| / (|P| + |Y|)      PPV = |P and Y| / |P|
        VD  = ||P| - |Y|| / |Y|              TPR = |P and Y| / |Y|

    Equation 18 is garbled in the paper ("predicted TP voxels"): as printed it would be TPR - 1. Our
    VD is the relative difference of the volumes. Equations 15 to 18 divide by 0 for empty masks.
    There, this rule (ours) applies:

    ========== ===== === === === ===
    prediction truth DSC PPV TPR VD
    ========== ===== === === === ===
    empty      empty 1   1   1   0
    empty      some  0   0   0   1
    some       empty 0   0   n/a n/a
    ========== ===== === === === ===

    Parameters
    ----------
    prediction, truth : (X, Y, Z) ndarray of bool
        On the same grid.

    Returns
    -------
    dict of str to float
        DSC, PPV, TPR in [0, 1], VD in [0, inf). NaN if undefined (n/a above); such values are left
        out of means and counted.

    Raises
    ------
    ValueError
        If the masks differ in shape or are not of type bool.
    """
    if prediction.shape != truth.shape or prediction.dtype != bool or truth.dtype != bool:
        raise ValueError(
            f"masks must be bool and of one shape, not {prediction.dtype} {prediction.shape} "
            f"and {truth.dtype} {truth.shape}"
        )
    both = np.count_nonzero(prediction & truth)
    predicted, true = np.count_nonzero(prediction), np.count_nonzero(truth)
    if predicted == 0 and true == 0:
        return {"DSC": 1.0, "PPV": 1.0, "TPR": 1.0, "VD": 0.0}
    return {
        "DSC": 2 * both / (predicted + true),
        "PPV": both / predicted if predicted else 0.0,
        "TPR": both / true if true else math.nan,
        "VD": abs(predicted - true) / true if true else math.nan,
    }
