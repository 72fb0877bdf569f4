"""MSLesSeg: 115 scans of 75 people with MS, as the archive unpacks.

Guarnera et al. 2025, Scientific Data 12:920. Layout ``train/P1/T1/P1_T1_FLAIR.nii.gz`` with
``P1_T1_MASK.nii.gz`` (T1 is the visit, not the image), ``test/P54/P54_FLAIR.nii.gz`` with
``P54_MASK.nii.gz``. The scans are stripped and in MNI space.
"""

from __future__ import annotations

import argparse
import re

from msnmo.cohort.importing import Import, ImportedScan, LeftOut, fetched, first_file, refuse_none
from msnmo.core.counts import counted
from msnmo.core.paths import path_argument

NAME = "mslesseg"
HELP = "MSLesSeg: 115 scans of 75 people with MS, masks, stripped, in MNI space"
EXAMPLE = "msnmo cohort mslesseg 'MSLesSeg Dataset' --out mslesseg/scans.tsv"
SITE = "MSLesSeg"
SCANS, SUBJECTS = 115, 75
NAMED = re.compile(r"(P\d+)(?:_T(\d+))?_FLAIR\.nii(\.gz)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument("folder", type=path_argument, help="folder that holds train and test")


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of both sets.

    Raises
    ------
    InputError
        If the folder holds no scan by the data set's names.
    """
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for path in sorted(arguments.folder.rglob("P*_FLAIR.nii*")):
        match = NAMED.fullmatch(path.name)
        if match is None or not fetched(path, left_out):
            continue
        name = path.name.partition("_FLAIR")[0] + "_MASK"
        mask = fetched(first_file(path.parent, name), left_out)
        if mask is None:
            left_out.append(LeftOut(path, "no mask to use: taken for prediction only"))
        scans.append(
            ImportedScan(
                match[1],
                "MS" if mask else "",
                path,
                session=match[2] or "",
                lesion_masks=(mask,) if mask else (),
                stripped=True,
                site=SITE,
            )
        )
    expected = "train/P1/T1/P1_T1_FLAIR.nii.gz and so on"
    remedy = "give the folder that the archive unpacks to"
    refuse_none(arguments.folder, scans, left_out, expected, remedy)
    subjects = len({scan.subject for scan in scans})
    if (len(scans), subjects) != (SCANS, SUBJECTS):
        found = f"{counted(len(scans), 'scan')} of {counted(subjects, 'subject')}"
        reason = f"{found}; the whole is {SCANS} of {SUBJECTS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)
