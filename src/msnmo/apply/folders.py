"""The scans of a folder: all FLAIRs of a BIDS dataset, or all NIfTI files that may be some."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from msnmo.cohort.bids_flairs import not_whole
from msnmo.cohort.bids_names import CONTRAST, Ids, Named, stem_of
from msnmo.cohort.tree import InTree, files_below, is_nifti, other_form, unusable
from msnmo.core.counts import counted
from msnmo.core.derivative import DESCRIPTION
from msnmo.core.errors import bad_input

FLAIR = "FLAIR"
NAMED = 3
"""How many files are named of those that are left out."""
# in a folder that follows no standard, words by which an image is no scan but was made of one
DERIVED = re.compile(r"mask|roi|d?seg|probseg|labels?|lesions?|brainmask|localisation", re.I)
OWN = "rename one of them, or give the scans themselves, with --ids"
"""What to do about two scans of one name in a folder."""


@dataclass(frozen=True)
class Found:
    """What a folder holds.

    Parameters
    ----------
    scans : tuple of Path
        Sorted.
    told : tuple of str
        What a user should know: how many were found, what is left out and why.
    """

    scans: tuple[Path, ...]
    told: tuple[str, ...]


def find_scans(folder: Path, out: Path) -> Found:
    """Return the scans of a folder.

    Of a BIDS dataset, raw or derivative, these are the FLAIRs of whole heads,
    ``sub-X/[ses-Y/]anat/*_FLAIR.nii[.gz]``; `derivatives/` and `sourcedata/` are not read. Of any
    other folder these are its NIfTI files at any depth, without those whose name tells of another
    image or of a mask.

    Parameters
    ----------
    folder : Path
    out : Path
        Folder of the results, which is not read.

    Raises
    ------
    InputError
        If it is no folder, cannot be read, or holds no scan.
    """
    if not folder.is_dir():
        found = "a file" if folder.exists() else "no such folder"
        remedy = "give a file without -i" if folder.exists() else "correct the path"
        raise bad_input(folder, "a folder of NIfTI files, or of a BIDS dataset", found, remedy)
    bids = _is_bids(folder)
    unread: list[tuple[Path, str]] = []
    roots = [path for path in folder.glob("sub-*") if path.is_dir()] if bids else [folder]
    files = files_below(roots, lambda path, reason: unread.append((path, reason)))
    results = out.resolve()
    files = [file for file in files if not file.path.resolve().is_relative_to(results)]
    images = [file for file in files if is_nifti(file.path)]
    taken, reasons = _of_bids(folder, images) if bids else _of_names(images)
    other = [file for file in files if other_form(file.path)]
    if not taken:
        raise _no_scan(folder, bids, len(images), len(other))
    where = f"{folder} ({'BIDS' if bids else 'no BIDS dataset'})"
    told = [f"{counted(len(taken), 'scan')} in {where}", *_left_out(reasons)]
    if other:
        told.append(f"left out: {counted(len(other), 'file')} of other forms than NIfTI")
    told += [f"not read: {path}, {reason}" for path, reason in unread]
    return Found(tuple(taken), tuple(told))


def _is_bids(folder: Path) -> bool:
    """Whether a folder says that it is a BIDS dataset, or is laid out as one."""
    layouts = ("sub-*/anat", "sub-*/ses-*/anat")
    return (folder / DESCRIPTION).is_file() or any(any(folder.glob(each)) for each in layouts)


def _of_bids(folder: Path, images: Iterable[InTree]) -> tuple[list[Path], dict[Path, str]]:
    """Return the FLAIRs of a dataset, and of each other image why it is left out."""
    ids = Ids.of(folder)
    taken: list[Path] = []
    reasons: dict[Path, str] = {}
    for image in images:
        named = Named.of(image, ids)
        session = [f"ses-{named.session}"] if named.session else []
        if named.suffix != FLAIR or named.words:
            reasons[image.path] = named.suffix or "other"
        elif named.folders != (f"sub-{named.subject}", *session, "anat"):
            reasons[image.path] = "FLAIR outside its subject's anat/"
        elif odd := not_whole(named, ()):
            reasons[image.path] = f"FLAIR of no whole head ({odd}-{named.entities[odd]})"
        elif reason := unusable(image.path):
            reasons[image.path] = f"FLAIR that is {reason}"
        else:
            taken.append(image.path)
    return taken, reasons


def _of_names(images: Iterable[InTree]) -> tuple[list[Path], dict[Path, str]]:
    """Return the images whose names do not tell of another one than a FLAIR."""
    taken: list[Path] = []
    reasons: dict[Path, str] = {}
    for image in images:
        words = [word for word in re.split(r"[^A-Za-z0-9]+", stem_of(image.path)) if word]
        if made := [word for word in words if DERIVED.fullmatch(word)]:
            reasons[image.path] = made[0]
        elif any("flair" in word.lower() for word in words):
            taken.append(image.path)
        elif others := [word for word in words if CONTRAST.fullmatch(word)]:
            reasons[image.path] = others[0]
        else:
            taken.append(image.path)
    return taken, reasons


def _left_out(reasons: dict[Path, str]) -> list[str]:
    """Return in a line how many images are left out, by what they are, and some by name."""
    if not reasons:
        return []
    kinds = ", ".join(
        f"{number} {kind}" for kind, number in sorted(Counter(reasons.values()).items())
    )
    names = [path.name for path in list(reasons)[:NAMED]]
    more = ", ..." if len(reasons) > NAMED else ""
    images = counted(len(reasons), "other image")
    return [f"left out: {images} by name ({kinds}), such as {', '.join(names)}{more}"]


def _no_scan(folder: Path, bids: bool, images: int, others: int) -> Exception:
    expected = (
        "T2-FLAIRs, sub-X/[ses-Y/]anat/*_FLAIR.nii.gz, in this BIDS dataset"
        if bids
        else "NIfTI files of heads, .nii or .nii.gz, at any depth"
    )
    found = (
        f"{counted(images, 'NIfTI file')} of other images, {counted(others, 'file')} of other forms"
    )
    remedy = (
        "name the files as BIDS does, or give them without -i; a folder of DICOM is given without "
        "-i, with --ids"
    )
    return bad_input(folder, expected, found, remedy)
