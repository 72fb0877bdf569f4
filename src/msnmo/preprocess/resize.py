"""Resize: every scan to the model's input size (paper, section 3.1.2: 160 x 160 x 160)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from msnmo.core.errors import run_command
from msnmo.core.files import write_json
from msnmo.core.geometry import Crop, MaskRule, Mode, ModelSpace, Resize, resample_mask
from msnmo.core.same_grid import check_same_grid
from msnmo.core.saving import save_volume
from msnmo.core.sizes import Size, check_size
from msnmo.core.volumes import load_mask, load_volume


def main(arguments: Sequence[str] | None = None) -> None:
    """Resize one cropped scan and its brain mask. The sidecar gets the way back."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.preprocess.resize", description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="cropped scan")
    parser.add_argument("--brain", type=Path, required=True, help="cropped brain mask")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON of the cropped scan")
    parser.add_argument(
        "--size",
        type=int,
        nargs=3,
        default=[160, 160, 160],
        help="voxels along each axis, multiples of 16",
    )
    parser.add_argument(
        "--mode",
        choices=get_args(Mode),
        default="stretch",
        help="stretch each axis by its own factor, or pad and keep proportions",
    )
    parser.add_argument(
        "--order", type=int, choices=(1, 3), default=3, help="spline order for the image"
    )
    parser.add_argument(
        "--mask",
        choices=get_args(MaskRule),
        default="linear",
        help="masks: linear, then >= 0.5; or nearest",
    )
    parser.add_argument("--out-image", type=Path, required=True, help="the image, resized")
    parser.add_argument("--out-brain", type=Path, required=True, help="the mask, resized")
    parser.add_argument("--out-sidecar", type=Path, required=True, help="JSON with the way back")
    given = parser.parse_args(arguments)

    scan, brain = load_volume(given.image), load_mask(given.brain)
    check_same_grid(given.brain, brain, given.image, scan)
    space = _model_space(given.sidecar, check_size(given.size), given.mode)
    image = space.resize.apply(scan.data, given.order)
    mask = resample_mask(brain.data, space.resize, given.mask)
    save_volume(given.out_image, image, space.model)
    save_volume(given.out_brain, mask, space.model, np.uint8)
    content = {"geometry": space.to_json(), "resize": {"mode": given.mode}}
    write_json(given.out_sidecar, content)


def _model_space(sidecar: Path, size: Size, mode: Mode) -> ModelSpace:
    crop = Crop.from_sidecar(sidecar)
    return ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, size, mode))


if __name__ == "__main__":
    run_command(main)
