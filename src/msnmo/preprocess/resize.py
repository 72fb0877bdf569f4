"""Resize: every scan to the model's input size (paper, section 3.1.2: 160 x 160 x 160)."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from msnmo.core.errors import MsnmoError, run_command
from msnmo.core.files import write_json
from msnmo.core.geometry import Crop, MaskRule, Mode, ModelSpace, Resize, Shape, resample_mask
from msnmo.core.volumes import check_same_grid, load_mask, load_volume, save_volume

STRIDE = 16


def check_size(size: list[int]) -> Shape:
    """Return the model's input size, if the network can take it.

    Raises
    ------
    MsnmoError
        If it is not three positive multiples of 16.
    """
    if len(size) != 3 or any(length < STRIDE or length % STRIDE for length in size):
        raise MsnmoError(
            f"config resize.size: expected three positive multiples of {STRIDE}, found {size}; "
            "use for example [160, 160, 160]"
        )
    i, j, k = size
    return i, j, k


def main(arguments: Sequence[str] | None = None) -> None:
    """Resize one cropped scan and its brain mask; the sidecar gains what inverts it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--image", type=Path, required=True, help="cropped scan")
    parser.add_argument("--brain", type=Path, required=True, help="cropped brain mask")
    parser.add_argument("--sidecar", type=Path, required=True, help="JSON of the cropped scan")
    parser.add_argument("--size", type=int, nargs=3, default=[160, 160, 160])
    parser.add_argument("--mode", choices=get_args(Mode), default="stretch")
    parser.add_argument("--order", type=int, choices=(1, 3), default=3, help="splines of the image")
    parser.add_argument("--mask", choices=get_args(MaskRule), default="linear")
    parser.add_argument("--out-image", type=Path, required=True)
    parser.add_argument("--out-brain", type=Path, required=True)
    parser.add_argument("--out-sidecar", type=Path, required=True)
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


def _model_space(sidecar: Path, size: Shape, mode: Mode) -> ModelSpace:
    crop = Crop.from_sidecar(sidecar)
    return ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, size, mode))


if __name__ == "__main__":
    run_command(main)
