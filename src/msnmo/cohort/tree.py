"""The files below folders, as users have them: links followed, each real folder read once."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from msnmo.core.fetched import not_fetched

# of macOS, a Synology disk and Windows
NO_DATA = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
OF_SYSTEM = "what a system adds to archives and disks, or a hidden folder, no data: not read"
OF_VERSIONS = (".git", ".datalad")
READ_ALREADY = "a link to a folder that is read already, or that holds the data: not followed"
NIFTI = (".nii", ".nii.gz")
# other forms of images, and names that copying or fetching has spoilt
OTHER_FORM = re.compile(
    r"\.(mg[hz]|img|hdr|a?nhdr|nrrd|mh[ad]|mif|mnc|head|brik|gipl|dcm|np[yz]|zip|tar|tgz|7z|rar|nii)\b.*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class InTree:
    """A file and how it was found.

    Parameters
    ----------
    path, root : Path
    folders : tuple of str
        Names of the folders from the root to the file.
    """

    path: Path
    root: Path
    folders: tuple[str, ...]


def files_below(roots: Iterable[Path], tell: Callable[[Path, str], None]) -> list[InTree]:
    """Return every file below folders, by name; a folder that is named as an image is one too.

    Links to folders are followed after all real folders are read, and none leads to a folder a
    second time or upwards.

    Parameters
    ----------
    roots : iterable of Path
    tell : callable
        Given each folder that is not read, and why.
    """
    # real folders first: what a link also leads to is known by its own path
    waiting = [(root, root) for root in sorted(roots, key=lambda root: (root.is_symlink(), root))]
    above = {parent for root, _ in waiting for parent in root.resolve().parents}
    found: list[InTree] = []
    seen: set[Path] = set()
    for top, root in waiting:
        if top.is_symlink() and (top.resolve() in seen or top.resolve() in above):
            tell(top, READ_ALREADY)
            continue
        for here, names, files in os.walk(top, onerror=lambda error: _tell_unread(error, tell)):
            folder = Path(here)
            if (real := folder.resolve()) in seen:
                names.clear()
                continue
            seen.add(real)
            no_data = [name for name in names if name in NO_DATA or name.startswith(".")]
            for name in sorted({*no_data} - {*OF_VERSIONS}):
                tell(folder / name, OF_SYSTEM)
            images = [name for name in names if name.endswith(NIFTI)]
            names[:] = sorted({*names} - {*no_data, *images})
            waiting += [(folder / name, root) for name in names if (folder / name).is_symlink()]
            inside = folder.relative_to(root).parts
            # ._x is macOS's as well
            plain = [name for name in (*files, *images) if not name.startswith("._")]
            found += [InTree(folder / name, root, inside) for name in plain]
    return sorted(found, key=lambda each: each.path)


def _tell_unread(error: OSError, tell: Callable[[Path, str], None]) -> None:
    tell(Path(error.filename), f"a folder that cannot be read: {error.strerror}")


def is_nifti(path: Path) -> bool:
    """Whether a file has the name of a NIfTI image."""
    return path.name.endswith(NIFTI)


def other_form(path: Path) -> str:
    """Return a file's name without the ending of another form of image; empty if it has none."""
    if is_nifti(path) or not (match := OTHER_FORM.search(path.name)):
        return ""
    return path.name[: match.start()]


def unusable(path: Path) -> str | None:
    """Return why a file cannot be read as one: not fetched, or a folder, pipe or device."""
    if reason := not_fetched(path):
        return reason
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return None  # whoever opens it says why it cannot be read
    return None if regular else "a folder, pipe or device, no file"
