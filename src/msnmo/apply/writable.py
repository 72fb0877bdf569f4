"""Whether results can be written, asked before anything is computed."""

from __future__ import annotations

import os
from pathlib import Path

from msnmo.apply.records import KEPT, NAME, SITE
from msnmo.core.derivative import DESCRIPTION, IGNORE
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import read_json
from msnmo.core.writable import require_folder

FILES = ("predictions.tsv", DESCRIPTION, IGNORE, f"{SITE}/index.html", f"{SITE}/methods.md")
RENAME = "rename it, or give another --out"
OTHER = "give another --out"
FOLDERS = (".", SITE, f"{SITE}/scans", KEPT, *(f"{KEPT}/{name}" for name in ("locks", "records")))


def require_writable(out: Path) -> None:
    """Refuse a folder of results that cannot be written or that holds other results.

    A folder that was not there is not left behind.

    Raises
    ------
    DiskError
        Naming the folder, the system's reason and a remedy.
    InputError
        Where a file stands in a folder's place, or a folder in a file's, or if a file that would be
        replaced is not of `msnmo apply`.
    """
    findings: list[Finding] = []
    for folder in dict.fromkeys(out / name for name in FOLDERS):
        try:
            require_folder(folder)
        except InputError as error:
            findings += error.findings
            break
    for file in (out / name for name in FILES):
        if file.is_dir():
            findings.append(Finding(str(file), "a file of results", "a folder", RENAME))
    if not findings and (kept := _of_others(out)):
        found = "a file of something else, which would be replaced"
        findings.append(Finding(str(kept), "nothing, or results of msnmo apply", found, OTHER))
    if findings:
        raise InputError(findings)


def _of_others(out: Path) -> Path | None:
    """Return a file that the results would replace though it is none of theirs, if there is one."""
    description = out / DESCRIPTION
    if (out / KEPT).is_dir() or _names_us(description):
        return None
    # a name that is taken by a dead link is taken as well
    return next((file for file in (out / name for name in FILES) if os.path.lexists(file)), None)


def _names_us(description: Path) -> bool:
    """Return whether the description of a dataset is of results of `msnmo apply`."""
    try:
        return read_json(description).get("Name") == NAME
    except InputError:  # there is none, or it is somebody's that we need not understand
        return False
