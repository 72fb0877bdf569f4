"""The name of a new scan, ``sub-X`` or ``sub-X_ses-Y``: one scan, one name.

What a file is called is mostly more than an id may be. A name says all of it that tells files of a
study apart; where two would still have one name, they are refused.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.names import is_id, name_of_scan

ENTITY = "[^_]+"
BIDS_NAME = re.compile(rf"sub-({ENTITY})(?:_ses-({ENTITY}))?(?:_.*)?")
RUN = re.compile(rf"_run-({ENTITY})(?:_|$)")
LONGEST_ID = 60
"""Letters: files of a scan are called by it twice, beside what they are."""
LONGEST_SHOWN = 40
"""Letters of a wrong id that are told."""
DEEPEST = 4
"""Folders above a file that may name it."""
LETTERS = str.maketrans({"ß": "ss", "ø": "o", "Ø": "O", "æ": "ae", "Æ": "Ae", "ł": "l", "Ł": "L"})
"""Those that Unicode does not take apart into a letter and its mark."""
TAKES_ALL = "--ids takes all that follows it: put the scans before it, or -- between"
OWN_ID = "give each scan its own id with --ids"


def name_scans(given: Sequence[Path], ids: Sequence[str], remedy: str = OWN_ID) -> list[str]:
    """Return the name of each scan, ``sub-X`` or ``sub-X_ses-Y``.

    Those of `ids`, if any; else a file's BIDS name with its run, or the letters and digits of its
    name. Files of one name take those of their folders, if these tell all of them apart: of
    ``P1/FLAIR.nii.gz`` and ``P2/FLAIR.nii.gz``, ``sub-P1`` and ``sub-P2``. A folder of DICOM needs
    an id: folders are called as people are.

    Where there are ids, messages name a scan by its place: what its file is called may name people.

    Parameters
    ----------
    given : sequence of Path
    ids : sequence of str
    remedy : str
        What to do about two scans of one name.

    Raises
    ------
    InputError
        With every file that cannot be named, and every name that two would have.
    """
    if ids and len(ids) != len(given):
        found = f"{len(ids)} ids for {len(given)} scans"
        raise bad_input(
            "--ids", "an id for each scan, in their order", found, f"correct the ids ({TAKES_ALL})"
        )
    places = [f"scan {place + 1} of {len(given)}" for place in range(len(given))]
    names: list[str] = []
    findings: list[Finding] = []
    for place, path in enumerate(given):
        try:
            names.append(_from_id(places[place], ids[place]) if ids else _from_path(path))
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    if not ids:
        names = _told_apart(given, names)
    called = [f"--ids, of {place}" for place in places] if ids else [str(path) for path in given]
    if findings := _twice(called, names, remedy):
        raise InputError(findings)
    return names


def _twice(called: Sequence[str], names: Sequence[str], remedy: str) -> list[Finding]:
    """Return a finding of each scan whose name another has: disks may not tell capitals."""
    seen: dict[str, str] = {}
    findings = []
    for scan, name in zip(called, names, strict=True):
        if other := seen.get(name.lower()):
            found = f"{name} twice, {other} being the other"
            findings.append(Finding(scan, "a name of its own", found, remedy))
        seen.setdefault(name.lower(), scan)
    return findings


def _from_id(scan: str, given: str) -> str:
    subject, has_session, session = given.removeprefix("sub-").partition("_ses-")
    longest = max(len(subject), len(session))
    if is_id(subject) and (not has_session or is_id(session)) and longest <= LONGEST_ID:
        return name_of_scan(subject, session)
    expected = f"an id of letters and digits, {LONGEST_ID} at most, or subject_ses-session"
    found = repr(given[:LONGEST_SHOWN])
    if len(given) > LONGEST_SHOWN:
        found += f" and {len(given) - LONGEST_SHOWN} more characters"
    raise bad_input(f"--ids, of {scan}", expected, found, "correct the id")


def _from_path(path: Path) -> str:
    if is_folder(path):
        remedy = "give ids with --ids; names of folders often name people"
        raise bad_input(path, "an id for a folder of DICOM", "none", remedy)
    if name := _from_text(_stem(path)):
        return name
    raise bad_input(path, "a name with letters or digits", path.name, "give ids with --ids")


def is_folder(path: Path) -> bool:
    """Whether a path is a folder; False also where we may not look."""
    try:
        return path.is_dir()
    except OSError:
        return False


def _stem(path: Path) -> str:
    return path.name.removesuffix(".gz").removesuffix(".nii")


def _from_text(text: str) -> str | None:
    """Return the name of a scan that a file's name, or folders', give; None if they give none."""
    if (match := BIDS_NAME.fullmatch(text)) and (subject := _as_id(match[1])):
        session = _as_id(match[2] or "")
        run = RUN.search(text)
        return name_of_scan(subject, session + (f"run{_as_id(run[1])}" if run else ""))
    letters = _as_id(text)
    return name_of_scan(letters) if letters else None


def _as_id(text: str) -> str:
    """Return the letters and digits of a text, an x where only a sign kept two numbers apart.

    Letters lose their marks, however they are stored: ü is u.
    """
    plain = unicodedata.normalize("NFKD", text.translate(LETTERS))
    plain = plain.encode("ascii", "ignore").decode()
    letters = re.sub(r"[^A-Za-z0-9]", "", re.sub(r"(?<=\d)[^A-Za-z0-9]+(?=\d)", "x", plain))
    if len(letters) <= LONGEST_ID:
        return letters
    whole = unicodedata.normalize("NFC", text).encode("utf-8", "surrogateescape")
    digest = hashlib.sha256(whole).hexdigest()[:12]
    return letters[: LONGEST_ID - len(digest)] + digest


def _told_apart(given: Sequence[Path], names: Sequence[str]) -> list[str]:
    """Return the names; those that several files have are their folders', where that helps.

    A BIDS name says whose scan it is, wherever the file lies: it is left, to be refused.
    """
    counts = Counter(name.lower() for name in names)
    several = [
        place
        for place, name in enumerate(names)
        if counts[name.lower()] > 1 and not BIDS_NAME.fullmatch(_stem(given[place]))
    ]
    if not several:
        return list(names)
    others = [name for place, name in enumerate(names) if place not in set(several)]
    for depth in range(1, DEEPEST + 1):
        of_folders = [_from_folders(given[place], depth) for place in several]
        told = [name for name in of_folders if name]
        if len({name.lower() for name in (*told, *others)}) == len(names):
            changed = dict(zip(several, told, strict=True))
            return [changed.get(place, name) for place, name in enumerate(names)]
    return list(names)


def _from_folders(path: Path, depth: int) -> str | None:
    above = path.absolute().parts[:-1][-depth:]
    if len(above) < depth or above[0].startswith("ses-"):
        return None  # a session says nothing without its subject
    return _from_text("_".join(above))
