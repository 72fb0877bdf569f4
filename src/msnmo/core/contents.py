"""What tells the content of a scan's file, so that work follows content and not file times.

A file that was only touched or copied has the same content, a corrected mask may bear an older
time. The check hashes every file it opens and records size and time with the hash; as long as these
two are as recorded, the hash is known without reading the file.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from msnmo.core.files import sha256


def record(path: Path) -> dict[str, Any]:
    """Return size (bytes), time of change (ns) and SHA-256 of a file."""
    status = path.stat()
    return {"bytes": status.st_size, "mtime_ns": status.st_mtime_ns, "sha256": sha256(path)}


def content(path: Path, report: Path) -> str:
    """Return the SHA-256 of a file. The file is read only if the report does not have it.

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
def _hash(path: Path, _bytes: int, _mtime_ns: int) -> str:
    return sha256(path)
