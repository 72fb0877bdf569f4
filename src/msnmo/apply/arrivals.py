"""What a user hands over: NIfTI files and folders of DICOM, each with a name that is safe."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from msnmo.apply.preprocess import Arrived
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.names import SCAN, is_id, name_of_scan
from msnmo.core.volumes import ENDINGS

BIDS_NAME = re.compile(rf"{SCAN}(?=_|\.)")


class Received(NamedTuple):
    """What becomes of a path that a user gives.

    Parameters
    ----------
    flair : Path
        A NIfTI file.
    dicom : tuple of Path
        The DICOM files that it was made of, if it was.
    doubts : tuple of str
        What a user should know of the series that was taken.
    """

    flair: Path
    dicom: tuple[Path, ...] = ()
    doubts: tuple[str, ...] = ()


def name_scans(given: Sequence[Path], ids: Sequence[str]) -> list[str]:
    """Return the name of each scan, ``sub-X`` or ``sub-X_ses-Y``.

    Those of `ids`, if any; else a file's BIDS name, or the letters and digits of its name. A folder
    of DICOM needs an id: folders are called as people are.

    Raises
    ------
    InputError
        With every file that cannot be named, and every name that two would have.
    """
    if ids and len(ids) != len(given):
        found = f"{len(ids)} ids for {len(given)} scans"
        raise bad_input("--ids", "an id for each scan, in their order", found, "correct the ids")
    names: list[str] = []
    findings: list[Finding] = []
    for place, path in enumerate(given):
        try:
            name = _from_id(path, ids[place]) if ids else _from_path(path)
        except InputError as error:
            findings += error.findings
            continue
        if name.lower() in (other.lower() for other in names):
            remedy = "give each scan its own id with --ids"
            findings.append(Finding(str(path), "a name of its own", f"{name} twice", remedy))
        names.append(name)
    if findings:
        raise InputError(findings)
    return names


def _from_id(path: Path, given: str) -> str:
    subject, _, session = given.removeprefix("sub-").partition("_ses-")
    if is_id(subject) and (not session or is_id(session)):
        return name_of_scan(subject, session)
    expected = "an id of letters and digits, or subject_ses-session"
    raise bad_input(f"--ids, of {path}", expected, repr(given), "correct the id")


def _from_path(path: Path) -> str:
    if path.is_dir():
        remedy = "give ids with --ids; names of folders often name people"
        raise bad_input(path, "an id for a folder of DICOM", "none", remedy)
    if match := BIDS_NAME.match(path.name):
        return match[0]
    stem = path.name.removesuffix(".gz").removesuffix(".nii")
    letters = "".join(re.findall(r"[A-Za-z0-9]+", stem))
    if not letters:
        remedy = "give ids with --ids"
        raise bad_input(path, "a name with letters or digits", path.name, remedy)
    return name_of_scan(letters)


def receive(
    given: Sequence[Path],
    names: Sequence[str],
    converted: Path,
    stripped: bool = False,
    bias_corrected: bool = False,
) -> tuple[list[Arrived], list[Finding]]:
    """Return the scans that can be opened, DICOM as NIfTI, and what is wrong of the others.

    Parameters
    ----------
    given : sequence of Path
        NIfTI files and folders of DICOM.
    names : sequence of str
        Of `name_scans`.
    converted : Path
        Folder for NIfTI files made of DICOM.
    stripped, bias_corrected : bool
        What was done to the scans before they arrived.
    """
    arrived: list[Arrived] = []
    findings: list[Finding] = []
    for path, name in zip(given, names, strict=True):
        try:
            flair, dicom, doubts = _receive(path, name, converted)
            state = (stripped, bias_corrected)
            arrived.append(Arrived(name, flair, *state, dicom, doubts=doubts))
        except InputError as error:
            findings += error.findings
    return arrived, findings


def _receive(path: Path, name: str, converted: Path) -> Received:
    if path.is_dir():
        return convert_flair(path, name, converted)
    if not path.is_file():
        remedy = "correct the path"
        raise bad_input(path, "a NIfTI file or a folder of DICOM", "no such file", remedy)
    if not path.name.endswith(ENDINGS):
        remedy = "convert the scan (e.g. dcm2niix), or give the folder of its DICOM files"
        raise bad_input(path, "a file ending in .nii or .nii.gz", path.name, remedy)
    return Received(path.absolute())


def convert_flair(folder: Path, name: str, converted: Path) -> Received:
    """Return the T2-FLAIR of the one study in a folder of DICOM, as NIfTI without any text.

    Raises
    ------
    InputError
        If there is no DICOM, more than one study or person, or no T2-FLAIR; with each series and
        its reason.
    """
    from msnmo.cohort import dicom_choice  # noqa: PLC0415 - for those who have DICOM
    from msnmo.cohort.dicom_conversion import program_path, write_bare  # noqa: PLC0415
    from msnmo.cohort.dicom_patients import conflict  # noqa: PLC0415
    from msnmo.cohort.dicom_reading import read_folder  # noqa: PLC0415
    from msnmo.cohort.dicom_series import by_study  # noqa: PLC0415

    program_path()
    studies = by_study(read_folder(folder).series)
    if len(studies) != 1:
        remedy = "give the folder of one study; `msnmo cohort dicom` takes many"
        raise bad_input(folder, "the DICOM of one study", f"{len(studies)} studies", remedy)
    (series,) = studies.values()
    if two := conflict(series):
        remedy = "give the folder of one patient, and look whose files these are"
        raise bad_input(folder, "the DICOM of one person", two, remedy)
    candidates = dicom_choice.examine(series, converted / f"{name}_series")
    chosen = dicom_choice.choose(candidates)
    if chosen is None:
        reasons = "; ".join(f"series {each.series.label}: {each.reason}" for each in candidates)
        remedy = "export the T2-FLAIR, or convert it yourself and give the NIfTI file"
        raise bad_input(folder, "a T2-FLAIR among its series", reasons, remedy)
    target = converted / f"{name}_FLAIR.nii.gz"
    write_bare(target, chosen.converted.images[0])
    files = tuple(image.path for image in chosen.series.images)
    ties = [
        f"{tie}: look at both; a folder without series {chosen.series.label} gives the other"
        for _, tie in dicom_choice.near_ties(chosen, candidates)
    ]
    return Received(target, files, (*chosen.doubts(), *ties))
