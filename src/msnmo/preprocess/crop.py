"""Crop: removes the black background (paper, section 3.1.2), reorders axes to RAS+ (ours)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import write_json
from msnmo.core.geometry import Crop
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import Volume, load_mask, load_volume


def crop_around(path: Path, brain: Volume) -> Crop:
    """Return the crop to a brain mask.

    Raises
    ------
    InputError
        Naming `path`, if the mask is empty.
    """
    try:
        return Crop.around(brain.data, brain.grid)
    except ValueError as error:
        remedy = "look at the skull-stripped scan; choose another engine or exclude the scan"
        raise bad_input(path, "a brain mask with voxels", str(error), remedy) from error


def main(arguments: Sequence[str] | None = None) -> None:
    """Crop one scan and its brain mask. The sidecar says how to undo it."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.preprocess.crop", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="bias-corrected scan")
    parser.add_argument("--brain", type=Path, required=True, help="brain mask")
    parser.add_argument("--out-image", type=Path, required=True, help="the image, cropped")
    parser.add_argument("--out-brain", type=Path, required=True, help="the mask, cropped")
    parser.add_argument("--out-sidecar", type=Path, required=True, help="JSON with the way back")
    given = parser.parse_args(arguments)

    scan, brain = load_volume(given.image), load_mask(given.brain)
    check_same_grid(given.brain, brain, given.image, scan)
    crop = crop_around(given.brain, brain)
    save_volume(given.out_image, crop.apply(scan.data), crop.grid)
    save_volume(given.out_brain, crop.apply(brain.data), crop.grid, np.uint8)
    write_json(given.out_sidecar, {"geometry": {"crop": crop.to_json()}})


if __name__ == "__main__":
    run_command(main)
