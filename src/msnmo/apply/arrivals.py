"""What a user hands over: NIfTI files and folders of DICOM."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msnmo.apply.preprocess import Arrived
from msnmo.core.errors import MsnmoError, bad_input
from msnmo.core.volumes import ENDINGS


def receive(
    given: Sequence[Path],
    names: Sequence[str],
    converted: Path,
    stripped: bool = False,
    bias_corrected: bool = False,
) -> tuple[list[Arrived], dict[str, MsnmoError]]:
    """Return the scans that can be opened, DICOM as NIfTI; by name what is wrong of the others.

    Parameters
    ----------
    given : sequence of Path
        NIfTI files and folders of DICOM.
    names : sequence of str
        Of `msnmo.apply.naming.name_scans`.
    converted : Path
        Folder for NIfTI files made of DICOM.
    stripped, bias_corrected : bool
        What was done to the scans before they arrived.
    """
    arrived: list[Arrived] = []
    failed: dict[str, MsnmoError] = {}
    for path, name in zip(given, names, strict=True):
        try:
            flair, dicom = _receive(path, name, converted)
            arrived.append(Arrived(name, flair, stripped, bias_corrected, dicom))
        except MsnmoError as error:
            failed[name] = error
        except OSError as error:
            found = error.strerror or str(error)
            remedy = "get yourself the right to read it, or correct the path"
            expected = "a NIfTI file or a folder of DICOM that can be read"
            failed[name] = bad_input(path, expected, found, remedy)
    return arrived, failed


def _receive(path: Path, name: str, converted: Path) -> tuple[Path, tuple[Path, ...]]:
    if path.is_dir():
        return convert_flair(path, name, converted)
    if not path.is_file():
        remedy = "correct the path"
        raise bad_input(path, "a NIfTI file or a folder of DICOM", "no such file", remedy)
    if not path.name.endswith(ENDINGS):
        remedy = "convert the scan (e.g. dcm2niix), or give the folder of its DICOM files"
        raise bad_input(path, "a file ending in .nii or .nii.gz", path.name, remedy)
    return path.absolute(), ()


def convert_flair(folder: Path, name: str, converted: Path) -> tuple[Path, tuple[Path, ...]]:
    """Return the T2-FLAIR of the one study in a folder of DICOM, as NIfTI without any text.

    Returns
    -------
    Path
        The NIfTI file.
    tuple of Path
        The DICOM files of its series.

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
        reasons = "; ".join(
            f"series {each.series.first.number}: {each.reason}" for each in candidates
        )
        remedy = "export the T2-FLAIR, or convert it yourself and give the NIfTI file"
        raise bad_input(folder, "a T2-FLAIR among its series", reasons, remedy)
    target = converted / f"{name}_FLAIR.nii.gz"
    write_bare(target, chosen.converted.images[0])
    return target, tuple(image.path for image in chosen.series.images)
