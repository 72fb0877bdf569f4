"""Find archives and packed files in a cohort by their first bytes, without opening them.

Each is reported with the command that opens it. Where Python can do it, this is a Python command,
which works on every system.
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

from msnmo.cohort.tree import files_below
from msnmo.core.errors import Finding, bad_input

# Position in a file of the bytes that identify its kind
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
"""For packed single files: what reads them, and the command that replaces them by their content."""
DAMAGED = (
    *(OSError, EOFError, ValueError, zlib.error, lzma.LZMAError),
    *(zipfile.BadZipFile, tarfile.TarError),
)
INTO = "_unpacked"
"""Suffix of the folder beside an archive that holds its content."""
UNPACK = {
    "zip": "python -m zipfile -e {archive} {folder}",
    "tar": "python -m tarfile -e {archive} {folder}",
    "7z": "7z x {archive} -o{folder}",
    "rar": "7z x {archive} -o{folder}",
}


OF_FOLDERS = tuple(ending for kind in UNPACK for ending in ENDINGS[kind])


def archive_kind(path: Path) -> str:
    """Return the kind of archive or packed file; empty if it is neither, or is a NIfTI file.

    A compressed tar counts as a tar. An archive whose content lies unpacked beside it does not
    count.
    """
    return "" if path.with_name(f"{path.name}{INTO}").is_dir() else _kind_of(path)


def is_archive(path: Path) -> bool:
    """Whether a file is an archive by its name and first bytes, even if it has been unpacked."""
    return path.name.lower().endswith(OF_FOLDERS) and path.is_file() and _kind_of(path) != ""


def _kind_of(path: Path) -> str:
    if path.name.endswith(".nii.gz"):
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
    """Refuse an archive given in place of the folder that it unpacks to.

    Raises
    ------
    InputError
        Names the command that unpacks it.
    """
    if path.is_file() and (kind := archive_kind(path)):
        remedy = f"unpack it ({command_for(path, kind)}) and give the folder that it makes"
        raise bad_input(path, "a folder", f"an archive ({kind})", remedy)


def archives_in(folder: Path) -> list[Path]:
    """Return each archive below a folder, by name.

    Folders that operating systems add are skipped.
    """
    found = files_below([folder], lambda _path, _reason: None) if folder.is_dir() else []
    return [each.path for each in found if is_archive(each.path)]


def packed_yet(paths: Iterable[Path]) -> list[tuple[Path, str, str]]:
    """Return each archive that is not unpacked yet, with its kind and the command to unpack it."""
    return [
        (path, kind, command)
        for path in paths
        if is_archive(path)
        and (kind := archive_kind(path))
        and (command := in_its_place(path, kind))
    ]


def packed_findings(paths: Iterable[Path]) -> list[Finding]:
    """Return a finding for each archive that is not unpacked yet."""
    return [
        Finding(str(path), "an unpacked data set", f"an archive ({kind})", f"unpack it: {command}")
        for path, kind, command in packed_yet(paths)
    ]


def command_for(path: Path, kind: str, into: Path | None = None) -> str:
    """Return the command that unpacks a file. The default target is the folder beside it."""
    archive = shlex.quote(str(path))
    if kind in PACKED:
        return f"{PACKED[kind][1]} {archive}"
    folder = shlex.quote(str(into or path.with_name(f"{path.name}{INTO}")))
    return UNPACK[kind].format(archive=archive, folder=folder)


def command_for_all(folder: str, kind: str) -> str:
    """Return the command that unpacks all archives of one kind in a folder, each next to itself.

    Parameters
    ----------
    folder : str
        Quoted for a shell.
    kind : str
    """
    named = " -o ".join(f"-iname '*{ending}'" for ending in ENDINGS[kind])
    if kind in PACKED:
        spared = " ".join(f"! -iname '*{ending}'" for ending in (".nii.gz", *ENDINGS["tar"][1:]))
        return f"find {folder} {named} {spared} -exec {PACKED[kind][1]} {{}} +"
    unpack = UNPACK[kind].format(archive="{}", folder=f"{{}}{INTO}")
    return rf"find {folder} \( {named} \) -exec {unpack} \;"


def remedy_for(folder: Path, kinds: Iterable[str]) -> str:
    """Return the remedy for a folder with packed files: the commands that unpack them."""
    commands = [command_for_all(shlex.quote(str(folder)), kind) for kind in sorted(set(kinds))]
    return f"unpack it first: {'; '.join(commands)}"


def in_its_place(path: Path, kind: str) -> str:
    """Return the command that unpacks an archive to the place that suits its content.

    This is beside the archive, if it holds an image with the archive's own name, or if its content
    lies in a folder of a subject or of that name. Otherwise it is a folder of that name. The result
    is empty if the archive has been unpacked there.
    """
    endings = [each for each in ENDINGS[kind] if path.name.lower().endswith(each)]
    ending = max(endings, key=len, default="")
    stem = path.name[: len(path.name) - len(ending)] if ending else f"{path.name}{INTO}"
    first = _first_in(path, kind)
    parts = PurePosixPath(first).parts
    image = stem.removesuffix(".gz").removesuffix(".nii")
    of_subject = len(parts) > 1 and parts[0].startswith("sub-")
    within = of_subject or parts[:1] in {(stem,), (f"{image}.nii",), (f"{image}.nii.gz",)}
    into = path.parent if within else path.with_name(stem)
    return "" if first and (into / first).exists() else command_for(path, kind, into)


def _first_in(path: Path, kind: str) -> str:
    """Return the path of the first file in an archive; empty if it cannot be read."""
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
