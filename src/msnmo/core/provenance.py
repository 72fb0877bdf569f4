"""What a result was made with: versions of the software and the state of its source."""

from __future__ import annotations

import platform
from importlib import metadata
from pathlib import Path

from msnmo.core.processes import ask

PACKAGES = ("msnmo", "torch", "monai", "numpy")
NOT_KNOWN = "n/a"
SECONDS_FOR_GIT = 30


def versions() -> dict[str, str]:
    """Return the versions of Python, of this package and of the libraries results depend on.

    They are read from the metadata of installed packages, so that no large package is imported.
    """
    return {"python": platform.python_version()} | {name: _version(name) for name in PACKAGES}


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return NOT_KNOWN


def git_state(source: Path = Path(__file__)) -> dict[str, str | bool]:
    """Return the commit of the source code and whether it has been changed since.

    Parameters
    ----------
    source : Path
        A file of the source code.

    Returns
    -------
    dict
        ``commit`` (hexadecimal) and ``dirty``. Both are ``n/a`` if git does not track the file:
        outside a repository, or for a package that is installed within another repository.
    """
    commit = _git(source, "rev-parse", "HEAD")
    if commit is None or _git(source, "ls-files", "--error-unmatch", source.name) is None:
        return {"commit": NOT_KNOWN, "dirty": NOT_KNOWN}
    status = _git(source, "status", "--porcelain", "--untracked-files=no")
    return {"commit": commit, "dirty": bool(status)}


def _git(source: Path, *arguments: str) -> str | None:
    """Return git's output in the file's folder, or None if it does not answer."""
    folder = str(source.resolve().parent)
    done = ask("git", "-C", folder, *arguments, seconds=SECONDS_FOR_GIT)
    return done.said if done.code == 0 else None
