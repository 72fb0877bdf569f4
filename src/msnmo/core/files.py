"""Writing files so that a killed run leaves nothing that looks finished."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import glob
import hashlib
import itertools
import json
import math
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import IO, TYPE_CHECKING, Any

from msnmo.core.cells import as_cell
from msnmo.core.errors import bad_input, explain_refusal
from msnmo.core.signals import made_and_removed, signals_put_off

if TYPE_CHECKING:
    import pandas as pd

NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP)
"""What a disk without flock says: NFS without its lock daemon, some FUSE and parallel disks."""
MAKE_AGAIN = "delete the file and run the workflow again"
PREDICT_AGAIN = "delete the folder of predictions and run the workflow again"
"""The workflow knows such a folder whole: a file that is missing in it is not made again."""
HELD = "held"
"""The file that a process which writes a folder holds locked."""
SECONDS_TO_BEGIN = 3600.0
UMASK = Lock()
LARGEST_TEXT = 64 * 2**20
"""Bytes: a bundle of 100 folds and 500,000 scans has fewer."""
NOT_A_NUMBER = re.compile(rb"(?<![^\t\n])[-+]?(?:nan|inf|infinity)(?![^\t\r\n])", re.IGNORECASE)
"""A cell that pandas would take for a number, and that is none."""


@contextlib.contextmanager
def atomic_path(path: Path | str) -> Iterator[Path]:
    """Yield a temporary path beside `path`. Rename it to `path` when the block succeeds.

    The temporary file keeps the ending of the name, because writers such as nibabel choose the
    format by it. On an error it is removed, and `path` is not changed. The next write of `path`
    removes what a killed one left.

    Parameters
    ----------
    path : Path or str
        The final place; its folder is made if it is missing.

    Raises
    ------
    DiskError
        If the disk is full, read-only or not ours.
    """
    path = Path(path)
    with explain_refusal(path), _temporary(path) as temporary:
        yield temporary
        flush_to_disk(temporary)
        # mkstemp makes files private; results are shared within a core facility
        temporary.chmod(0o666 & ~_umask())
        temporary.replace(path)


@contextlib.contextmanager
def _temporary(path: Path) -> Iterator[Path]:
    """Yield an empty file beside `path` with a unique name, and remove it afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove_what_killed_writes_left(path)

    def make() -> tuple[IO[bytes], Path]:
        while True:
            handle, name = tempfile.mkstemp(prefix=".tmp-", suffix=f"-{path.name}", dir=path.parent)
            stream, temporary = os.fdopen(handle, "r+b"), Path(name)
            with contextlib.suppress(OSError):  # there are network disks without locks
                fcntl.flock(stream, fcntl.LOCK_EX)
            # before it was held, another write may have taken it for one that was left
            if temporary.exists():
                return stream, temporary
            stream.close()

    def remove(made: tuple[IO[bytes], Path]) -> None:
        made[0].close()
        made[1].unlink(missing_ok=True)

    with made_and_removed(make, remove) as (_, temporary):
        yield temporary


def _remove_what_killed_writes_left(path: Path) -> None:
    """Remove temporary files of `path` that no process holds any more."""
    for left in path.parent.glob(f".tmp-????????-{glob.escape(path.name)}"):
        with contextlib.suppress(OSError), left.open("r+b") as stream:
            fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            left.unlink()


@contextlib.contextmanager
def atomic_folder(path: Path) -> Iterator[Path]:
    """Yield an empty folder beside `path`. Rename it to `path` when the block succeeds.

    A folder of that name is replaced as a whole. On an error it is not changed. The next write of
    `path` removes what killed ones left (``.tmp-*-<name>``). If several processes write it at once,
    the last one's whole folder stays.

    Raises
    ------
    DiskError
        If the disk is full, read-only or not ours.
    """
    with explain_refusal(path), _scratch_folder(path) as scratch:
        new = scratch / "new"
        new.mkdir()
        yield new
        with signals_put_off():  # between two names there is neither the old version nor the new
            _put_in_place(new, path, scratch)


@contextlib.contextmanager
def _scratch_folder(path: Path) -> Iterator[Path]:
    """Yield a folder beside `path` with a unique name, and remove it afterwards."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.glob(f".tmp-????????-{glob.escape(path.name)}"):
        _remove_if_left(left)

    def make() -> tuple[IO[bytes], Path]:
        scratch = Path(tempfile.mkdtemp(prefix=".tmp-", suffix=f"-{path.name}", dir=path.parent))
        # locked before it has the name by which others look for it
        held = (scratch / f"new-{HELD}").open("wb")
        with contextlib.suppress(OSError):  # there are network disks without locks
            fcntl.flock(held, fcntl.LOCK_EX)
        Path(held.name).rename(scratch / HELD)
        return held, scratch

    with made_and_removed(make, lambda made: _remove_scratch(*made)) as (_, scratch):
        yield scratch


def _remove_if_left(scratch: Path) -> None:
    """Remove a folder that no process writes any more."""
    if not (scratch / HELD).exists():
        # begun or ended this moment, or by a process that was killed at once
        with contextlib.suppress(OSError):
            if time.time() - scratch.stat().st_mtime > SECONDS_TO_BEGIN:
                shutil.rmtree(scratch)
        return
    with contextlib.suppress(OSError), (scratch / HELD).open("r+b") as held:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        _remove_scratch(held, scratch)


def _remove_scratch(held: IO[bytes], scratch: Path) -> None:
    """Remove a folder that this process holds: what holds it goes last, lest two remove it."""
    if not scratch.exists():
        held.close()
        return
    for each in scratch.iterdir():
        if each.is_dir() and not each.is_symlink():
            shutil.rmtree(each)
        elif each.name != HELD:
            each.unlink()
    (scratch / HELD).unlink(missing_ok=True)
    held.close()  # network disks keep a file under another name for as long as it is open
    scratch.rmdir()


def _put_in_place(new: Path, path: Path, scratch: Path) -> None:
    """Rename a folder. An existing folder with that name moves to the scratch folder."""
    for number in itertools.count():
        with contextlib.suppress(FileNotFoundError):
            path.replace(scratch / f"old-{number}")
        try:
            new.replace(path)
        except OSError as error:
            # another write was between the two
            if error.errno not in {errno.ENOTEMPTY, errno.EEXIST}:
                raise
        else:
            return


def flush_to_disk(path: Path) -> None:
    """Wait until the file's bytes are on disk, so that a rename never outruns its data."""
    with path.open("rb") as stream:
        os.fsync(stream.fileno())


def _umask() -> int:
    # it can be asked only by setting it, and is of the process: two threads would leave it 0
    with UMASK:
        current = os.umask(0)
        os.umask(current)
    return current


def write_text(path: Path | str, text: str) -> None:
    """Write UTF-8 text atomically."""
    with atomic_path(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path | str, content: Mapping[str, Any]) -> None:
    """Write a JSON object atomically, with keys in the given order. NaN is refused."""
    write_text(path, json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_text(path: Path | str, remedy: str = MAKE_AGAIN) -> str:
    """Read a text in UTF-8. Errors name the file.

    Raises
    ------
    InputError
        If the file is missing, is no text, or is too large.
    """
    try:
        return _text_of(Path(path))
    except (OSError, ValueError) as error:
        raise bad_input(path, "a readable text in UTF-8", str(error), remedy) from error


def read_json(path: Path | str, remedy: str = MAKE_AGAIN) -> dict[str, Any]:
    """Read a JSON object of finite numbers. Errors name the file.

    Parameters
    ----------
    path : Path or str
    remedy : str
        What the user can do about a damaged one.

    Raises
    ------
    InputError
        If the file is missing, is not JSON, holds no object, has NaN or infinity, is too large, or
        is too deeply nested.
    """
    try:
        content = loads_finite(_text_of(Path(path)))
    except (OSError, ValueError, RecursionError) as error:
        raise bad_input(path, "a readable JSON object", str(error), remedy) from error
    if not isinstance(content, dict):
        raise bad_input(path, "a JSON object", type(content).__name__, remedy)
    return content


def loads_finite(text: str) -> Any:
    """Parse a JSON text. NaN, Infinity and 1e999, which Python accepts, are refused.

    Raises
    ------
    ValueError
        If it is no JSON, or has NaN or infinity.
    RecursionError
        If it is nested too deeply.
    """
    return json.loads(text, parse_constant=_finite, parse_float=_finite)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} instead of a finite number")
    return value


def _text_of(path: Path) -> str:
    if path.exists() and not path.is_file():
        raise ValueError("not a file but a folder, a pipe or a device")
    if (size := path.stat().st_size) > LARGEST_TEXT:
        raise ValueError(f"{size} bytes, more than the limit of {LARGEST_TEXT}")
    return path.read_text(encoding="utf-8")


def write_tsv(path: Path | str, table: pd.DataFrame) -> None:
    """Write a table atomically: tab-separated, no index, missing values as ``n/a`` (BIDS).

    Text that a spreadsheet would execute, or that would change the direction of reading, is made
    harmless (`msnmo.core.cells`).
    """
    with atomic_path(path) as temporary:
        _harmless(table).to_csv(temporary, sep="\t", index=False, na_rep="n/a", lineterminator="\n")


def _harmless(table: pd.DataFrame) -> pd.DataFrame:
    for name in table.select_dtypes(["object", "string", "category"]).columns:
        known = list(table[name])
        cells = [as_cell(cell) if isinstance(cell, str) else cell for cell in known]
        # a column that is left alone keeps its type, which decides how numbers in it are written
        if any(isinstance(old, str) and new != old for new, old in zip(cells, known, strict=True)):
            table = table.assign(**{name: cells})
    return table


def read_tsv(
    path: Path | str,
    columns: Mapping[str, type],
    remedy: str = MAKE_AGAIN,
    files: Sequence[str] = (),
) -> pd.DataFrame:
    """Read a table written by `write_tsv`, and check its columns and their types.

    Parameters
    ----------
    path : Path or str
    columns : mapping of str to type
    remedy : str
        What the user can do about a damaged one.
    files : sequence of str
        Columns of paths that are written relative to the table's folder, so that results can be
        moved. They are returned as paths that open from here.

    Raises
    ------
    InputError
        If the file cannot be read or ends within a line, a column is missing, or a value has
        another type. NaN and infinity are refused; a missing number is ``n/a``.
    """
    import pandas as pd  # noqa: PLC0415 - half a second that steps without tables need not pay

    try:
        content = Path(path).read_bytes()
        if content and not content.endswith(b"\n"):
            # pandas would fill the last row up with missing values
            raise bad_input(path, "a complete table", "a truncated last line", remedy)
        table = pd.read_csv(
            path,
            sep="\t",
            dtype=dict(columns),
            na_values=["n/a"],
            keep_default_na=False,
            float_precision="round_trip",
        )
    except (OSError, ValueError) as error:
        found = _misread(path, columns) or str(error)
        raise bad_input(path, f"a table with {', '.join(columns)}", found, remedy) from error
    if missing := [name for name in columns if name not in table]:
        found = f"no column {', '.join(missing)}"
        raise bad_input(path, f"columns {', '.join(columns)}", found, remedy)
    numbers = [name for name, kind in columns.items() if kind is float]
    if numbers and NOT_A_NUMBER.search(content) and (wrong := _misread(path, columns)):
        raise bad_input(path, f"a table with {', '.join(columns)}", wrong, remedy)
    for name in files:
        table[name] = table[name].map(lambda file: _beside(path, file), na_action="ignore")
    return table


def _misread(path: Path | str, columns: Mapping[str, type]) -> str | None:
    """Return the first value in a column of numbers that is no number, and its line."""
    import numpy as np  # noqa: PLC0415 - as in `read_tsv`
    import pandas as pd  # noqa: PLC0415

    try:
        text = pd.read_csv(path, sep="\t", dtype=str, na_values=["n/a"], keep_default_na=False)
    except (OSError, ValueError):
        return None
    for name in (name for name, kind in columns.items() if kind in (int, float) and name in text):
        wrong = ~np.isfinite(pd.to_numeric(text[name], errors="coerce"))
        if columns[name] is float:
            wrong &= text[name].notna()
        if wrong.any():
            line = int(wrong.to_numpy().argmax())
            value = text[name].iloc[line]
            shown = "nothing" if pd.isna(value) else f"{value!r}"
            return f"{shown} in column {name} of line {line + 2}, which is not a number"
    return None


def _beside(path: Path | str, file: str) -> str:
    return os.path.normpath(os.path.join(os.path.dirname(path), file))  # noqa: PTH118, PTH120


def sha256(path: Path | str) -> str:
    """Return the hexadecimal SHA-256 of a file's bytes.

    Raises
    ------
    InputError
        If the file is not there, is no file, or its disk does not give it.
    """
    try:
        if Path(path).exists() and not Path(path).is_file():
            raise ValueError("no file, but a folder, a pipe or a device")
        with Path(path).open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        found = getattr(error, "strerror", None) or str(error)
        remedy = "correct the path or the file's permissions; or copy it again from its source"
        raise bad_input(path, "a file that can be read to its end", found, remedy) from error
