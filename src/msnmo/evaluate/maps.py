"""Where the maps of a scan are that say what a network looks at, and how they are read."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np

from msnmo.core.files import PREDICT_AGAIN
from msnmo.core.volumes import Volume, check_same_grid, load_volume

CAM, GRADCAM_MAP, INTENSITY, RANDOM = "cam", "gradcam", "intensity", "random"
"""Maps: the sum of V_1 to V_3, Grad-CAM, the z-scored image, noise."""
AUROC, PEAK, ENERGY, FLAT = "auroc", "peak", "energy", "flat"
METRICS = (AUROC, PEAK, ENERGY)
"""What judges a map. `FLAT` only tells of one: 1 where it shows no place, else 0."""
CLASS_EVIDENCE = "{scan}_space-model_desc-localisation{scale}_map.nii.gz"
"""V_1 to V_3 in the folder of a fold's predictions, by scale."""
GRADCAM = "{scan}_space-model_desc-gradcam_map.nii.gz"
"""In the folder of a fold's Grad-CAM."""
SCALES = (1, 2, 3)
SMALLEST_MAXIMUM = 1e-6
"""A map whose maximum is below this shows no evidence; it is not blown up to 1."""


def has_class_evidence(predictions: Path, scan: str) -> bool:
    """Return whether a method wrote class activation maps of a scan: not all methods have them."""
    return (predictions / CLASS_EVIDENCE.format(scan=scan, scale=SCALES[0])).is_file()


def read_class_evidence(predictions: Path, scan: str) -> Volume:
    """Return the localisation map of a scan: the sum of V_1 to V_3 (equation 10), in model space.

    Parameters
    ----------
    predictions : Path
        Folder of a fold's predictions.
    scan : str

    Returns
    -------
    Volume
        float32, not normalised: above 0 speaks for the predicted class.

    Raises
    ------
    InputError
        Naming the file, if one of the three is missing, damaged or on another grid.
    """
    paths = [predictions / CLASS_EVIDENCE.format(scan=scan, scale=scale) for scale in SCALES]
    maps = [load_volume(path) for path in paths]
    for path, each in zip(paths[1:], maps[1:], strict=True):
        check_same_grid(path, each, paths[0], maps[0], PREDICT_AGAIN)
    return Volume(reduce(np.add, (each.data for each in maps)), maps[0].grid)


def as_share(values: np.ndarray) -> np.ndarray:
    """Return what speaks for the class as a share of the map's maximum, 0 to 1.

    A map without positive values is 0 everywhere.
    """
    positive = np.maximum(values, 0)
    return positive / max(float(positive.max()), SMALLEST_MAXIMUM)
