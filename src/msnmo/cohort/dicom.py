"""Exported DICOM of several patients in any folders: take the T2-FLAIR of each study, no names.

dcm2niix converts the series. The sidecar's physics identify the FLAIR: an inversion that nulls CSF,
and a long echo. Among several, the whole head comes before slabs and other parts of the body, a
scan before computed images, 3-D before 2-D, before a contrast agent before after it, then smaller
voxels. OUTDIR/series.tsv says for every series whether it was chosen, and if not, why. --series
chooses another. No name, id, date or free text of the headers reaches an output.
"""

from __future__ import annotations

import argparse
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.cohort.archives import command_for_all
from msnmo.cohort.dicom_choice import Candidate, choose, examine, near_ties
from msnmo.cohort.dicom_conversion import program_path, write_bare, write_sidecar
from msnmo.cohort.dicom_patients import Patient, conflict, patients_of
from msnmo.cohort.dicom_series import Folder, Series, asked_for, by_study
from msnmo.cohort.dicom_words import plain_words
from msnmo.cohort.importing import Import, ImportedScan, LeftOut
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import write_tsv
from msnmo.core.names import folder_of, name_of_scan
from msnmo.core.paths import path_argument

NAME = "dicom"
HELP = "exported DICOM: converts the T2-FLAIR of each study and removes all names"
EXAMPLE = "msnmo cohort dicom export --nifti nifti --salt-file secret.salt --out nifti/scans.tsv"
MOST_REASONS = 3
SERIES_COLUMNS = (
    *("subject", "session", "series_number", "description", "decision", "reason"),
    *("InversionTime", "EchoTime", "RepetitionTime", "slices", "nifti"),
)


@dataclass(frozen=True)
class _Study:
    """The series of a patient's session, and the reason if none may be taken."""

    patient: Patient
    session: str
    series: list[Series]
    stopped: str = ""

    @property
    def name(self) -> str:
        """``sub-X`` or ``sub-X_ses-Y``."""
        return name_of_scan(self.patient.subject, self.session)

    def named(self, wanted: Iterable[str]) -> list[Series]:
        """Return the series that the command line asks for, in every study or in this one."""
        return asked_for(self.series, wanted, (self.name, name_of_scan(self.patient.subject)))


@dataclass
class _Results:
    """Results gathered over the studies."""

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
        help="your map: a TSV with the columns patient_id, subject and, optionally, diagnosis, "
        "site; without it, ids are keyed hashes of the patients' ids",
    )
    parser.add_argument(
        "--salt-file",
        type=path_argument,
        help="the secret key of the hashes; a missing file is created. Anybody who has the key "
        "can find out to whom a scan belongs: keep it as safe as the names",
    )
    parser.add_argument(
        "--series",
        nargs="+",
        default=[],
        metavar="SERIES",
        help="take this series in every study that has it, whatever it looks like: by its UID, "
        "number (2.1: the first stack of series 2) or description; sub-X:SERIES or "
        "sub-X_ses-Y:SERIES only for one subject or visit",
    )
    parser.add_argument("--diagnosis", metavar="LABEL", help="of all patients")


def collect(arguments: argparse.Namespace) -> Import:
    """Convert the T2-FLAIR of each study and return the scans.

    Raises
    ------
    InputError
        If dcm2niix or DICOM files are missing. Also lists every patient who is not in the map, or
        every requested series that does not exist.
    """
    # pydicom is an extra; the importer's options exist without it
    from msnmo.cohort.dicom_reading import read_folder  # noqa: PLC0415

    program_path()
    folder = read_folder(arguments.folder)
    patients = patients_of(
        folder,
        arguments.subjects,
        arguments.salt_file,
        arguments.diagnosis,
        handed_on=(arguments.folder, arguments.nifti),
    )
    results = _Results()
    results.left_out += [*unread(folder), *_nameless(folder, patients)]
    studies = defaultdict(list)
    for (patient, _), series in by_study(folder.series).items():
        if patient in patients:
            studies[patient].append(series)
    taken = [
        _Study(patients[patient], session, series, conflict(chain(*several)))
        for patient, several in studies.items()
        for session, series in _sessions(several)
    ]
    taken.sort(key=lambda study: study.name)
    wanted = arguments.series
    _require_known(wanted, taken)
    for study in taken:
        if study.stopped:
            _leave_out(study, results)
        else:
            _take_study(study, wanted, arguments.nifti, results)
    table = pd.DataFrame(results.rows, columns=list(SERIES_COLUMNS))
    write_tsv(arguments.nifti / "series.tsv", table)
    if results.diagnoses:
        known = pd.DataFrame(sorted(results.diagnoses.items()), columns=["subject", "diagnosis"])
        write_tsv(arguments.nifti / "diagnoses.tsv", known)
    return Import(results.scans, results.left_out)


def unread(folder: Folder) -> Iterator[LeftOut]:
    """Report files that are packed or cannot be read, grouped by reason."""
    kinds = defaultdict(list)
    for path, kind in folder.archives:
        kinds[kind].append(path)
    for kind, paths in kinds.items():
        command = command_for_all('"FOLDER"', kind)
        reason = (
            f"packed ({kind}) and not opened; unpack it, with FOLDER as the given folder: {command}"
        )
        yield LeftOut(_counted(folder, paths), reason)
    reasons = defaultdict(list)
    for path, reason in folder.broken:
        reasons[reason].append(path)
    for reason, paths in reasons.items():
        yield LeftOut(_counted(folder, paths), f"begins as DICOM but cannot be read ({reason})")


def _nameless(folder: Folder, patients: Mapping[str, Patient]) -> Iterator[LeftOut]:
    """Report files without a PatientID that no row of a map names."""
    paths = [image.path for series in folder.series for image in series.images if not image.patient]
    if paths and "" not in patients:
        reason = (
            "no PatientID: if they are all of one patient, give a map (--subjects) with a row "
            "whose patient_id is empty; else import each patient's folder separately with such a "
            "map"
        )
        yield LeftOut(_counted(folder, paths), reason)


def _counted(folder: Folder, paths: Sequence[Path]) -> str:
    """Describe files by their number, as paths of exports may hold names."""
    place = folder.files.index(min(paths)) + 1
    what = "file" if len(paths) == 1 else f"{len(paths)} files, the first file"
    return f"{what} {place} of {len(folder.files)}, sorted by path"


def _sessions(studies: list[list[Series]]) -> list[tuple[str, list[Series]]]:
    """Return a patient's studies in time order, with sessions. A single study has no session."""
    if len(studies) == 1:
        return [("", studies[0])]
    order = sorted(studies, key=lambda study: (study[0].first.studied, study[0].first.study))
    return [(str(number), study) for number, study in enumerate(order, start=1)]


def _require_known(wanted: Sequence[str], studies: Sequence[_Study]) -> None:
    """Refuse a series of the command line that does not exist: a typing error."""
    findings = [
        Finding("--series", "the UID, number or description of a series", each, "correct it")
        for each in wanted
        if not any(study.named([each]) for study in studies)
    ]
    if findings:
        raise InputError(findings)


def _leave_out(study: _Study, results: _Results) -> None:
    """Record that nothing of a study is taken."""
    candidates = [Candidate(series, study.stopped) for series in study.series]
    results.rows += [_row(study, each, None) for each in candidates]
    results.left_out.append(LeftOut(study.name, study.stopped))


def _take_study(study: _Study, wanted: Sequence[str], out: Path, results: _Results) -> None:
    patient, name = study.patient, study.name
    target = out / folder_of(name) / "anat" / f"{name}_FLAIR.nii.gz"
    with tempfile.TemporaryDirectory(prefix="msnmo-") as temporary:
        candidates = examine(study.series, Path(temporary), study.named(wanted))
        chosen = choose(candidates)
        if chosen:
            write_bare(target, chosen.converted.images[0])
            write_sidecar(target.with_name(f"{name}_FLAIR.json"), chosen.sidecar)
            results.left_out += [
                LeftOut(target, doubt) for doubt in doubts(name, chosen, candidates)
            ]
    results.rows += [
        _row(study, each, target.relative_to(out) if each is chosen else None)
        for each in candidates
    ]
    if chosen is None:
        results.left_out.append(LeftOut(name, _none_taken(candidates)))
        return
    results.scans.append(
        ImportedScan(patient.subject, "", target, session=study.session, site=patient.site)
    )
    if patient.diagnosis:
        results.diagnoses[patient.subject] = patient.diagnosis
        reason = (
            f"diagnosis {patient.diagnosis} is known (diagnoses.tsv) but a lesion mask is not: the "
            "row is for prediction only until a mask is drawn; then fill in both"
        )
        results.left_out.append(LeftOut(target, reason))


def _none_taken(candidates: Sequence[Candidate]) -> str:
    """Return why no series of a study is taken, short enough for one line."""
    reasons = [f"{each.series.label}: {each.reason}" for each in candidates]
    told = "; ".join(reasons[:MOST_REASONS])
    more = ", ..." if len(reasons) > MOST_REASONS else ""
    said = f"no T2-FLAIR among its {len(candidates)} series, see series.tsv ({told}{more})"
    if not all(each.final for each in candidates):
        said += "; if one of them is the T2-FLAIR, name it with --series"
    return said


def doubts(scan: str, chosen: Candidate, candidates: Sequence[Candidate]) -> Iterator[str]:
    """Yield notes on the series that was taken, or that could have been taken."""
    yield from chosen.doubts()
    for other, tie in near_ties(chosen, candidates):
        yield f"{tie}: look at both; to take the other, give --series {scan}:{other}"


def _row(study: _Study, candidate: Candidate, nifti: Path | None) -> dict[str, Any]:
    sidecar: Mapping[str, Any] = candidate.sidecar
    first = candidate.series.first
    echo = first.echo_ms / 1000 if first.echo_ms is not None else None
    return {
        "subject": study.patient.subject,
        "session": study.session or None,
        "series_number": candidate.series.label,
        "description": plain_words(first.description) or None,
        "decision": "chosen" if nifti else "rejected",
        "reason": candidate.reason or None,
        **{name: sidecar.get(name) for name in ("InversionTime", "RepetitionTime")},
        "EchoTime": sidecar.get("EchoTime", echo),
        "slices": candidate.series.slices,
        "nifti": nifti.as_posix() if nifti else None,
    }
