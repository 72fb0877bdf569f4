"""The environment of the workflow's jobs: which interpreter and which package they run."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
from pathlib import Path

from msnmo.compute.gpu_lock import PER_GPU
from msnmo.core.errors import SPARE_STDERR, explain_refusal


def prepare_jobs(per_gpu: int) -> None:
    """Make jobs run with this interpreter, unless a rule has a conda environment of its own.

    The interpreter's folder goes to the front of PATH, so that the workflow runs from an
    environment that nobody activated; a conda environment of a rule puts its own in front of that.

    Parameters
    ----------
    per_gpu : int
        Jobs that may share a GPU. It goes by a variable, because a changed parameter of a rule
        would train everything again.
    """
    own = str(Path(sys.executable).parent)
    if os.environ["PATH"].split(os.pathsep)[0] != own:
        os.environ["PATH"] = os.pathsep.join([own, os.environ["PATH"]])
    os.environ[PER_GPU] = str(per_gpu)


def require_writable(results: Path) -> None:
    """Refuse, before any job starts, a folder of results that cannot be written.

    Raises
    ------
    DiskError
        Naming the folder, the system's reason and a remedy.
    """
    with explain_refusal(results):
        results.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=results).close()


def shell_prefix(source: Path) -> str:
    """Return what goes before each command: the shell's strictness, and where our package is.

    PYTHONPATH brings the package into every environment without an install. It is set within the
    command, because Snakemake takes it out of the surroundings of a conda environment. The commands
    write to logs: a copy of stderr is for what must be said when a log cannot be written.

    Parameters
    ----------
    source : Path
        Folder that holds the package.
    """
    spare = f"exec 9>&2; export {SPARE_STDERR}=9"
    return f"set -euo pipefail; export PYTHONPATH={shlex.quote(str(source))}; {spare}; "
