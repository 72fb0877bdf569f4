"""Whether results can be written, asked before anything is computed."""

from __future__ import annotations

from pathlib import Path

from msnmo.apply.records import KEPT, SITE
from msnmo.core.derivative import DESCRIPTION, IGNORE
from msnmo.core.errors import Finding, InputError
from msnmo.core.writable import require_folder

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
    if findings:
        raise InputError(findings)
