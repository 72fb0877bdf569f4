"""Identify the patients of a DICOM export in our outputs: by ids of a map, or by keyed hashes.

What a header says about a person is compared in memory and never written.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from msnmo.cohort.delimited import read_rows
from msnmo.cohort.dicom_series import Folder, Identity, Series
from msnmo.cohort.table_rows import COLUMNS, MISSING
from msnmo.core.diagnoses import diagnoses, in_words
from msnmo.core.errors import Finding, InputError, bad_input, explain_refusal
from msnmo.core.processes import ask
from msnmo.core.provenance import SECONDS_FOR_GIT

MAP_COLUMNS = ("patient_id", "subject", "diagnosis", "site")
SALT_BYTES = 32
MOST_SALT_BYTES = 65_536
FEWEST_SIGNS = 8
"""Fewest different bytes of a key. Only one in a million random 32-digit hex keys has fewer."""
HASH_DIGITS = 10
KEY_FILE = "a file with the secret key, or none yet"
IDENTITY_WORDS = Identity("issuers of the PatientID", "names", "birth dates", "sexes")


@dataclass(frozen=True)
class Patient:
    """A patient in our outputs."""

    subject: str
    diagnosis: str = ""
    site: str = ""


def patients_of(
    folder: Folder,
    subjects: Path | None,
    salt_file: Path | None,
    diagnosis: str | None,
    handed_on: Sequence[Path] = (),
) -> dict[str, Patient]:
    """Return the patient for each PatientID; for an empty one only if the map names it.

    Parameters
    ----------
    folder : Folder
    subjects : Path or None
        The user's map.
    salt_file : Path or None
        File with the key of the hashes, if there is no map.
    diagnosis : str or None
        For all patients without a diagnosis in the map.
    handed_on : sequence of Path
        Folders of images. The key may not be inside them.

    Raises
    ------
    InputError
        Lists every patient who is not in the map, or every error in the map.
    """
    ids = {series.first.patient: series.first.path for series in folder.series}
    if subjects is not None:
        known = read_map(subjects)
    elif salt_file is not None:
        salt = read_salt(salt_file, handed_on)
        known = {patient: Patient(hashed_id(salt, patient)) for patient in ids if patient}
    else:
        remedy = "give --subjects map.tsv, or --salt-file secret.salt for ids that are hashes"
        raise bad_input("command line", "how to name subjects", "neither option", remedy)
    findings = [
        Finding(
            str(path),
            f"a PatientID that is in column patient_id of {subjects}",
            "one that is not (exact match; spreadsheets drop leading zeros)",
            "add it, or correct the row",
        )
        for patient, path in sorted(ids.items(), key=lambda item: item[1])
        if patient and patient not in known
    ]
    if findings:
        raise InputError(findings)
    if diagnosis and diagnosis not in diagnoses():
        raise bad_input("--diagnosis", in_words(), diagnosis, "correct it, or name --diagnoses")
    return {
        patient: Patient(who.subject, who.diagnosis or diagnosis or "", who.site)
        for patient, who in known.items()
    }


def conflict(several: Iterable[Series]) -> str:
    """Return why the series of one PatientID cannot be of one person; empty if they may be.

    Two names, birth dates, sexes or issuers of the id mean two people. Without a PatientID, only
    name and birth date can say that two studies are of one person.
    """
    images = [image for series in several for image in series.images]
    for place, words in enumerate(IDENTITY_WORDS):
        found = {image.identity[place] for image in images} - {""}
        if len(found) > 1:
            return (
                f"{len(found)} {words} with one PatientID: two people, or one written in two ways; "
                "nothing of it is taken. Correct the files (dcmodify of DCMTK): a separate id for "
                "each person, or the same spelling"
            )
    studies = {image.study for image in images}
    vague = any(not (image.identity.name and image.identity.born) for image in images)
    if not images[0].patient and len(studies) > 1 and vague:
        return (
            f"{len(studies)} studies without PatientID, and no name and birth date show that they "
            "are of one person; nothing of it is taken. Import each from a separate folder"
        )
    return ""


def read_map(path: Path) -> dict[str, Patient]:
    """Return the user's map of patients.

    Raises
    ------
    InputError
        Lists every wrong row, such as a repeated id or an unknown diagnosis.
    """
    header, *rows = read_rows(path)
    missing = [name for name in MAP_COLUMNS[:2] if name not in header.cells]
    if missing:
        expected = f"columns {', '.join(MAP_COLUMNS[:2])} and, optionally, {MAP_COLUMNS[2]}, site"
        raise bad_input(path, expected, f"no {', '.join(missing)}", "correct the header")
    patients: dict[str, Patient] = {}
    rows_of: dict[Any, int] = {}
    findings: list[Finding] = []
    for row in rows:
        cells = dict.fromkeys(MAP_COLUMNS, "") | dict(zip(header.cells, row.cells, strict=False))
        cells = {name: "" if cell == MISSING else cell for name, cell in cells.items()}
        where = f"{path}, row {row.number}"
        findings += [
            Finding(where, expected, found, "correct the row")
            for expected, found in _wrong_cells(cells, rows_of)
        ]
        rows_of.setdefault(cells["patient_id"], row.number)
        rows_of.setdefault(("subject", cells["subject"].lower()), row.number)
        patients[cells["patient_id"]] = Patient(cells["subject"], cells["diagnosis"], cells["site"])
    if findings:
        raise InputError(findings)
    return patients


def _wrong_cells(cells: Mapping[str, str], rows_of: Mapping[Any, int]) -> Iterator[tuple[str, str]]:
    """Yield expected and found for each wrong cell, without its text, which may name a person.

    Parameters
    ----------
    cells : mapping
        By column.
    rows_of : mapping
        Earlier rows, by patient_id, and by ``("subject", id)`` in lower case.
    """
    subject, diagnosis = cells["subject"], cells["diagnosis"]
    if row := rows_of.get(cells["patient_id"]):
        expected = "a patient_id that is not repeated; empty for files without one"
        yield expected, f"the patient_id of row {row}"
    if not re.fullmatch(COLUMNS["subject"]["pattern"], subject):
        found = "a text with other characters in column subject" if subject else "an empty subject"
        yield COLUMNS["subject"]["description"], found
    elif row := rows_of.get(("subject", subject.lower())):
        yield "a different subject id for each patient", f"the subject of row {row}"
    if diagnosis not in ("", *diagnoses()):
        expected = f"{', '.join(diagnoses())} or an empty diagnosis"
        yield expected, "another word in column diagnosis"


def read_salt(path: Path, handed_on: Sequence[Path] = ()) -> bytes:
    """Return the secret key of the hashes. If missing, create it, readable only by its owner.

    Parameters
    ----------
    path : Path
    handed_on : sequence of Path
        Folders of the images. The key may not be inside them.

    Raises
    ------
    InputError
        If others can read the file, if it would be passed on together with images, or if it is no
        secret; or if no key can be read or created there.
    """
    try:
        if path.is_symlink() and not path.exists():
            remedy = "remove the link to have a new key made, or correct it"
            raise bad_input(path, KEY_FILE, "a link that leads to no file", remedy)
        _refuse_handed_on(path, handed_on)
        if not os.path.lexists(path):
            _make_salt(path)
        salt = _salt_in(path)
    except OSError as error:
        remedy = "correct the path, or get permission to read and write there"
        found = f"{error.strerror}: {error.filename}"
        raise bad_input(path, KEY_FILE, found, remedy) from error
    if len(salt) < SALT_BYTES // 2:
        remedy = "delete the file to have a new one made; ids will change"
        raise bad_input(path, f"a key of {SALT_BYTES // 2} bytes or more", f"{len(salt)}", remedy)
    if len(set(salt)) < FEWEST_SIGNS or salt in (salt + salt)[1:-1]:
        remedy = "delete the file to have a new one made; ids will change"
        raise bad_input(path, "a random key", "a repeating one", remedy)
    if (mode := stat.S_IMODE(path.stat().st_mode)) & 0o077:
        expected, found = "a key that only its owner can read", f"mode {mode:04o}"
        remedy = (
            f"chmod 600 {path} (or move it to a disk with file modes); if others may have read it, "
            "delete it to have a new one made"
        )
        raise bad_input(path, expected, found, remedy)
    return salt


def _make_salt(path: Path) -> None:
    with explain_refusal(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as stream:
            stream.write(os.urandom(SALT_BYTES).hex().encode() + b"\n")
    print(
        f"made {path}: keep it secret and do not lose it; the same ids need the same key",
        file=sys.stderr,
    )


def _salt_in(path: Path) -> bytes:
    """Return the content of a file, if it is a file and not longer than a key may be."""
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        # reading a pipe may block, and some devices never end
        found = "a folder" if stat.S_ISDIR(mode) else "a pipe, socket or device"
        raise bad_input(path, KEY_FILE, found, "name a file; if it does not exist, it is created")
    with path.open("rb") as stream:
        content = stream.read(MOST_SALT_BYTES + 1)
    if len(content) > MOST_SALT_BYTES:
        remedy = (
            "check that this is the key and not an image; for a new key, name a file that does "
            "not exist"
        )
        raise bad_input(path, f"a key of at most {MOST_SALT_BYTES} bytes", "a longer file", remedy)
    return content.strip()


def _refuse_handed_on(path: Path, folders: Sequence[Path]) -> None:
    """Refuse a key that lies with the images or in a repository of code."""
    expected = "a key in a place that is not copied with other files"
    remedy = (
        "move it, for example to your home folder; if others got it, delete it to have a new one"
    )
    for folder in folders:
        if path.resolve().is_relative_to(folder.resolve()):
            raise bad_input(path, expected, f"within {folder}, which is handed on", remedy)
    inside = ("git", "-C", str(path.resolve().parent), "ls-files", "--error-unmatch", "--")
    if path.is_file() and ask(*inside, path.name, seconds=SECONDS_FOR_GIT).code == 0:
        raise bad_input(path, expected, "a file tracked by git", remedy)


def hashed_id(salt: bytes, patient: str) -> str:
    """Return a subject's id: the HMAC-SHA256 of the PatientID.

    It cannot be guessed without salt.
    """
    return hmac.new(salt, patient.encode(), hashlib.sha256).hexdigest()[:HASH_DIGITS]
