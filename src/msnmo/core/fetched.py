"""Files that a clone has by name alone: git-annex and Git LFS leave a pointer until they fetch."""

from __future__ import annotations

from pathlib import Path

ANNEX_LINK = ".git/annex/objects"
ANNEX_TEXT = b"/annex/objects/"
LFS_TEXT = b"version https://git-lfs.github.com/spec/"
FROM_ANNEX = "datalad get or git annex get fetches it"
FROM_LFS = "git lfs pull fetches it"


def not_fetched(path: Path) -> str | None:
    """Return what a placeholder for a file not yet fetched is, with the remedy; else None."""
    try:
        return _pointer(path)
    except OSError:
        return None  # whoever opens it says why it cannot be read


def _pointer(path: Path) -> str | None:
    if path.is_symlink() and not path.exists():
        annex = ANNEX_LINK in path.readlink().as_posix()
        kind = "a git-annex link" if annex else "a link"
        remedy = FROM_ANNEX if annex else "correct the link, or fetch the file with datalad get"
        return f"not fetched ({kind} without its file): {remedy}"
    if not path.is_file():
        return None
    with path.open("rb") as file:
        start = file.read(len(LFS_TEXT))
    if start.startswith(ANNEX_TEXT):
        return f"not fetched (a git-annex pointer, not an image): {FROM_ANNEX}"
    if start == LFS_TEXT:
        return f"not fetched (a Git LFS pointer, not an image): {FROM_LFS}"
    return None
