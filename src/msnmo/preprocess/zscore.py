"""Z-score: mean 0 and standard deviation 1, so that scanners' arbitrary units do not matter."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import read_json, write_json
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask, load_volume

Over = Literal["brain", "whole_volume"]


def zscore(image: np.ndarray, brain: np.ndarray, over: Over = "brain") -> np.ndarray:
    """Return the image with mean 0 and standard deviation 1 (paper, section 3.1.2).

    Parameters
    ----------
    image : (X, Y, Z) ndarray
        Intensities.
    brain : (X, Y, Z) ndarray of bool
        Brain mask.
    over : {"brain", "whole_volume"}
        Voxels that the mean and standard deviation are taken over. With ``brain`` the background
        is 0 afterwards.

    Returns
    -------
    (X, Y, Z) ndarray of float32

    Raises
    ------
    ValueError
        If there is no voxel to compute statistics from, or all have the same value.
    """
    voxels = image[brain] if over == "brain" else image.ravel()
    if voxels.size == 0:
        raise ValueError("the brain mask is empty")
    mean, sd = float(voxels.mean(dtype=np.float64)), float(voxels.std(dtype=np.float64))
    if sd <= 1e-6 * max(abs(mean), 1e-30):
        raise ValueError(f"all voxels have the value {mean:g}: the standard deviation is 0")
    scaled = ((image - mean) / sd).astype(np.float32)
    return np.where(brain, scaled, np.float32(0)) if over == "brain" else scaled


def main(arguments: Sequence[str] | None = None) -> None:
    """Z-score one resized scan. The sidecar gets the settings."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.preprocess.zscore", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="scan in model space")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask in model space")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON of the resized scan")
    parser.add_argument(
        "--over",
        choices=get_args(Over),
        default="brain",
        help="voxels for mean and deviation",
    )
    parser.add_argument("--out-image", type=Path, required=True, help="the image, z-scored")
    parser.add_argument("--out-sidecar", type=Path, required=True, help="JSON: how it was made")
    given = parser.parse_args(arguments)

    scan, brain = load_volume(given.image), load_mask(given.brain)
    check_same_grid(given.brain, brain, given.image, scan)
    try:
        scaled = zscore(scan.data, brain.data, given.over)
    except ValueError as error:
        remedy = "check the scan and its brain mask; exclude the scan if it shows no image"
        raise bad_input(given.image, "varied intensities", str(error), remedy) from error
    sidecar = read_json(given.sidecar) | {"zscore": {"over": given.over}}
    save_volume(given.out_image, scaled, scan.grid)
    write_json(given.out_sidecar, sidecar)


if __name__ == "__main__":
    run_command(main)
