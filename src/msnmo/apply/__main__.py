"""Apply a bundle to new scans: lesion masks in each scan's own space, class, lesions, pages.

Give NIfTI files, or folders of DICOM with --ids. Research output, not for diagnosis.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import get_args

from msnmo.compute.options import add_arguments
from msnmo.core.command import program
from msnmo.core.errors import run_command
from msnmo.core.extras import require_extra
from msnmo.core.paths import path_argument
from msnmo.settings.skullstrip import Engine


def main(arguments: Sequence[str] | None = None) -> None:
    """Apply a bundle to scans; what is wrong of one stops no other.

    Raises
    ------
    MsnmoError
        At the end, with all that went wrong.
    """
    given = _parse(arguments)
    _require_extras(given)
    from msnmo.apply.scans import apply_to_scans  # noqa: PLC0415 - torch, which --help needs not

    apply_to_scans(given)


def _require_extras(given: argparse.Namespace) -> None:
    if given.dicom_seg or any(path.is_dir() for path in given.scans):
        require_extra("dicom", "msnmo apply to DICOM")
    if given.locations:
        require_extra("locations", "msnmo apply --locations")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.apply"),
        description=__doc__,
        epilog="Example:\n  msnmo apply --bundle results/bundle --out new scan.nii.gz",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scans", type=path_argument, nargs="+", help="NIfTI files, or folders of DICOM"
    )
    parser.add_argument("--bundle", type=path_argument, required=True, help="of `snakemake bundle`")
    parser.add_argument("--out", type=path_argument, required=True, help="folder of the results")
    parser.add_argument(
        "--ids", nargs="+", default=[], metavar="ID", help="of each scan: X or X_ses-Y"
    )
    parser.add_argument("--stripped", action="store_true", help="the scans have no skull")
    parser.add_argument("--bias-corrected", action="store_true", help="skip N4")
    parser.add_argument(
        "--engine",
        choices=get_args(Engine),
        default="auto",
        help="of skull stripping; auto: the one that the bundle's scans were stripped with",
    )
    parser.add_argument(
        "--locations",
        action="store_true",
        help="say where each lesion lies, by a registration to the MNI template",
    )
    parser.add_argument(
        "--dicom-seg", action="store_true", help="write masks of DICOM scans as DICOM too"
    )
    parser.add_argument("--again", action="store_true", help="repeat scans that are done")
    add_arguments(parser)
    parser.set_defaults(threads=len(os.sched_getaffinity(0)))
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
