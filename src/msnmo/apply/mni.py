"""Lesion masks of new scans in MNI space, for maps of a group.

They come by the registration that lesions are located by. A brain that is bent to a template has
other volumes: what is reported of lesions, number and volume, is of the scan's own space.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from msnmo.apply.location import QUALITY, carry, sidecar_of
from msnmo.apply.prepared import Prepared
from msnmo.apply.preprocess import run_module
from msnmo.apply.template import load_template
from msnmo.bundle.contents import NOT_FOR_DIAGNOSIS
from msnmo.core.errors import run_command
from msnmo.core.files import read_json, write_json
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask
from msnmo.preprocess.n4 import use_one_thread

SPACE = "MNI152NLin2009aSym"
"""As BIDS calls the template's space."""
TEMPLATE = (
    "ICBM 2009a nonlinear symmetric, 1 mm, as nilearn carries it: Copyright (C) 1993-2009 Louis "
    "Collins, McConnell Brain Imaging Centre, Montreal Neurological Institute, McGill University; "
    "free for any purpose provided this notice appears"
)
INTERPOLATION = (
    "nearest neighbour: each voxel of the template has the value of the scan's voxel that its "
    "centre comes to lie in, so that no value is made up"
)
VOLUMES = (
    "not of this space: the registration stretches brain and lesions. Numbers and volumes of "
    "lesions are those of the mask in the scan's own space"
)


@dataclass(frozen=True)
class Registered:
    """What a registration to the template left.

    Parameters
    ----------
    regions : Path
        The template's regions on the scan's own grid, a JSON file beside it.
    transforms : tuple of Path
        That take the scan to the template, in the order of ANTs; none if they were not asked for.
    """

    regions: Path
    transforms: tuple[Path, ...] = ()


def register(prepared: Prepared, folder: Path, with_transforms: bool = False) -> Registered:
    """Register a scan to the MNI template, in a process of its own.

    Raises
    ------
    MsnmoError
        If it fails or is not believable.
    """
    regions = folder / f"{prepared.name}_desc-regions_dseg.nii.gz"
    arguments = ["--image", prepared.n4, "--brain", prepared.brain, "--out", regions]
    transforms: tuple[Path, ...] = ()
    if with_transforms:
        transforms = (folder / "to-mni_warp.nii.gz", folder / "to-mni_affine.mat")
        arguments += ["--out-transforms", *transforms]
    run_module(prepared.name, ["-m", "msnmo.apply.location", *map(str, arguments)])
    return Registered(regions, transforms)


def write_in_mni(stem: Path, scan: str, registered: Registered) -> None:
    """Write a scan's lesion mask in MNI space beside that of its own, in a process of its own.

    Parameters
    ----------
    stem : Path
        Folder and name that the scan's results begin with.
    scan : str
    registered : Registered
        With transforms.
    """
    arguments = [
        *("--mask", f"{stem}_desc-lesion_mask.nii.gz"),
        *("--registration", sidecar_of(registered.regions)),
        *("--transforms", *registered.transforms),
        *("--out", f"{stem}_space-{SPACE}_desc-lesion_mask.nii.gz"),
    ]
    run_module(scan, ["-m", "msnmo.apply.mni", *map(str, arguments)])


def main(arguments: Sequence[str] | None = None) -> None:
    """Write a lesion mask on the template's grid, and beside it (.json) how it came there."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.apply.mni", description=__doc__)
    parser.add_argument("--mask", type=Path, required=True, help="lesions, in the scan's own space")
    parser.add_argument("--registration", type=Path, required=True, help="JSON, of its quality")
    parser.add_argument(
        "--transforms", type=Path, nargs="+", required=True, help="of msnmo.apply.location"
    )
    parser.add_argument("--out", type=Path, required=True, help="NIfTI; .json comes beside it")
    given = parser.parse_args(arguments)
    use_one_thread()
    lesions, grid = load_mask(given.mask), load_template().grid
    moved = carry(lesions.data, lesions.grid, grid, [str(path) for path in given.transforms])
    save_volume(given.out, moved > 0, grid, np.uint8)
    quality = read_json(given.registration)
    content = {
        "warning": NOT_FOR_DIAGNOSIS,
        "SpatialReference": TEMPLATE,
        "Sources": [given.mask.name],
        "interpolation": INTERPOLATION,
        "volumes": VOLUMES,
        **{name: quality[name] for name in QUALITY},
    }
    write_json(sidecar_of(given.out), content)


if __name__ == "__main__":
    run_command(main)
