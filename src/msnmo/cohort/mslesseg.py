"""MSLesSeg: 115 scans of 75 people with MS, in the layout of its archive.

Guarnera et al. 2025, Scientific Data 12:920. Layout ``train/P1/T1/P1_T1_FLAIR.nii.gz`` with
``P1_T1_MASK.nii.gz`` (T1 is the visit, not the image), ``test/P54/P54_FLAIR.nii.gz`` with
``P54_MASK.nii.gz``. The scans are stripped and in MNI space.
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
    fetched,
    first_file,
    refuse_none,
    tell_untaken,
)
from msnmo.core.counts import counted
from msnmo.core.paths import path_argument

NAME = "mslesseg"
HELP = "MSLesSeg: 115 scans of 75 people with MS, masks, stripped, in MNI space"
EXAMPLE = "msnmo cohort mslesseg 'MSLesSeg Dataset' --out mslesseg/scans.tsv"
SITE = "MSLesSeg"
SCANS, SUBJECTS = 115, 75
LOOKS = re.compile("flair|mask", re.IGNORECASE)
STRAY = "its name does not match its folder, so its owner is unknown"
NAMED = re.compile(r"(P\d+)(?:_T(\d+))?_FLAIR\.nii(\.gz)?")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument("folder", type=path_argument, help="folder with train and test")


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of both sets.

    Raises
    ------
    InputError
        If no scan in the folder has a name of the data set.
    """
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    files = all_files(arguments.folder, left_out)
    for path in files:
        match = NAMED.fullmatch(path.name)
        if match is None or not fetched(path, left_out):
            continue
        if not _in_place(path, match[1], match[2]):
            left_out.append(LeftOut(path, STRAY))
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
    tell_untaken(files, scans, left_out, LOOKS, lambda _: False)
    expected = "train/P1/T1/P1_T1_FLAIR.nii.gz and so on"
    remedy = "give the folder that the archive unpacks to"
    refuse_none(arguments.folder, scans, left_out, expected, remedy)
    visited = {scan.subject for scan in scans if scan.session}
    for scan in scans:
        if scan.subject in visited and not scan.session:
            left_out.append(LeftOut(scan.flair, f"{scan.subject} is also in train: one person"))
    subjects = len({scan.subject for scan in scans})
    if (len(scans), subjects) != (SCANS, SUBJECTS):
        found = f"{counted(len(scans), 'scan')} of {counted(subjects, 'subject')}"
        reason = f"{found}; the complete set has {SCANS} of {SUBJECTS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _in_place(path: Path, subject: str, visit: str | None) -> bool:
    """Whether a scan is in the folder of its subject and visit."""
    folders = (subject, f"T{visit}") if visit else (subject,)
    return path.parts[-1 - len(folders) : -1] == folders
