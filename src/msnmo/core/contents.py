"""Hashes of the contents of scans' files, so that jobs depend on contents and not on file times.

A file that was only touched or copied has the same content, and a corrected mask may have an older
time. The check hashes every file that it opens, and records size and time with the hash. As long as
both are the same, the hash is known without reading the file.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from msnmo.core.errors import InputError
from msnmo.core.files import sha256

MOST_BYTES = 16 * 2**30
"""Of a file that may be a scan or a mask: a larger one is refused, and would take hours to hash."""


def record(path: Path) -> dict[str, Any]:
    """Return size (bytes), time of change (ns) and SHA-256 of a file.

    If the check refuses a file, because it is too large or its disk does not give it, the reason
    takes the place of the SHA-256.
    """
    status = path.stat()
    known = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    return {**known, "sha256": _digest(path, status.st_size)}


def content(path: Path, report: Path) -> str:
    """Return the SHA-256 of a file, as `record` has it; read it from the report if possible.

    Parameters
    ----------
    path : Path
    report : Path
        The check's report of the file's scan; it may be missing or damaged.
    """
    status = path.stat()
    known = _recorded(report, report.stat().st_mtime_ns if report.exists() else 0).get(str(path))
    same = {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns}
    if isinstance(known, dict) and same.items() <= known.items():
        return str(known["sha256"])
    return _hash(path, status.st_size, status.st_mtime_ns)


@cache
def _recorded(report: Path, _mtime_ns: int) -> dict[str, dict[str, Any]]:
    try:
        recorded = json.loads(report.read_text(encoding="utf-8"))["contents"]
    except (OSError, ValueError, KeyError, TypeError):
        # no report, a damaged one, or one of an earlier version: the file itself is read
        return {}
    return recorded if isinstance(recorded, dict) else {}


@cache
def _hash(path: Path, size: int, _mtime_ns: int) -> str:
    return _digest(path, size)


def _digest(path: Path, size: int) -> str:
    if size > MOST_BYTES:
        return f"not read: {size} bytes"
    try:
        return sha256(path)
    except InputError as error:
        return f"not read: {error.findings[0].found}"
