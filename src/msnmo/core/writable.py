"""Whether files can be written in a folder, asked before anything is computed."""

from __future__ import annotations

import tempfile
from pathlib import Path

from msnmo.core.errors import bad_input, explain_refusal
from msnmo.core.paths import not_a_folder


def require_folder(folder: Path, remedy: str = "rename it, or give another --out") -> None:
    """Refuse a folder in which no file can be written; leave none that was not there.

    Raises
    ------
    DiskError
        Naming the folder, the system's reason and a remedy.
    InputError
        If a file is in its place, or the place takes no files.
    """
    if file := not_a_folder(str(folder.absolute())):
        raise bad_input(file, "a folder for results", "a file", remedy)
    try:
        with explain_refusal(folder):
            tempfile.TemporaryFile(dir=_nearest(folder)).close()
    except OSError as error:  # such as /proc
        expected, found = "a folder that takes files", error.strerror or str(error)
        raise bad_input(folder, expected, found, remedy) from error


def require_empty(folder: Path, remedy: str = "give another --out") -> None:
    """Refuse a folder that holds anything, besides what `require_folder` refuses.

    Raises
    ------
    DiskError
        As `require_folder`.
    InputError
        As `require_folder`, and if something is in it.
    """
    require_folder(folder, remedy)
    if folder.is_dir() and (held := sorted(path.name for path in folder.iterdir())):
        raise bad_input(folder, "no folder, or an empty one", f"{held[0]} is in it", remedy)


def _nearest(folder: Path) -> Path:
    """Return the folder, or the nearest above it that is there."""
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder
