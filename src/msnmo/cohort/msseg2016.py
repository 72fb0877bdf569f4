"""The MSSEG challenge of MICCAI 2016: 53 people with MS on four scanners, seven raters.

Commowick et al. 2021, NeuroImage 244:118589. Layout ``{Training,Testing}/Center_NN/Patient_NN/``
with ``Raw_Data/FLAIR.nii.gz``, ``Preprocessed_Data/FLAIR_preprocessed.nii.gz`` (stripped,
bias-corrected) and ``Masks/``: ``Consensus``, ``ManualSegmentation_1`` to ``_7``. Patients are
counted anew in each set and centre, so ids name both.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable
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

NAME = "msseg2016"
HELP = "MSSEG of MICCAI 2016: 53 people with MS, four scanners, consensus of seven raters"
EXAMPLE = "msnmo cohort msseg2016 MSSEG-2016 --out msseg2016/scans.tsv"
SCANS = 53
STATES = {
    "preprocessed": ("Preprocessed_Data", "FLAIR_preprocessed"),
    "raw": ("Raw_Data", "FLAIR"),
}
RATERS = range(1, 8)
LOOKS = re.compile("flair|consensus|segmentation", re.IGNORECASE)
FILE = re.compile(
    r"(Raw_Data/FLAIR|Preprocessed_Data/FLAIR_preprocessed|Masks/(Consensus|ManualSegmentation_[1-7]))"
    r"\.nii(\.gz)?"
)
PLACE = re.compile(r"(Training|Testing)/Center_(\d+)/Patient_(\d+)")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "folder", type=path_argument, help="folder with Training and Testing, or one of them"
    )
    parser.add_argument(
        "--state",
        choices=tuple(STATES),
        default="preprocessed",
        help="preprocessed (default): stripped and bias-corrected; raw: heads; both with masks",
    )
    parser.add_argument(
        "--masks",
        choices=("consensus", "raters"),
        default="consensus",
        help="the consensus (default), or the seven raters' own",
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of the sets that exist.

    Raises
    ------
    InputError
        If no patient in the folder has a name of the challenge.
    """
    folder, name = STATES[arguments.state]
    names = (
        ["Consensus"]
        if arguments.masks == "consensus"
        else [f"ManualSegmentation_{rater}" for rater in RATERS]
    )
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    files = all_files(arguments.folder.absolute(), left_out)
    for patient, set_name, centre, number in _patients(files):
        flair = first_file(patient / folder, name)
        if flair is None:
            left_out.append(LeftOut(patient / folder / f"{name}.nii.gz", "no such file"))
        if flair is None or not fetched(flair, left_out):
            continue
        masks = [fetched(first_file(patient / "Masks", each), left_out) for each in names]
        found = [mask for mask in masks if mask is not None]
        whole = len(found) == len(names)
        if not whole:
            lacking = f"{len(found)} of {len(names)} masks ({arguments.masks})"
            left_out.append(LeftOut(flair, f"{lacking}: taken for prediction only"))
        scans.append(
            ImportedScan(
                f"{set_name}{centre}{number}",
                "MS" if whole else "",
                flair,
                lesion_masks=tuple(found) if whole else (),
                stripped=arguments.state == "preprocessed",
                bias_corrected=arguments.state == "preprocessed",
                site=f"MSSEG2016 centre {centre}",
            )
        )
    expected = f"Training/Center_01/Patient_01/{folder}/{name}.nii.gz and so on"
    remedy = "give the folder that the archives unpack to"
    tell_untaken(files, scans, left_out, LOOKS, _is_known)
    refuse_none(arguments.folder, scans, left_out, expected, remedy, "no such folder")
    if len(scans) != SCANS:
        reason = f"{counted(len(scans), 'scan')}; the complete set has {SCANS}"
        left_out.append(LeftOut(arguments.folder, reason))
    return Import(scans, left_out)


def _patients(files: Iterable[Path]) -> list[tuple[Path, str, str, str]]:
    """Return each patient's folder, set, centre and number."""
    folders = sorted({parent for path in files for parent in path.parents})
    places = [(path, PLACE.fullmatch("/".join(path.parts[-3:]))) for path in folders]
    return [(path, place[1], place[2], place[3]) for path, place in places if place]


def _is_known(path: Path) -> bool:
    """Whether a file is part of the layout, even if its state or masks were not requested."""
    place, file = "/".join(path.parts[-5:-2]), "/".join(path.parts[-2:])
    return bool(PLACE.fullmatch(place) and FILE.fullmatch(file))
