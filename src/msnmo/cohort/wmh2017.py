"""The WMH challenge of MICCAI 2017: 170 people without MS, to test for false findings.

Kuijf et al. 2019, IEEE Trans. Med. Imaging 38:2556; doi:10.34894/AECRSD. Layout
``{training,test}/Utrecht/0/pre/FLAIR.nii.gz`` (bias-corrected) and ``orig/FLAIR.nii.gz``. The
folders between set and number are the site, such as ``Amsterdam/GE3T``. ``wmh.nii.gz`` marks
hyperintensities of presumed vascular origin (1) and other pathology (2). These are not lesions of
MS or NMOSD and are never used as such.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from msnmo.cohort.importing import (
    Import,
    ImportedScan,
    LeftOut,
    all_files,
    clean_id,
    fetched,
    refuse_none,
    tell_untaken,
)
from msnmo.core.counts import counted
from msnmo.core.paths import path_argument

NAME = "wmh2017"
HELP = "the WMH challenge of 2017: 170 people without MS, for prediction (a test of specificity)"
EXAMPLE = "msnmo cohort wmh2017 dataverse_files --out wmh/scans.tsv"
SETS = ("training", "test", "public")
NAMES = ("FLAIR.nii", "FLAIR.nii.gz")
STATES = ("pre", "orig")
LOOKS = re.compile("flair", re.IGNORECASE)
SCANS = 170
VASCULAR = "wmh.nii.gz marks vascular lesions and other pathology: scans are for prediction only"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument("folder", type=path_argument, help="folder with training and test")
    parser.add_argument(
        "--state",
        choices=STATES,
        default="pre",
        help="pre (default): bias-corrected; orig: as scanned; both are heads",
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of the sets that exist.

    Raises
    ------
    InputError
        If no scan in the folder has a name of the challenge.
    """
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    files = all_files(arguments.folder.absolute(), left_out)
    for path in files:
        person = path.parents[1]
        if path.parent.name != arguments.state or not _is_of_someone(path):
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
    people = {scan.flair.parents[1] for scan in scans}
    for path in files:
        if _is_of_someone(path) and path.parents[1] not in people:
            reason = f"no {arguments.state}/FLAIR beside it; --state {path.parent.name} takes it"
            left_out.append(LeftOut(path, reason))
    tell_untaken(files, scans, left_out, LOOKS, _is_of_someone)
    expected = f"training/Utrecht/0/{arguments.state}/FLAIR.nii.gz and so on"
    remedy = "give the folder that the challenge's data unpack to"
    refuse_none(arguments.folder, scans, left_out, expected, remedy)
    left_out.append(LeftOut(arguments.folder / "**/wmh.nii.gz", VASCULAR))
    if len(scans) != SCANS:
        reason = f"{counted(len(scans), 'scan')}; the complete set has {SCANS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _is_of_someone(path: Path) -> bool:
    """Whether a file is a FLAIR of one of the states, in its place of the layout."""
    return path.name in NAMES and path.parent.name in STATES and path.parents[1].name.isdecimal()


def _site(person: Path, root: Path) -> str:
    """Return the folders between set and person; without a set, those below the given folder."""
    between: list[str] = []
    for folder in person.parents:
        if folder.name in SETS or folder == root:
            break
        between.insert(0, folder.name)
    return " ".join(between) or root.name
