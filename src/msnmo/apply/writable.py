"""Whether results can be written, asked before anything is computed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msnmo.apply.records import KEPT, SITE
from msnmo.core.derivative import DESCRIPTION, IGNORE
from msnmo.core.errors import Finding, InputError, bad_input, explain_refusal
from msnmo.core.paths import not_a_folder

FILES = (*("predictions.tsv", DESCRIPTION, IGNORE, f"{SITE}/index.html", f"{SITE}/methods.md"),)
RENAME = "rename it, or give another --out"
FOLDERS = (".", SITE, f"{SITE}/scans", KEPT, *(f"{KEPT}/{name}" for name in ("locks", "records")))


def require_writable(out: Path) -> None:
    """Refuse a folder of results that cannot be written, and leave none that was not there.

    Raises
    ------
    DiskError
        Naming the folder, the system's reason and a remedy.
    InputError
        Where a file stands in a folder's place, or a folder in a file's.
    """
    findings = []
    for folder in dict.fromkeys(out / name for name in FOLDERS):
        if file := not_a_folder(str(folder.absolute())):
            findings.append(Finding(str(file), "a folder for results", "a file", RENAME))
            break
        _try(folder)
    for file in (out / name for name in FILES):
        if file.is_dir():
            findings.append(Finding(str(file), "a file of results", "a folder", RENAME))
    if findings:
        raise InputError(findings)


def _try(folder: Path) -> None:
    """Write a file in a folder, or where it would be made, and leave none."""
    try:
        with explain_refusal(folder):
            tempfile.TemporaryFile(dir=_nearest(folder)).close()
    except OSError as error:  # such as /proc
        expected, found = "a folder that takes files", error.strerror or str(error)
        raise bad_input(folder, expected, found, "give another --out") from error


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
