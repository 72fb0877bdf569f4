"""Exported DICOM, several patients in any folders: the T2-FLAIR of each study, without a name.

Series are converted by dcm2niix, and the FLAIR is told by its physics from the sidecar: an
inversion that nulls CSF and a long echo. OUTDIR/series.tsv says of every series whether it was
chosen, and why not. No name, id, date or free text of the headers reaches an output.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import nibabel as nib
import pandas as pd

from msnmo.cohort.dicom_conversion import (
    Converted,
    convert,
    program_path,
    write_bare,
    write_sidecar,
)
from msnmo.cohort.dicom_patients import Patient, conflict, patients_of
from msnmo.cohort.dicom_series import (
    FEWEST_SLICES,
    Folder,
    Series,
    by_study,
    not_flair,
    plain_words,
    unfit,
)
from msnmo.cohort.importing import Import, ImportedScan, LeftOut
from msnmo.core.files import write_tsv
from msnmo.core.names import folder_of, name_of_scan
from msnmo.core.paths import path_argument

NAME = "dicom"
HELP = "exported DICOM: converts the T2-FLAIR of each study, and lets no name through"
EXAMPLE = "msnmo cohort dicom export --nifti nifti --salt-file secret.salt --out nifti/scans.tsv"
SERIES_COLUMNS = (
    *("subject", "session", "series_number", "description", "decision", "reason"),
    *("InversionTime", "EchoTime", "RepetitionTime", "slices", "nifti"),
)


@dataclass
class Candidate:
    """A series, what became of it, and why it was not chosen if it was not."""

    series: Series
    reason: str = ""
    converted: Converted = field(default_factory=lambda: Converted([], {}))

    @property
    def sidecar(self) -> dict[str, Any]:
        """What dcm2niix wrote of it; empty if it was not converted."""
        return self.converted.sidecar

    @property
    def rank(self) -> tuple[bool, float, str, int]:
        """Order of preference among FLAIRs: 3-D, small voxels, late."""
        image = nib.Nifti1Image.from_filename(self.converted.images[0])
        volume = float(abs(nib.affines.voxel_sizes(image.affine)).prod())
        first = self.series.first
        three_d = self.sidecar.get("MRAcquisitionType") == "3D"
        return three_d, -round(volume, 3), first.acquired, first.number


@dataclass
class _Results:
    """What is gathered over the studies."""

    scans: list[ImportedScan] = field(default_factory=list)
    left_out: list[LeftOut] = field(default_factory=list)
    rows: list[dict[str, Any]] = field(default_factory=list)
    diagnoses: dict[str, str] = field(default_factory=dict)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument("folder", type=path_argument, help="the exported DICOM files, at any depth")
    parser.add_argument(
        "--nifti", type=path_argument, required=True, metavar="OUTDIR", help="where the FLAIRs go"
    )
    parser.add_argument(
        "--subjects",
        type=path_argument,
        help="your map: a TSV with the columns patient_id, subject and, if you like, diagnosis, "
        "site; without it ids are keyed hashes of the patients' ids",
    )
    parser.add_argument(
        "--salt-file",
        type=path_argument,
        help="the hashes' secret key; made if it is missing. Whoever has it can find out whose "
        "scan is whose: keep it as you keep the names",
    )
    parser.add_argument("--diagnosis", metavar="LABEL", help="of all patients")


def collect(arguments: argparse.Namespace) -> Import:
    """Convert the T2-FLAIR of each study and return the scans.

    Raises
    ------
    InputError
        If dcm2niix or DICOM files are missing, or with every patient who is not in the map.
    """
    # pydicom is an extra: the importer's options are there without it
    from msnmo.cohort.dicom_reading import read_folder  # noqa: PLC0415

    program_path()
    folder = read_folder(arguments.folder)
    patients = patients_of(folder, arguments.subjects, arguments.salt_file, arguments.diagnosis)
    results = _Results()
    results.left_out += [*_broken(folder), *_nameless(folder, patients)]
    studies = defaultdict(list)
    for (patient, _), series in by_study(folder.series).items():
        if patient in patients:
            studies[patient].append(series)
    for patient, several in sorted(studies.items(), key=lambda item: patients[item[0]].subject):
        stopped = conflict(each for study in several for each in study)
        for session, series in _sessions(several):
            if stopped:
                _leave_out(patients[patient], session, series, stopped, results)
            else:
                _take_study(patients[patient], session, series, arguments.nifti, results)
    table = pd.DataFrame(results.rows, columns=list(SERIES_COLUMNS))
    write_tsv(arguments.nifti / "series.tsv", table)
    if results.diagnoses:
        known = pd.DataFrame(sorted(results.diagnoses.items()), columns=["subject", "diagnosis"])
        write_tsv(arguments.nifti / "diagnoses.tsv", known)
    return Import(results.scans, results.left_out)


def _broken(folder: Folder) -> Iterator[LeftOut]:
    """Tell of files that cannot be read, those of one reason together."""
    reasons = defaultdict(list)
    for path, reason in folder.broken:
        reasons[reason].append(path)
    for reason, paths in reasons.items():
        yield LeftOut(_counted(folder, paths), f"begins as DICOM and cannot be read ({reason})")


def _nameless(folder: Folder, patients: Mapping[str, Patient]) -> Iterator[LeftOut]:
    """Tell of files without a PatientID that no row of a map names."""
    paths = [image.path for series in folder.series for image in series.images if not image.patient]
    if paths and "" not in patients:
        reason = (
            "no PatientID: give a map (--subjects) with a row whose patient_id is empty, if they "
            "are all of one patient; else import each patient's folder by itself"
        )
        yield LeftOut(_counted(folder, paths), reason)


def _counted(folder: Folder, paths: Sequence[Path]) -> str:
    """Name files by their number: paths of exports hold names."""
    place = folder.files.index(min(paths)) + 1
    what = "file" if len(paths) == 1 else f"{len(paths)} files, the first file"
    return f"{what} {place} of {len(folder.files)}, sorted by path"


def _sessions(studies: list[list[Series]]) -> list[tuple[str, list[Series]]]:
    """Return a patient's studies with their session, by time; a single one has none."""
    if len(studies) == 1:
        return [("", studies[0])]
    order = sorted(studies, key=lambda study: (study[0].first.studied, study[0].first.study))
    return [(str(number), study) for number, study in enumerate(order, start=1)]


def _leave_out(
    patient: Patient, session: str, several: list[Series], reason: str, results: _Results
) -> None:
    """Write down that nothing of a study is taken."""
    results.rows += [_row(patient, session, Candidate(each, reason), None) for each in several]
    results.left_out.append(LeftOut(name_of_scan(patient.subject, session), reason))


def _take_study(
    patient: Patient, session: str, several: list[Series], out: Path, results: _Results
) -> None:
    name = name_of_scan(patient.subject, session)
    target = out / folder_of(name) / "anat" / f"{name}_FLAIR.nii.gz"
    with tempfile.TemporaryDirectory(prefix="msnmo-") as temporary:
        candidates = examine(several, Path(temporary))
        chosen = choose(candidates)
        if chosen:
            write_bare(target, chosen.converted.images[0])
            write_sidecar(target.with_name(f"{name}_FLAIR.json"), chosen.sidecar)
    results.rows += [
        _row(patient, session, each, target.relative_to(out) if each is chosen else None)
        for each in candidates
    ]
    if chosen is None:
        reason = f"no T2-FLAIR among its {len(candidates)} series, see series.tsv"
        results.left_out.append(LeftOut(name, reason))
        return
    results.scans.append(
        ImportedScan(patient.subject, "", target, session=session, site=patient.site)
    )
    if chosen.series.contrast:
        results.left_out.append(LeftOut(target, "taken, though after a contrast agent"))
    if patient.diagnosis:
        results.diagnoses[patient.subject] = patient.diagnosis
        reason = (
            f"diagnosis {patient.diagnosis} is known (diagnoses.tsv), a lesion mask is not: the "
            "row is for prediction until a mask is drawn; then fill in both"
        )
        results.left_out.append(LeftOut(target, reason))


def examine(several: Sequence[Series], folder: Path) -> list[Candidate]:
    """Convert the series of a study that may be a FLAIR, each in its own part of `folder`."""
    return [_examine(series, folder / str(number)) for number, series in enumerate(several)]


def _examine(series: Series, folder: Path) -> Candidate:
    """Convert a series that may be a FLAIR, and say why it is none if it is not."""
    candidate = Candidate(series, unfit(series))
    if candidate.reason:
        return candidate
    candidate.converted = convert([image.path for image in series.images], folder)
    images = candidate.converted.images
    if not images:
        syntax = series.first.syntax
        candidate.reason = f"dcm2niix makes no image of it (transfer syntax {syntax})"
    elif len(images) > 1:
        candidate.reason = f"{len(images)} images in one series"
    else:
        shape = nib.Nifti1Image.from_filename(images[0]).shape
        candidate.reason = not_flair(candidate.sidecar, series.first.texts)
        if len(shape) != 3:
            candidate.reason = f"{shape[3]} volumes in one series"
        elif min(shape) < FEWEST_SLICES:
            candidate.reason = f"{min(shape)} slices, fewer than {FEWEST_SLICES}"
    return candidate


def choose(candidates: Iterable[Candidate]) -> Candidate | None:
    """Return the best FLAIR of a study, and mark the others with the reason."""
    flairs = sorted((each for each in candidates if not each.reason), key=lambda each: each.rank)
    for each in flairs[:-1]:
        each.reason = "a T2-FLAIR, but another is 3-D, of smaller voxels or later"
    return flairs[-1] if flairs else None


def _row(
    patient: Patient, session: str, candidate: Candidate, nifti: Path | None
) -> dict[str, Any]:
    sidecar: Mapping[str, Any] = candidate.sidecar
    first = candidate.series.first
    echo = first.echo_ms / 1000 if first.echo_ms is not None else None
    return {
        "subject": patient.subject,
        "session": session or None,
        "series_number": first.number,
        "description": plain_words(first.description) or None,
        "decision": "chosen" if nifti else "rejected",
        "reason": candidate.reason or None,
        **{name: sidecar.get(name) for name in ("InversionTime", "RepetitionTime")},
        "EchoTime": sidecar.get("EchoTime", echo),
        "slices": candidate.series.slices,
        "nifti": nifti.as_posix() if nifti else None,
    }
