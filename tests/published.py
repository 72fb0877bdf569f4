"""A look at a folder that others replace all the time."""

import os
from pathlib import Path


def look(path: Path) -> dict[str, bytes]:
    """Return the files of a folder by name; nothing where it is not there or replaced meanwhile.

    What was moved away may be half removed: a look counts if the folder has its name to the end.
    """
    try:
        before = path.stat()
        files = {each.name: each.read_bytes() for each in path.iterdir()}
        after = path.stat()
    except FileNotFoundError:
        return {}
    return files if os.path.samestat(before, after) and before.st_ctime == after.st_ctime else {}
