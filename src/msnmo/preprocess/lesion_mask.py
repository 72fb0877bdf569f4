"""Lesion mask: takes it to model space by the geometry in its scan's sidecar."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from msnmo.core.errors import bad_input, run_command
from msnmo.core.geometry import MaskRule, ModelSpace, resample_mask
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask


def main(arguments: Sequence[str] | None = None) -> None:
    """Crop and resize one lesion mask like its scan."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.preprocess.lesion_mask", description=__doc__
    )
    parser.add_argument("--mask", type=Path, required=True, help="lesion mask on the native grid")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON of the scan")
    parser.add_argument(
        "--how",
        choices=get_args(MaskRule),
        default="linear",
        help="linear, then >= 0.5; or nearest",
    )
    parser.add_argument("--out", type=Path, required=True, help="the mask in model space")
    given = parser.parse_args(arguments)

    lesion = load_mask(given.mask)
    space = ModelSpace.from_sidecar(given.sidecar)
    if not lesion.grid.matches(space.native):
        expected = f"the scan's grid as recorded in {given.sidecar}"
        remedy = "delete the derivatives of this scan and run the workflow again"
        raise bad_input(given.mask, expected, f"shape {lesion.grid.shape}", remedy)
    model = resample_mask(space.crop.apply(lesion.data), space.resize, given.how)
    inside = int(space.crop.apply(lesion.data).sum())
    total = int(lesion.data.sum())
    if inside < total:
        print(f"{given.mask}: {total - inside} of {total} lesion voxels are outside the crop")
    save_volume(given.out, model, space.model, np.uint8)


if __name__ == "__main__":
    run_command(main)
