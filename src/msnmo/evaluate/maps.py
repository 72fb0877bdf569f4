"""Find and read the maps of a scan that show what a network looks at."""

from __future__ import annotations

from functools import reduce
from pathlib import Path

import numpy as np

from msnmo.core.files import PREDICT_AGAIN
from msnmo.core.geometry import ModelSpace, resample, resample_mask, same_extent
from msnmo.core.grid import Grid
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume, load_mask, load_volume

CAM, GRADCAM_MAP, INTENSITY, RANDOM = "cam", "gradcam", "intensity", "random"
"""Maps: the sum of V_1 to V_3, Grad-CAM, the z-scored image, noise."""
AUROC, PEAK, ENERGY, FLAT = "auroc", "peak", "energy", "flat"
METRICS = (AUROC, PEAK, ENERGY)
"""Metrics of a map. `FLAT` only describes it: 1 if it shows no place, else 0."""
CLASS_EVIDENCE = "{scan}_space-model_desc-localisation{scale}_map.nii.gz"
"""V_1 to V_3 in the folder of a fold's predictions, by scale."""
GRADCAM = "{scan}_space-model_desc-gradcam_map.nii.gz"
"""In the folder of a fold's Grad-CAM."""
SCALES = (1, 2, 3)
SMALLEST_MAXIMUM = 1e-6
"""A map whose maximum is below this shows no evidence. It is not scaled up to 1."""


def has_class_evidence(predictions: Path, scan: str) -> bool:
    """Return whether a method wrote class activation maps of a scan. Not all methods have them."""
    return (predictions / CLASS_EVIDENCE.format(scan=scan, scale=SCALES[0])).is_file()


def read_class_evidence(predictions: Path, scan: str, model: Grid) -> np.ndarray:
    """Return the localisation map of a scan: the sum of V_1 to V_3 (equation 10), in model space.

    Parameters
    ----------
    predictions : Path
        Folder of a fold's predictions.
    scan : str
    model : Grid
        The scan's grid in model space.

    Returns
    -------
    (X, Y, Z) ndarray of float32
        Not normalised: values above 0 are evidence for the predicted class. As in `read_map`.

    Raises
    ------
    InputError
        Names the file, if one of the three is missing, damaged or of another extent.
    """
    paths = (predictions / CLASS_EVIDENCE.format(scan=scan, scale=scale) for scale in SCALES)
    return reduce(np.add, (read_map(path, model) for path in paths))


def read_map(path: Path, model: Grid) -> np.ndarray:
    """Return a map of a network, interpolated (linear) from its own grid to model space.

    Parameters
    ----------
    path : Path
    model : Grid
        The scan's grid in model space.

    Returns
    -------
    (X, Y, Z) ndarray of float32
        Only for the brain's voxels. Outside, where there are no lesions, a map falls to 0 within a
        few voxels: code that shows it must cut it off at the brain.

    Raises
    ------
    InputError
        Names the file, if it is missing, damaged or of another extent.
    """
    coarse = load_volume(path)
    expected = Volume(coarse.data, same_extent(model, coarse.grid.shape))
    check_same_grid(path, coarse, "the scan, at the map's size", expected, PREDICT_AGAIN)
    return resample(coarse.data, model.shape, order=1)


def brain_in_model_space(sidecar: Path | str, native_brain: Path | str) -> Volume:
    """Return a scan's brain mask in model space, from its mask on the original grid.

    Raises
    ------
    InputError
        Names a file that cannot be read.
    """
    space = ModelSpace.from_sidecar(sidecar)
    native = load_mask(native_brain)
    return Volume(resample_mask(space.crop.apply(native.data), space.resize, "linear"), space.model)


def as_share(values: np.ndarray) -> np.ndarray:
    """Return the evidence for the class as a share of the map's maximum, 0 to 1.

    A map without positive values is 0 everywhere.
    """
    positive = np.maximum(values, 0)
    return positive / max(float(positive.max()), SMALLEST_MAXIMUM)
