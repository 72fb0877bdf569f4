"""Keep the meanings of the package's files between runs.

Reading them takes a fifth of a small dry run, and each job on a cluster plans anew.
"""

from __future__ import annotations

import contextlib
import json
from dataclasses import asdict
from pathlib import Path

from msnmo.core.errors import DiskError
from msnmo.core.files import write_text
from msnmo.workflow.code_version import KEPT, kept_as, modules_of, read_code
from msnmo.workflow.meaning import Meaning


def keep_code(source: Path, file: Path) -> None:
    """Load what an earlier run kept, read what has changed since, and keep it.

    Parameters
    ----------
    source : Path
        Folder that holds the package.
    file : Path
        Where it is kept; created if missing. A changed file is always read again.
    """
    KEPT.update(_load(file))
    paths = modules_of("msnmo", source).values()
    read = {kept_as(path, source): read_code(path, source) for path in paths}
    if not read.keys() <= KEPT.keys():
        text = json.dumps({key: asdict(meaning) for key, meaning in read.items()}, default=sorted)
        # if nothing can be kept, the next run reads everything again
        with contextlib.suppress(DiskError):
            write_text(file, text)


def _load(file: Path) -> dict[str, Meaning]:
    """Return what was kept; nothing if that is missing or damaged."""
    try:
        kept = json.loads(file.read_text(encoding="utf-8"))
        return {
            key: Meaning(
                str(each["digest"]),
                *(frozenset(map(str, each[name])) for name in ("imports", "named", "data")),
            )
            for key, each in kept.items()
        }
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}
