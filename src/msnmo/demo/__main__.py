"""Make the demo cohort: simulated T2-FLAIR head scans of MS-like and NMOSD-like patients."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import get_args

from msnmo.core.arguments import finite
from msnmo.core.command import program
from msnmo.core.counts import counted
from msnmo.core.errors import run_command
from msnmo.core.extras import require_extra
from msnmo.core.paths import path_argument
from msnmo.demo.cohort import ClassFrom, Plan, make_cohort


def main(arguments: Sequence[str] | None = None) -> None:
    """Make the cohort from the command line."""
    default = Plan()
    parser = argparse.ArgumentParser(
        prog=program("msnmo.demo"),
        description=__doc__,
        epilog="Example:\n  msnmo demo --out demo/cohort --workers 2",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", type=path_argument, required=True, help="folder of the cohort")
    parser.add_argument(
        "--seed",
        type=int,
        default=default.seed,
        help="seed; equal seeds make equal cohorts (default: %(default)s)",
    )
    parser.add_argument(
        "--ms",
        type=int,
        default=default.ms,
        help="scans of MS, follow-ups included (default: %(default)s)",
    )
    parser.add_argument(
        "--nmosd",
        type=int,
        default=default.nmosd,
        help="scans of NMOSD, follow-ups included (default: %(default)s)",
    )
    parser.add_argument(
        "--follow-ups",
        type=int,
        default=default.follow_ups,
        help="subjects per class with a second session",
    )
    parser.add_argument(
        "--stripped",
        type=int,
        default=default.stripped,
        help="subjects per class that arrive skull-stripped and bias-corrected",
    )
    parser.add_argument(
        "--raters",
        type=int,
        default=default.raters,
        help="every n-th subject has masks of two raters (0: none)",
    )
    parser.add_argument(
        "--min-voxel-mm",
        type=finite,
        default=default.min_voxel_mm,
        help="shortest voxel side in mm; 3 makes tiny scans for tests",
    )
    parser.add_argument(
        "--class-from",
        choices=get_args(ClassFrom),
        default=default.class_from,
        help="what tells the class. lesions: their places; both classes have the same sites. "
        "site: four of five MS are scanned at one site and four of five NMOSD at another, "
        "whose grey matter and noise differ; in each class, half of the subjects have lesions "
        "from the prior of either class, so that lesions tell nothing. A network then learns the "
        "scanner; use it to try the tests for this (default: %(default)s)",
    )
    parser.add_argument(
        "--workers",
        type=int,
        default=1,
        help="number of processes that make scans (default: %(default)s)",
    )
    given = vars(parser.parse_args(arguments))
    require_extra("locations", "msnmo demo")  # its heads are made from the MNI template
    out, workers = given.pop("out"), given.pop("workers")
    table = make_cohort(out, Plan(**given), workers)
    subjects = counted(table["subject"].nunique(), "subject")
    print(f"{counted(len(table), 'scan')} of {subjects}: {out / 'scans.tsv'}")


if __name__ == "__main__":
    run_command(main)
