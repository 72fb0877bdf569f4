"""Whether results can be written, asked before anything is computed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msnmo.apply.records import KEPT, SITE
from msnmo.core.errors import Finding, InputError, explain_refusal
from msnmo.core.paths import not_a_folder

FILES = ("predictions.tsv", "dataset_description.json", f"{SITE}/index.html")
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
        with explain_refusal(folder):
            if file := not_a_folder(str(folder.absolute())):
                remedy = "rename it, or give another --out"
                findings.append(Finding(str(file), "a folder for results", "a file", remedy))
                break
            tempfile.TemporaryFile(dir=_nearest(folder)).close()
    for file in (out / name for name in FILES):
        if file.is_dir():
            remedy = "rename it, or give another --out"
            findings.append(Finding(str(file), "a file of results", "a folder", remedy))
    if findings:
        raise InputError(findings)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
