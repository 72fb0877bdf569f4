"""Features of a scan outside lesions that may reveal its scanner: intensity, sharpness, voxel size.

They are measured on the scan's own grid, after N4, in brain voxels away from lesions.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from scipy import ndimage

from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, write_json
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume, load_mask, load_volume
from msnmo.predict.fill import RIM, widened

FEATURES = (
    *("variation", "upper_to_lower", "tails", "gradient", "roughness"),
    *("smallest_voxel_mm", "largest_voxel_mm"),
)
PERCENTILES = (1, 5, 25, 50, 75, 95, 99)
MOST = 1000.0
"""Upper limit of ratios: some scans arrive with a mean of zero."""
DECIMALS = 6


def measure(scan: Volume, brain: np.ndarray, lesion: np.ndarray) -> dict[str, float]:
    """Return the features of one scan, by name.

    Parameters
    ----------
    scan : Volume
    brain, lesion : (X, Y, Z) ndarray of bool

    Returns
    -------
    dict
        variation: standard deviation over mean. upper_to_lower: distance of the 95th centile from
        the median, over that of the 5th. tails: range from the 1st to the 99th centile, over the
        range of the quartiles. gradient: mean gradient per mm, over the standard deviation.
        roughness: standard deviation of the Laplacian per voxel, over that of the scan.
        smallest_voxel_mm, largest_voxel_mm: sides of a voxel.

    Raises
    ------
    ValueError
        If no brain is left, or if all of it has one value.
    """
    # differences reach one voxel further than the mask
    inside = ndimage.binary_erosion(brain) & ~widened(lesion, RIM + 1)
    if not inside.any():
        raise ValueError("no brain voxel that is away from lesions")
    image = scan.data.astype(np.float64)
    voxels = image[inside]
    deviation = float(voxels.std())
    if not deviation:
        raise ValueError(f"all of the brain has the value {voxels[0]:g}")
    p1, p5, p25, p50, p75, p95, p99 = np.percentile(voxels, PERCENTILES)
    steps = [np.gradient(image, size, axis=axis) for axis, size in enumerate(scan.grid.voxel_mm)]
    gradient = np.sqrt(sum(step**2 for step in steps))[inside]
    values = (
        _ratio(deviation, abs(voxels.mean())),
        _ratio(p95 - p50, p50 - p5),
        _ratio(p99 - p1, p75 - p25),
        float(gradient.mean()) / deviation,
        float(ndimage.laplace(image)[inside].std()) / deviation,
        float(scan.grid.voxel_mm.min()),
        float(scan.grid.voxel_mm.max()),
    )
    return dict(zip(FEATURES, values, strict=True))


def _ratio(above: float, below: float) -> float:
    """Return a ratio of two non-negative numbers, at most `MOST`; 0 if both are 0."""
    return float(above / max(below, above / MOST)) if above else 0.0


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the features of one scan."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.image_features", description=__doc__
    )
    parser.add_argument("--image", type=Path, required=True, help="the scan after N4")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask on its grid")
    parser.add_argument("--lesion", type=Path, required=True, help="lesion mask on its grid")
    parser.add_argument("--out", type=Path, required=True, help="JSON")
    given = parser.parse_args(arguments)

    image, brain, lesion = load_volume(given.image), load_mask(given.brain), load_mask(given.lesion)
    for path, mask in ((given.brain, brain), (given.lesion, lesion)):
        check_same_grid(path, mask, given.image, image, MAKE_AGAIN)
    try:
        features = measure(image, brain.data, lesion.data)
    except ValueError as error:
        remedy = "check the scan and its masks, or exclude the scan"
        raise bad_input(given.image, "varied brain without lesions", str(error), remedy) from error
    write_json(given.out, {name: round(value, DECIMALS) for name, value in features.items()})


if __name__ == "__main__":
    run_command(main)
