"""Archives and packed files among those of a cohort: known by their first bytes, not opened.

Each is told with a command that opens it: of Python, which is there, wherever it does.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import shlex
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from msnmo.core.errors import Finding, bad_input

# Where in a file stands what tells its kind
STARTS = {
    "zip": (0, b"PK\x03\x04"),
    "gzip": (0, b"\x1f\x8b"),
    "tar": (257, b"ustar"),
    "7z": (0, b"7z\xbc\xaf\x27\x1c"),
    "rar": (0, b"Rar!"),
    "bzip2": (0, b"BZh"),
    "xz": (0, b"\xfd7zXZ"),
}
ENDINGS = {
    "zip": (".zip",),
    "tar": (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz"),
    "gzip": (".gz",),
    "bzip2": (".bz2",),
    "xz": (".xz",),
    "7z": (".7z",),
    "rar": (".rar",),
}
PACKED: dict[str, tuple[Callable[..., Any], str]] = {
    "gzip": (gzip.open, "gunzip"),
    "bzip2": (bz2.open, "bunzip2"),
    "xz": (lzma.open, "unxz"),
}
"""Of one file: what reads it, and the command that puts the file in its place."""
DAMAGED = (
    *(OSError, EOFError, ValueError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError),
)
INTO = "_unpacked"
"""Ends the name of the folder beside an archive that holds what is in it."""
UNPACK = {
    "zip": "python -m zipfile -e {archive} {folder}",
    "tar": "python -m tarfile -e {archive} {folder}",
    "7z": "7z x {archive} -o{folder}",
    "rar": "7z x {archive} -o{folder}",
}


OF_FOLDERS = tuple(ending for kind in UNPACK for ending in ENDINGS[kind])


def archive_kind(path: Path) -> str:
    """Return which archive or packed file it is; empty if it is none, or a NIfTI file.

    A tar is one however it is packed. One whose content lies unpacked beside it is none.
    """
    if path.name.endswith(".nii.gz") or path.with_name(f"{path.name}{INTO}").is_dir():
        return ""
    kind = ""
    try:
        with path.open("rb") as stream:
            kind = _kind(stream.read(512))
        if kind in PACKED:
            with PACKED[kind][0](path) as stream:
                return "tar" if _kind(stream.read(512)) == "tar" else kind
    except DAMAGED:
        return kind
    return kind


def _kind(start: bytes) -> str:
    found = (
        kind
        for kind, (place, magic) in STARTS.items()
        if start[place : place + len(magic)] == magic
    )
    return next(found, "")


def refuse_archive(path: Path) -> None:
    """Refuse an archive where the folder is meant that it unpacks to.

    Raises
    ------
    InputError
        With the command that unpacks it.
    """
    if path.is_file() and (kind := archive_kind(path)):
        remedy = f"unpack it ({command_for(path, kind)}) and give the folder that it makes"
        raise bad_input(path, "a folder", f"an archive ({kind})", remedy)


def archives_in(folder: Path) -> list[Finding]:
    """Return each archive at the top of a folder that is not unpacked, and how it is."""
    files = sorted(path for path in folder.glob("*") if path.is_file())
    return [
        Finding(str(path), "an unpacked data set", f"an archive ({kind})", f"unpack it: {command}")
        for path in files
        if path.name.lower().endswith(OF_FOLDERS)
        and (kind := archive_kind(path))
        and (command := in_its_place(path, kind))
    ]


def command_for(path: Path, kind: str, into: Path | None = None) -> str:
    """Return the command that unpacks a file, into the folder beside it unless one is given."""
    archive = shlex.quote(str(path))
    if kind in PACKED:
        return f"{PACKED[kind][1]} {archive}"
    folder = shlex.quote(str(into or path.with_name(f"{path.name}{INTO}")))
    return UNPACK[kind].format(archive=archive, folder=folder)


def command_for_all(folder: str, kind: str) -> str:
    """Return the command that unpacks all archives of a kind in a folder, each beside itself.

    Parameters
    ----------
    folder : str
        As a shell takes it: quoted.
    kind : str
    """
    named = " -o ".join(f"-iname '*{ending}'" for ending in ENDINGS[kind])
    if kind in PACKED:
        spared = " ".join(f"! -iname '*{ending}'" for ending in (".nii.gz", *ENDINGS["tar"][1:]))
        return f"find {folder} {named} {spared} -exec {PACKED[kind][1]} {{}} +"
    unpack = UNPACK[kind].format(archive="{}", folder=f"{{}}{INTO}")
    return rf"find {folder} \( {named} \) -exec {unpack} \;"


def remedy_for(folder: Path, kinds: Iterable[str]) -> str:
    """Return how all that is packed in a folder is opened."""
    commands = [command_for_all(shlex.quote(str(folder)), kind) for kind in sorted(set(kinds))]
    return f"unpack it first: {'; '.join(commands)}"


def in_its_place(path: Path, kind: str) -> str:
    """Return the command that unpacks an archive where its content belongs by its name.

    Beside itself, if what is in it lies in a folder of a subject or of the archive's own name; else
    in a folder of that name. Empty if it has been unpacked there.
    """
    endings = [each for each in ENDINGS[kind] if path.name.lower().endswith(each)]
    ending = max(endings, key=len, default="")
    stem = path.name[: len(path.name) - len(ending)] if ending else f"{path.name}{INTO}"
    first = _first_in(path, kind)
    parts = PurePosixPath(first).parts
    within = len(parts) > 1 and (parts[0] == stem or parts[0].startswith("sub-"))
    into = path.parent if within else path.with_name(stem)
    return "" if first and (into / first).exists() else command_for(path, kind, into)


def _first_in(path: Path, kind: str) -> str:
    """Return the path of the first file in an archive; empty where it cannot be told."""
    try:
        if kind == "zip":
            with zipfile.ZipFile(path) as archive:
                return next((name for name in archive.namelist() if not name.endswith("/")), "")
        if kind == "tar":
            with tarfile.open(path) as archive:
                return next((each.name.removeprefix("./") for each in archive if each.isfile()), "")
    except DAMAGED:
        return ""
    return ""
