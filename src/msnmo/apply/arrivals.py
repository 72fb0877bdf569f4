"""What a user hands over: NIfTI files and folders of DICOM."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from msnmo.apply.preprocess import Arrived
from msnmo.cohort.tree import unusable
from msnmo.core.errors import Finding, InputError, MsnmoError, bad_input
from msnmo.core.volumes import ENDINGS

if TYPE_CHECKING:
    from msnmo.cohort.dicom_series import Series


def receive(
    given: Sequence[Path],
    names: Sequence[str],
    converted: Path,
    stripped: bool = False,
    bias_corrected: bool = False,
    *,
    series: Sequence[str] = (),
    tell: Callable[[str], None] = print,
    nameless: bool = False,
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
    series : sequence of str
        As of `convert_flair`.
    tell : callable
        Told what a user should know of a series that was taken, or could have been.
    nameless : bool
        Whether names of files and folders stay out of all that is told and written, as they may
        name people: the scans go by links that have their ids.
    """
    arrived: list[Arrived] = []
    failed: dict[str, MsnmoError] = {}
    for path, name in zip(given, names, strict=True):
        try:
            if path.is_dir():
                flair, dicom = convert_flair(path, name, converted, series, tell)
            else:
                flair, dicom = _nifti(path), ()
                flair = _call(name, flair, converted) if nameless else flair
            arrived.append(Arrived(name, flair, stripped, bias_corrected, dicom))
        except InputError as error:
            hidden = InputError(_without(path, name, each) for each in error.findings)
            failed[name] = hidden if nameless else error
        except MsnmoError as error:
            failed[name] = error
        except OSError as error:
            found = error.strerror or str(error)
            remedy = "get yourself the right to read it, or correct the path"
            expected = "a NIfTI file or a folder of DICOM that can be read"
            where = f"[the scan {name}]" if nameless else path
            failed[name] = bad_input(where, expected, found, remedy)
    return arrived, failed


def _call(name: str, flair: Path, folder: Path) -> Path:
    """Return a link to a scan that has its id for a name."""
    (ending,) = {each for each in ENDINGS if flair.name.endswith(each)}
    link = folder / f"{name}_FLAIR{ending}"
    link.symlink_to(flair)
    return link


def _without(path: Path, name: str, finding: Finding) -> Finding:
    """Return a finding that says a scan's id where it named its file or folder."""

    def hide(text: str) -> str:
        for said in (str(path.absolute()), str(path), path.name):
            text = text.replace(said, f"[the scan {name}]")
        return text

    return Finding(*map(hide, (finding.file, finding.expected, finding.found, finding.remedy)))


def _nifti(path: Path) -> Path:
    if not path.is_file():
        found = unusable(path) or "no such file"
        remedy = "correct the path, or fetch the file"
        raise bad_input(path, "a NIfTI file or a folder of DICOM", found, remedy)
    if not path.name.endswith(ENDINGS):
        remedy = "convert the scan (e.g. dcm2niix), or give the folder of its DICOM files"
        raise bad_input(path, "a file ending in .nii or .nii.gz", path.name, remedy)
    return path.absolute()


def convert_flair(
    folder: Path,
    name: str,
    converted: Path,
    wanted: Sequence[str] = (),
    tell: Callable[[str], None] = print,
) -> tuple[Path, tuple[Path, ...]]:
    """Return the T2-FLAIR of the one study in a folder of DICOM, as NIfTI without any text.

    Parameters
    ----------
    folder : Path
    name : str
        Of the scan.
    converted : Path
        Folder for NIfTI files.
    wanted : sequence of str
        The series to take, by UID, number or description; ``sub-X:7`` of that scan alone.
    tell : callable
        Told of a near tie, and how to decide it; and of what is odd of the series that is taken.

    Returns
    -------
    Path
        The NIfTI file.
    tuple of Path
        The DICOM files of its series.

    Raises
    ------
    InputError
        If there is no DICOM, more than one study or person, no series that is asked for, or no
        T2-FLAIR; with each series and its reason.
    """
    from msnmo.cohort import dicom_choice  # noqa: PLC0415 - for those who have DICOM
    from msnmo.cohort.dicom import doubts  # noqa: PLC0415
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
    forced = _forced(folder, name, series, wanted)
    candidates = dicom_choice.examine(series, converted / f"{name}_series", forced)
    chosen = dicom_choice.choose(candidates)
    if chosen is None:
        reasons = "; ".join(f"series {each.series.label}: {each.reason}" for each in candidates)
        remedy = (
            "export the T2-FLAIR, name it if it is among them (--series), or convert it yourself "
            "and give the NIfTI file"
        )
        raise bad_input(folder, "a T2-FLAIR among its series", reasons, remedy)
    for doubt in doubts(name, chosen, candidates):
        tell(f"warning: {name}: {doubt}")
    target = converted / f"{name}_FLAIR.nii.gz"
    write_bare(target, chosen.converted.images[0])
    return target, tuple(image.path for image in chosen.series.images)


def _forced(
    folder: Path, name: str, several: Sequence[Series], wanted: Sequence[str]
) -> list[Series]:
    """Return the series that the user asks for in a study; one of another scan is not meant."""
    from msnmo.cohort.dicom_series import asked_for  # noqa: PLC0415

    mine = [each for each in wanted if not each.startswith("sub-") or each.startswith(f"{name}:")]
    forced = asked_for(several, mine, [name])
    if mine and not forced:
        there = ", ".join(each.label for each in several)
        remedy = "correct --series; sub-X:SERIES is of one scan alone"
        raise bad_input(folder, f"the series {', '.join(mine)}", f"series {there}", remedy)
    return forced
