"""The name of a scan, ``sub-X`` or ``sub-X_ses-Y``, its folder, and files named by both."""

from __future__ import annotations

import re
from pathlib import Path

ID = "[A-Za-z0-9]+"
SCAN = f"sub-{ID}(_ses-{ID})?"
FOLDER = f"sub-{ID}(/ses-{ID})?"
"""Patterns of regular expressions: of an id, of a scan's name and of its folder."""


def is_id(text: str) -> bool:
    """Whether a text can be a subject's or a session's id."""
    return re.fullmatch(ID, text) is not None


def name_of_scan(subject: str, session: str = "") -> str:
    """Return the name of a subject's scan. `session` is empty if there is only one."""
    return f"sub-{subject}" + (f"_ses-{session}" if session else "")


def folder_of(scan: str) -> str:
    """Return the folder of a scan: ``sub-X`` or ``sub-X/ses-Y``."""
    return scan.replace("_", "/")


def scan_of(folder: str) -> str:
    """Return the scan of a folder. This inverts `folder_of`."""
    return "_".join(Path(folder).parts)


def path_of_scan(pattern: str, scan: str, **names: object) -> Path:
    """Return a path of a scan: a pattern with ``{scan}``, ``{folder}`` and those of `names`."""
    return Path(pattern.format(scan=scan, folder=folder_of(scan), **names))
