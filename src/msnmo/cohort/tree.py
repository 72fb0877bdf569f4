"""The files below users' folders. Links are followed, and each real folder is read once."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from msnmo.core.fetched import not_fetched

# added by macOS, Synology disks and Windows
NO_DATA = ("__MACOSX", "@eaDir", "$RECYCLE.BIN", "System Volume Information")
OF_SYSTEM = "a hidden folder, or one that systems add to archives and disks: no data, not read"
OF_VERSIONS = (".git", ".datalad")
READ_ALREADY = "a link to a folder that was already read, or that contains the data: not followed"
NIFTI = (".nii", ".nii.gz")
# other image formats, and names damaged by copying or fetching
OTHER_FORM = re.compile(
    r"\.(mg[hz]|img|hdr|a?nhdr|nrrd|mh[ad]|mif|mnc|head|brik|gipl|dcm|np[yz]|zip|tar|tgz|7z|rar|nii)\b.*$",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class InTree:
    """A file and where it was found.

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
    """Return every file below folders, by name. A folder named like an image counts as a file.

    Links to folders are followed after all real folders have been read. No link leads upwards or to
    a folder a second time.

    Parameters
    ----------
    roots : iterable of Path
    tell : callable
        Called with each folder that is not read, and why.
    """
    # real folders first, so that files get their own paths and not those of links
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
            # ._x files are from macOS too
            plain = [name for name in (*files, *images) if not name.startswith("._")]
            found += [InTree(folder / name, root, inside) for name in plain]
    return sorted(found, key=lambda each: each.path)


def _tell_unread(error: OSError, tell: Callable[[Path, str], None]) -> None:
    tell(Path(error.filename), f"a folder that cannot be read: {error.strerror}")


def is_nifti(path: Path) -> bool:
    """Whether a file has the name of a NIfTI image."""
    return path.name.endswith(NIFTI)


def other_form(path: Path) -> str:
    """Return a file's name without the ending of another image format; empty if it has none."""
    if is_nifti(path) or not (match := OTHER_FORM.search(path.name)):
        return ""
    return path.name[: match.start()]


def unusable(path: Path) -> str | None:
    """Return why a path cannot be read as a file: not fetched, or a folder, pipe or device."""
    if reason := not_fetched(path):
        return reason
    try:
        regular = stat.S_ISREG(path.stat().st_mode)
    except OSError:
        return None  # the code that opens it reports why it cannot be read
    return None if regular else "a folder, pipe or device, not a file"
