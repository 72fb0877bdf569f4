"""A clone of the public repository open_ms_data: MS patients of the University of Ljubljana.

Lesjak et al. 2018, Neuroinformatics 16:51 (cross-sectional, 30 patients, consensus masks of three
raters) and 2016, 14:403 (longitudinal, 20 patients, two visits each); CC BY. Layout
``{part}/{state}/patientNN/``. The ``gt`` masks of the longitudinal part mark the lesions that
changed between the visits. They are not full lesion masks and are never used as such.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from msnmo.cohort.importing import Import, ImportedScan, LeftOut, fetched
from msnmo.core.errors import bad_input
from msnmo.core.paths import path_argument

NAME = "open_ms"
HELP = "a clone of open_ms_data: 30 patients cross-sectional, 20 with two visits, all MS"
EXAMPLE = "msnmo cohort open_ms open_ms_data --part mni --out ljubljana/scans.tsv"
SITE = "Ljubljana"
FOLDER = re.compile(r"patient(\d{2})")
MNI_FLAIR = "FLAIR_N4_noneck_reduced_winsor_regtoFLAIR_brain_N4_regtoMNI"
MNI_MASK = "GOLD_STANDARD_N4_noneck_reduced_winsor_regtoFLAIR_regtoMNI"
CHANGES = "gt marks only lesions that changed: taken for prediction only"


@dataclass(frozen=True)
class Part:
    """One part of the repository: its folder and its files.

    Parameters
    ----------
    folder : str
    help : str
    flairs : dict of str to str
        File name (without ending) of the FLAIR of each visit. The single visit of a cross-sectional
        scan has no name.
    mask, brain : str
        File names of the consensus mask and of the brain mask; empty if there is none.
    stripped, bias_corrected : bool
    """

    folder: str
    help: str
    flairs: dict[str, str]
    mask: str = ""
    brain: str = ""
    stripped: bool = False
    bias_corrected: bool = False


VISITS = {"1": "study1_FLAIR", "2": "study2_FLAIR"}
PARTS = {
    "mni": Part(
        "cross_sectional/MNI",
        "in MNI space, stripped, bias-corrected, with consensus masks",
        {"": MNI_FLAIR},
        MNI_MASK,
        stripped=True,
        bias_corrected=True,
    ),
    "coregistered": Part(
        "cross_sectional/coregistered",
        "native space, bias-corrected, with brain and consensus masks",
        {"": "FLAIR"},
        "consensus_gt",
        "brainmask",
        bias_corrected=True,
    ),
    "raw": Part(
        "cross_sectional/raw", "heads, with consensus masks", {"": "FLAIR"}, "consensus_gt"
    ),
    "longitudinal": Part("longitudinal/raw", "heads at two visits, for prediction only", VISITS),
    "longitudinal-coregistered": Part(
        "longitudinal/coregistered",
        "two visits in one space, bias-corrected, with brain masks, for prediction only",
        VISITS,
        brain="brainmask",
        bias_corrected=True,
    ),
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument("folder", type=path_argument, help="the clone")
    told = "; ".join(f"{name}: {part.help}" for name, part in PARTS.items())
    parser.add_argument("--part", choices=tuple(PARTS), default="mni", help=f"{told}; default mni")


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of one part of the clone.

    Raises
    ------
    InputError
        If the folder holds no patient of that part.
    """
    part = PARTS[arguments.part]
    inside = sorted(path for path in (arguments.folder / part.folder).glob("*") if path.is_dir())
    patients = [path for path in inside if FOLDER.fullmatch(path.name)]
    if not patients:
        expected = f"folders {part.folder}/patient01 and so on"
        remedy = "give the folder that `git clone` of open_ms_data made"
        raise bad_input(arguments.folder, expected, "no such folder", remedy)
    scans: list[ImportedScan] = []
    left_out: list[LeftOut] = []
    for patient in patients:
        for visit, name in part.flairs.items():
            found = _scan(part, patient, visit, name, left_out)
            scans += [found] if found else []
    strange = [path for path in inside if path not in patients]
    left_out += [LeftOut(path, "not a patient's folder (patient01 and so on)") for path in strange]
    return Import(scans, left_out)


def _scan(
    part: Part, patient: Path, visit: str, name: str, left_out: list[LeftOut]
) -> ImportedScan | None:
    flair = _file(patient, name)
    if flair is None:
        left_out.append(LeftOut(patient / f"{name}.nii.gz", "no such file in this clone"))
    if flair is None or not fetched(flair, left_out):
        return None
    mask = fetched(_file(patient, part.mask), left_out)
    if mask is None:
        missing = f"no {part.mask}: taken for prediction only"
        left_out.append(LeftOut(flair, missing if part.mask else CHANGES))
    brain = fetched(_file(patient, part.brain), left_out)
    if part.brain and brain is None:
        left_out.append(
            LeftOut(patient / f"{part.brain}.nii.gz", "no such file: the skull will be stripped")
        )
    number = FOLDER.sub(r"\1", patient.name)
    # "L" and the number, as patient 01 is not the same person in the two parts
    subject = ("L" if part.folder.startswith("longitudinal") else "C") + number
    return ImportedScan(
        subject,
        "MS" if mask else "",
        flair,
        session=visit,
        lesion_masks=(mask,) if mask else (),
        brain_mask=brain,
        stripped=part.stripped,
        bias_corrected=part.bias_corrected,
        site=SITE,
    )


def _file(patient: Path, name: str) -> Path | None:
    """Find a patient's file by its name, with or without the patient's number before it."""
    return next((path for path in _candidates(patient, name) if path.is_file()), None)


def _candidates(patient: Path, name: str) -> Iterator[Path]:
    for stem in (name, f"{patient.name}_{name}") if name else ():
        yield patient / f"{stem}.nii.gz"
        yield patient / f"{stem}.nii"
