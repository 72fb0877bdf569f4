"""Apply a bundle to new scans: lesion masks in each scan's own space, class, lesions, pages.

Give NIfTI files, or folders of DICOM with --ids; or with -i a folder of NIfTI files or a BIDS
dataset, whose FLAIRs are taken. With --truth and a scan table instead, the bundle
is also evaluated on the scans whose lesion mask or diagnosis is known, if it never saw their
subjects. Research output, not for diagnosis.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import get_args

from msnmo.apply.naming import TAKES_ALL, is_folder
from msnmo.apply.parts import part_argument
from msnmo.compute.options import add_arguments
from msnmo.core.command import program
from msnmo.core.errors import other_disk, run_command
from msnmo.core.extras import require_extra
from msnmo.core.lesion_labels import add_lesion_labels
from msnmo.core.paths import path_argument
from msnmo.core.starter import SHIPPED, bundle_argument
from msnmo.settings.skullstrip import Engine

COMBINE = ("intersection", "union", "majority", "staple")
"""As of `msnmo.preprocess.raters`, which is not imported for its libraries' sake."""
OUT = "msnmo-results"
OTHER_OUT = "give an --out on another disk (TMPDIR is where steps work); then run the command again"


def main(arguments: Sequence[str] | None = None) -> None:
    """Apply a bundle to scans; what is wrong of one stops no other.

    Raises
    ------
    MsnmoError
        At the end, with all that went wrong.
    """
    given = _parse(arguments)
    _require_extras(given)
    with other_disk(OTHER_OUT):
        _apply(given)


def _apply(given: argparse.Namespace) -> None:
    # torch, which --help needs not
    if given.truth:
        from msnmo.apply.cohorts import apply_to_cohort  # noqa: PLC0415

        apply_to_cohort(given)
    else:
        from msnmo.apply.scans import apply_to_scans  # noqa: PLC0415

        apply_to_scans(given)


def _require_extras(given: argparse.Namespace) -> None:
    if given.dicom_seg or any(map(is_folder, given.scans)):
        require_extra("dicom", "msnmo apply to DICOM")
    if given.locations:
        require_extra("locations", "msnmo apply --locations")
    if given.mni:
        require_extra("locations", "msnmo apply --mni")


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.apply"),
        description=__doc__,
        epilog="Examples:\n  msnmo apply --out new scan.nii.gz\n"
        "  msnmo apply --bundle results/bundle --out new scan.nii.gz\n"
        "  msnmo apply --bundle results/bundle -i my_bids -o new\n"
        "  msnmo apply --bundle results/bundle --out outside --truth scans.tsv",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "scans", type=path_argument, nargs="*", help="NIfTI files, or folders of DICOM"
    )
    parser.add_argument(
        *("-i", "--input"),
        type=path_argument,
        metavar="FOLDER",
        help="a folder, instead of scans: of a BIDS dataset (raw or derivative) every "
        "sub-X/[ses-Y/]anat/*_FLAIR.nii[.gz], of any other every NIfTI file at any depth; ids are "
        "made of names, and what is left out is told",
    )
    parser.add_argument(
        "--truth",
        type=path_argument,
        metavar="TABLE",
        help="a scan table with masks and diagnoses, instead of scans: evaluate the bundle on them",
    )
    parser.add_argument(
        "--leave-out-overlap",
        action="store_true",
        help="with --truth: do not evaluate scans of subjects that the folds learned from, and go "
        "on; else they are refused",
    )
    parser.add_argument(
        "--combine",
        choices=COMBINE,
        default="intersection",
        help="with --truth: how raters' masks are combined (default: %(default)s)",
    )
    parser.add_argument(
        "--other-grid",
        choices=("error", "resample"),
        default="error",
        help="with --truth: what becomes of a lesion mask on another grid than the scan",
    )
    add_lesion_labels(parser, "with --truth: ")
    parser.add_argument(
        "--bundle",
        type=bundle_argument,
        default=SHIPPED,
        help="of `snakemake bundle`; without it the starter, which has learned from simulated "
        "scans alone",
    )
    parser.add_argument(
        "--class",
        dest="classes",
        action="store_true",
        help="name the class as well where the bundle does so on request alone, as the starter",
    )
    parser.add_argument(
        "--signers",
        type=path_argument,
        metavar="FILE",
        help="OpenSSH's file of allowed signers: the bundle must be signed by one of them",
    )
    parser.add_argument(
        *("-o", "--out"),
        type=path_argument,
        default=OUT,
        help="folder of the results (default: %(default)s)",
    )
    parser.add_argument(
        "--ids",
        nargs="+",
        default=[],
        metavar="ID",
        help="of each scan: X or X_ses-Y; names of files are then told and written nowhere",
    )
    parser.add_argument(
        "--series",
        nargs="+",
        default=[],
        metavar="SERIES",
        help="of DICOM, the series to take, by its UID, number or description; sub-X:SERIES of one "
        "scan alone",
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
        "--mni",
        action="store_true",
        help="write lesion masks in MNI space too, for maps of a group, by that registration; "
        "volumes are told of the scan's own space alone",
    )
    parser.add_argument(
        "--dicom-seg", action="store_true", help="write masks of DICOM scans as DICOM too"
    )
    parser.add_argument(
        "--part",
        type=part_argument,
        metavar="K/N",
        help="do the Kth of N parts of the scans alone, for N jobs side by side with one --out",
    )
    parser.add_argument(
        "--deface", action="store_true", help="show the brain alone in the pages, and no face"
    )
    parser.add_argument("--again", action="store_true", help="repeat scans that are done")
    add_arguments(parser)
    parser.set_defaults(threads=len(os.sched_getaffinity(0)))
    given = parser.parse_args(arguments)
    _refuse_mixture(parser, given)
    return given


def _refuse_mixture(parser: argparse.ArgumentParser, given: argparse.Namespace) -> None:
    """Refuse options of two ways to give scans: a table says itself what the options would."""
    if given.ids and not (given.scans or given.truth or given.input):
        parser.error(f"no scans are given; {TAKES_ALL}")
    if sum(map(bool, (given.scans, given.input, given.truth))) != 1:
        parser.error("give scans, or a folder with -i, or a scan table with --truth")
    of_files = ("ids", "series", "dicom_seg")
    refused: tuple[str, ...]
    if given.truth:
        refused, why = (*of_files, "stripped", "bias_corrected"), "is not for a scan table"
    elif given.input:
        # -i takes NIfTI files alone, in no order that a user chose
        refused, why = (*of_files, "leave_out_overlap"), "is not for a folder given with -i"
    else:
        refused, why = ("leave_out_overlap",), "needs --truth"
    for name in refused:
        if getattr(given, name):
            parser.error(f"--{name.replace('_', '-')} {why}")


if __name__ == "__main__":
    run_command(main)
