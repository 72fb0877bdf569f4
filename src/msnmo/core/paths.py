"""Paths as users write them, in the config, in scan tables and as options: one meaning for all."""

from __future__ import annotations

import argparse
import contextlib
import os
import re
import stat
from pathlib import Path, PurePath

VARIABLE = re.compile(r"\$(?:([A-Za-z_][A-Za-z0-9_]*)|\{([^{}]*)\})")
CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")
ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")
LONGEST, LONGEST_NAME = 1024, 255
"""Bytes of a path, which leave room for what lies below, and of a name, as systems have it."""
PLAIN = "a path in one line without { } (Snakemake's), that begins with no dash"


class WrongPath(ValueError):  # noqa: N818 - said of the path
    """A path that cannot be used.

    Parameters
    ----------
    expected, found, remedy : str
        As of `msnmo.core.errors.Finding`.
    """

    def __init__(self, expected: str, found: str, remedy: str):
        super().__init__(f"expected {expected}, found {found}: {remedy}")
        self.expected, self.found, self.remedy = expected, found, remedy


def expand(text: str) -> str:
    """Return a path with ``~`` and variables replaced, without redundant slashes.

    ``~`` and ``~user`` at the start of a path are home folders. ``$NAME`` and ``${NAME}`` anywhere
    are variables of the environment. A relative path stays relative, and ``..`` stays.

    Raises
    ------
    WrongPath
        If the path is empty, too long or a web address, has a control character or a brace, starts
        with a dash, or names a variable that is not set or a user that does not exist.
    """
    if not text.strip():
        raise WrongPath("a path", "an empty one", "give a path")
    if ADDRESS.match(text):
        remedy = "download the file and give its path, from / on, without http:// or file://"
        raise WrongPath("a path on this machine", f"the address '{text}'", remedy)
    if CONTROL.search(text):
        raise WrongPath(PLAIN, repr(text), "remove the line end or other control character")
    path = _home(VARIABLE.sub(_variable, text))
    if CONTROL.search(path) or re.search("[{}]", path):
        raise WrongPath(PLAIN, f"'{path}'", "rename the folder or file, or correct the variable")
    # Snakemake would warn about //, ./ and a slash at the end, for every file of every job
    path = str(PurePath(re.sub("^/+", "/", path)))
    if path.startswith("-"):
        raise WrongPath(PLAIN, f"'{path}'", "write the whole path, from /, or rename the file")
    _refuse_long(path)
    return path


def _refuse_long(path: str) -> None:
    bytes_of_name = max(_bytes(name) for name in path.split("/"))
    if _bytes(path) <= LONGEST and bytes_of_name <= LONGEST_NAME:
        return
    expected = f"a path of at most {LONGEST} bytes, each name of at most {LONGEST_NAME}"
    found = f"{_bytes(path)} bytes and a name of {bytes_of_name}, '{path[:40]}...'"
    raise WrongPath(expected, found, "give a shorter one")


def _bytes(text: str) -> int:
    return len(text.encode("utf-8", "surrogatepass"))


def _home(path: str) -> str:
    home = os.path.expanduser(path)  # noqa: PTH111 - pathlib's drops the rest that we refuse
    if home.startswith("~"):
        user = path.partition("/")[0]
        remedy = "correct the user's name, or write ./~ for a name that starts with ~"
        raise WrongPath("~ or ~user, of a user of this machine", f"'{user}'", remedy)
    return home


def _variable(match: re.Match[str]) -> str:
    name = match[1] or match[2]
    if value := os.environ.get(name):
        return value
    found = f"'{match[0]}', and {name or 'no variable'} is not set"
    raise WrongPath("variables that are set", found, f"set {name or 'one'}, or write the path out")


def locate(text: str, folder: Path = Path()) -> Path:
    """Resolve a path from a scan table or an option.

    If a file of exactly this name exists, it is taken: programs and shells write names as they are.

    Parameters
    ----------
    text : str
        As written.
    folder : Path
        What a relative path is relative to.

    Raises
    ------
    WrongPath
        As `expand`.
    """
    written = folder / text
    return written if text and _is_there(written) else folder / expand(text)


def path_argument(text: str) -> Path:
    """Resolve a path from an option by `locate` (a `type` of argparse)."""
    try:
        return locate(text)
    except WrongPath as wrong:
        raise argparse.ArgumentTypeError(str(wrong)) from wrong


def _is_there(path: Path) -> bool:
    try:
        return os.path.lexists(path)
    except ValueError:  # NUL
        return False


def not_a_folder(path: str) -> Path | None:
    """Return the file in the place of a folder or of one above it, or None."""
    for place in (Path(path), *Path(path).parents):
        if os.path.lexists(place):
            return None if place.is_dir() else place
    return None


def of_user(kind: str) -> Path:
    """Return a folder where all jobs of this user on this machine meet, such as that of GPUs.

    It depends on no variable: schedulers give each job its own TMPDIR, and set XDG_RUNTIME_DIR for
    some jobs only. It is not in the home folder, which the machines of a cluster share.
    """
    return Path(f"/tmp/msnmo-{kind}-{os.getuid()}")  # noqa: S108 - its owner is checked


def make_own(folder: Path) -> bool:
    """Make a folder that only this user may enter. Return whether it belongs to the user."""
    with contextlib.suppress(FileExistsError):  # a file or a broken link
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = folder.lstat()
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()
