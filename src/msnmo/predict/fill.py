"""Fill lesions from their surroundings: the same scan as if it had no lesions.

The mean of the filled part is harmonic: each voxel is the mean of its neighbours, and at the edge
it meets the voxels of the scan. That alone would be smoother than any brain, and would reveal where
lesions were. So noise with the strength and coarseness of the surroundings is added by conditional
simulation (Journel, Economic Geology 69:673, 1974). The noise is drawn for the whole brain. Its
values at the edge are filled like the image, and the difference is added, so that there is no step
at the edge. Local means and deviations come from normalised convolution (Knutsson & Westin, CVPR
1993).

The command z-scores the filled scan. The scan's own mean and deviation included its lesions, so
every voxel would reveal how much lesion there was.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np
from scipy import ndimage, sparse
from scipy.sparse.linalg import cg

from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.seeds import derive_seed
from msnmo.core.volumes import load_mask, load_volume
from msnmo.preprocess.zscore import Over, zscore

SEED = 0
"""Seed of the noise, together with the scan's name. The config's seed does not matter."""

RIM = 1
"""Voxels by which a lesion mask is widened: its rim is partly lesion and is filled too."""
AROUND = 3
"""Width in voxels of the surroundings whose noise is imitated."""
MEAN_WIDTH, SPREAD_WIDTH = 2.0, 4.0
"""Standard deviations, in voxels, of the Gaussians of local means and of local deviations."""
LEAST_WEIGHT = 1e-6
"""Smallest weight of a local mean.

With less brain in reach, the mean of all known voxels is used.
"""
MOST_ALIKE = 0.98
"""Largest correlation of neighbours that the noise imitates."""
TOLERANCE = 1e-4
"""Relative tolerance of the harmonic mean."""


def widened(mask: np.ndarray, voxels: int) -> np.ndarray:
    """Return a mask (X, Y, Z) widened by this many steps, diagonal steps included."""
    if not voxels:
        return mask
    return ndimage.binary_dilation(mask, ndimage.generate_binary_structure(3, 3), voxels)


def fill_lesions(image: np.ndarray, lesion: np.ndarray, brain: np.ndarray, seed: int) -> np.ndarray:
    """Return a scan with its lesions and a rim of `RIM` voxels filled from their surroundings.

    Parameters
    ----------
    image : (X, Y, Z) ndarray
        z-scored.
    lesion, brain : (X, Y, Z) ndarray of bool
        Only the brain is filled, and only from brain.
    seed : int
        Seed of the noise.

    Returns
    -------
    (X, Y, Z) ndarray of float32
        Unfilled voxels keep the exact values of `image`. Filled voxels lie within the range of the
        brain around them.

    Raises
    ------
    ValueError
        If the shapes differ, or if lesions leave no brain to fill them from.
    """
    if not image.shape == lesion.shape == brain.shape:
        raise ValueError(f"shapes differ: {image.shape}, {lesion.shape}, {brain.shape}")
    filled = image.astype(np.float32)
    hidden = widened(lesion, RIM) & brain
    if not hidden.any():
        return filled
    known = brain & ~hidden
    if not known.any():
        raise ValueError("lesions cover the whole brain")
    values = image.astype(np.float64)
    around = known & widened(hidden, AROUND)
    # lesions in a separate part of the brain mask have nothing around them
    around = around if around.any() else known
    noise = _noise_like(values, known, around, seed)
    made = _harmonic(values - noise, hidden, known) + noise[hidden]
    filled[hidden] = np.clip(made, values[around].min(), values[around].max())
    return filled


def _local_mean(values: np.ndarray, known: np.ndarray, width: float) -> np.ndarray:
    """Return the mean of the known voxels around each voxel, weighted by a Gaussian."""
    weight = ndimage.gaussian_filter(known.astype(np.float64), width, mode="constant")
    total = ndimage.gaussian_filter(np.where(known, values, 0.0), width, mode="constant")
    everywhere = np.full(values.shape, values[known].mean())
    return np.divide(total, weight, out=everywhere, where=weight > LEAST_WEIGHT)


def _noise_like(values: np.ndarray, known: np.ndarray, around: np.ndarray, seed: int) -> np.ndarray:
    """Return Gaussian noise (X, Y, Z) with a scan's local strength and coarseness per axis.

    Noise smoothed by a Gaussian of deviation s has a correlation of exp(-1 / 4s²) between
    neighbours. s is chosen so that this equals the correlation in the detail `around`.
    """
    detail = values - _local_mean(values, known, MEAN_WIDTH)
    spread = np.sqrt(_local_mean(detail**2, known, SPREAD_WIDTH))
    alike = [_correlation_of_neighbours(detail, around, axis) for axis in range(3)]
    widths = [1 / np.sqrt(-4 * np.log(min(each, MOST_ALIKE))) if each > 0 else 0 for each in alike]
    white = np.random.default_rng(seed).standard_normal(values.shape)
    noise = ndimage.gaussian_filter(white, widths, mode="wrap")
    return noise / noise.std() * spread


def _correlation_of_neighbours(detail: np.ndarray, around: np.ndarray, axis: int) -> float:
    """Return Pearson's r of neighbours along an axis; 0 if it is undefined."""
    first, second = _neighbours(axis)
    pairs = around[first] & around[second]
    one, other = detail[first][pairs], detail[second][pairs]
    if len(one) < 2 or not one.std() or not other.std():
        return 0.0
    return float(np.corrcoef(one, other)[0, 1])


def _neighbours(axis: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """Return the places of all voxels with a next voxel along an axis, and of those next voxels."""
    whole = [slice(None)] * 3
    first, second = whole.copy(), whole.copy()
    first[axis], second[axis] = slice(-1), slice(1, None)
    return tuple(first), tuple(second)


def _harmonic(values: np.ndarray, hidden: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Return the values of the hidden voxels, (N,): each is the mean of its six neighbours.

    Neighbours that are neither hidden nor known do not count. Hidden parts that touch no known
    voxel get the mean of all known voxels.
    """
    count = int(hidden.sum())
    number = np.full(hidden.shape, -1)
    number[hidden] = np.arange(count)
    neighbours, sums = np.zeros(count), np.zeros(count)
    rows: list[np.ndarray] = []
    columns: list[np.ndarray] = []
    for axis in range(3):
        first, second = _neighbours(axis)
        for here, there in ((first, second), (second, first)):
            inner = hidden[here] & hidden[there]
            rows.append(number[here][inner])
            columns.append(number[there][inner])
            outer = hidden[here] & known[there]
            # each voxel is listed once per direction, six times in all
            sums[number[here][outer]] += values[there][outer]
            neighbours[number[here][inner | outer]] += 1
    links = (np.concatenate(rows), np.concatenate(columns))
    between = sparse.csr_array((np.ones(len(links[0])), links), shape=(count, count))
    start = np.full(count, values[known].mean())
    # start from the mean, which stays where no known voxel is near
    solved, _ = cg(
        sparse.diags_array(neighbours) - between, sums, x0=start, rtol=TOLERANCE, atol=TOLERANCE
    )
    return solved


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a scan in model space with its lesions filled."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.predict.fill", description=__doc__)
    parser.add_argument("--scan", required=True, help="its name, which determines the noise")
    parser.add_argument("--image", type=Path, required=True, help="in model space, z-scored")
    parser.add_argument("--lesion", type=Path, required=True, help="lesion mask in model space")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask in model space")
    parser.add_argument(
        "--over",
        choices=get_args(Over),
        default="brain",
        help="voxels for mean and deviation",
    )
    parser.add_argument("--out", type=Path, required=True, help="the image, filled and z-scored")
    given = parser.parse_args(arguments)

    image = load_volume(given.image)
    lesion, brain = load_mask(given.lesion), load_mask(given.brain)
    for path, mask in ((given.lesion, lesion), (given.brain, brain)):
        check_same_grid(path, mask, given.image, image, MAKE_AGAIN)
    try:
        seed = derive_seed(SEED, "filled", given.scan)
        filled = fill_lesions(image.data, lesion.data, brain.data, seed)
        scaled = zscore(filled, brain.data, given.over)
    except ValueError as error:
        remedy = "check the scan's lesion and brain masks, or exclude the scan"
        raise bad_input(
            given.lesion, "lesions that leave brain around them", str(error), remedy
        ) from error
    hidden = int((widened(lesion.data, RIM) & brain.data).sum())
    print(
        f"{hidden} voxels filled, {int((lesion.data & ~brain.data).sum())} outside the brain not "
        "filled"
    )
    save_volume(given.out, scaled, image.grid)


if __name__ == "__main__":
    run_command(main)
