"""The environment of the workflow's jobs: which interpreter and which package they run."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def prepare_jobs(source: Path) -> None:
    """Make jobs run ``python -m msnmo.<module>`` with this interpreter and the package in `source`.

    The interpreter's folder goes to the front of PATH, so that the workflow runs from an
    environment that nobody activated; a conda environment of a rule puts its own in front of that.
    PYTHONPATH brings the package into every environment without an install.

    Parameters
    ----------
    source : Path
        Folder that holds the package.
    """
    own = str(Path(sys.executable).parent)
    if os.environ["PATH"].split(os.pathsep)[0] != own:
        os.environ["PATH"] = os.pathsep.join([own, os.environ["PATH"]])
    os.environ["PYTHONPATH"] = str(source)
