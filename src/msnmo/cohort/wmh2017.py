"""The WMH challenge of MICCAI 2017: 170 people without MS, a test of what is taken for it.

Kuijf et al. 2019, IEEE Trans. Med. Imaging 38:2556; doi:10.34894/AECRSD. Layout
``{training,test}/Utrecht/0/pre/FLAIR.nii.gz`` (bias-corrected) and ``orig/FLAIR.nii.gz``; the
folders between set and number are the site, as ``Amsterdam/GE3T``. ``wmh.nii.gz`` marks
hyperintensities of presumed vascular origin (1) and other pathology (2): no lesions of MS or NMOSD,
and never taken for such.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from msnmo.cohort.importing import Import, ImportedScan, LeftOut, clean_id, fetched, refuse_none
from msnmo.core.counts import counted
from msnmo.core.paths import path_argument

NAME = "wmh2017"
HELP = "the WMH challenge of 2017: 170 people without MS, for prediction (a test of specificity)"
EXAMPLE = "msnmo cohort wmh2017 dataverse_files --out wmh/scans.tsv"
SETS = ("training", "test", "public")
SCANS = 170
VASCULAR = (
    "wmh.nii.gz marks vascular lesions and other pathology: all are taken for prediction only"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument("folder", type=path_argument, help="folder that holds training and test")
    parser.add_argument(
        "--state",
        choices=("pre", "orig"),
        default="pre",
        help="pre (default): bias-corrected; orig: as scanned; both are heads",
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of the sets that are there.

    Raises
    ------
    InputError
        If the folder holds no scan by the challenge's names.
    """
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for path in sorted(arguments.folder.absolute().rglob(f"{arguments.state}/FLAIR.nii*")):
        person = path.parents[1]
        if not person.name.isdecimal() or path.name not in {"FLAIR.nii", "FLAIR.nii.gz"}:
            continue
        if not fetched(path, left_out):
            continue
        site = _site(person, arguments.folder.absolute())
        scans.append(
            ImportedScan(
                clean_id(f"{site}{person.name}"),
                "",
                path,
                bias_corrected=arguments.state == "pre",
                site=site,
            )
        )
    expected = f"training/Utrecht/0/{arguments.state}/FLAIR.nii.gz and so on"
    remedy = "give the folder that the challenge's data unpack to"
    refuse_none(arguments.folder, scans, left_out, expected, remedy)
    left_out.append(LeftOut(arguments.folder / "**/wmh.nii.gz", VASCULAR))
    if len(scans) != SCANS:
        reason = f"{counted(len(scans), 'scan')}; the whole is {SCANS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _site(person: Path, root: Path) -> str:
    """Return the folders between set and person; those under the folder given without a set."""
    between: list[str] = []
    for folder in person.parents:
        if folder.name in SETS or folder == root:
            break
        between.insert(0, folder.name)
    return " ".join(between) or root.name
