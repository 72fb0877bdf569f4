"""The MSSEG-2 challenge of MICCAI 2021: two visits of each of 100 people with MS, in one space.

Commowick et al. 2021, MSSEG-2 challenge proceedings. Layout
``{training,testing}/NNN/flair_time01_on_middle_space.nii.gz`` and ``flair_time02``. The masks
(``ground_truth``) mark only new lesions. They are not full lesion masks and are never used as such.
"""

from __future__ import annotations

import argparse
import re
from collections import defaultdict

from msnmo.cohort.importing import (
    Import,
    ImportedScan,
    LeftOut,
    all_files,
    fetched,
    refuse_none,
    tell_untaken,
)
from msnmo.core.paths import path_argument

NAME = "msseg2"
HELP = "MSSEG-2 of MICCAI 2021: 100 people with MS, two visits each, for prediction"
EXAMPLE = "msnmo cohort msseg2 MSSEG-2 --out msseg2/scans.tsv"
SITE = "MSSEG2"
NAMED = re.compile(r"flair_time0([12])_on_middle_space\.nii(\.gz)?")
LOOKS = re.compile("flair", re.IGNORECASE)
SCANS, SUBJECTS, VISITS = 200, 100, ("1", "2")
NEW_LESIONS = "marks only new lesions: all scans are taken for prediction only"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder", type=path_argument, help="folder with training and testing, or one of them"
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return both visits of everyone.

    Raises
    ------
    InputError
        If no scan in the folder has a name of the challenge.
    """
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    files = all_files(arguments.folder, left_out)
    visits: dict[str, set[str]] = defaultdict(set)
    for path in files:
        match = NAMED.fullmatch(path.name)
        person = path.parent.name
        if match is None or not person.isdecimal() or not fetched(path, left_out):
            continue
        visits[person].add(match[1])
        scans.append(ImportedScan(person, "", path, session=match[1], site=SITE))
    tell_untaken(files, scans, left_out, LOOKS, lambda _: False)
    expected = "training/013/flair_time01_on_middle_space.nii.gz and so on"
    remedy = "give the folder that the challenge's archives unpack to"
    refuse_none(arguments.folder, scans, left_out, expected, remedy)
    for scan in scans:
        if len(visits[scan.subject]) < len(VISITS):
            reason = f"the other visit of {scan.subject} is missing: taken alone"
            left_out.append(LeftOut(scan.flair, reason))
    left_out.append(LeftOut(arguments.folder / "*/ground_truth*", NEW_LESIONS))
    if (len(scans), len(visits)) != (SCANS, SUBJECTS):
        found = f"{len(scans)} scans of {len(visits)} subjects"
        reason = f"{found}; the complete set has {SCANS} of {SUBJECTS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)
