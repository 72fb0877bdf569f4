"""The environment of the workflow's jobs: which interpreter and which package they run."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import site
import sys
import tempfile
from pathlib import Path

import filelock

from msnmo.compute.gpu_lock import PER_GPU
from msnmo.core.errors import SPARE_STDERR, bad_input, explain_refusal
from msnmo.core.lock import Holder, release, take
from msnmo.core.processes import ask

EXAMPLE = "example/scans.tsv"
"""The scan table of config.yaml, for a look at what would run."""
SECONDS_FOR_SLURM = 30
RUN_LOCK = Path(".msnmo", "run.lock")
"""Within the folder of results."""
HELD: dict[Path, Holder] = {}
"""The locks that this process has."""
LOCALLY = "without --workflow-profile slurm (or --executor slurm) jobs run on this machine"


def find_scans(scans: str, checkout: Path) -> str:
    """Return the path of the scan table, which is relative to the folder that Snakemake works in.

    config.yaml's own example is also found where it lies, in the checkout.
    """
    if scans == EXAMPLE and not Path(scans).exists():
        return str(checkout / EXAMPLE)
    return scans


def refuse_example(scans: str, checkout: Path) -> None:
    """Refuse, before any job starts, to run config.yaml's own example: it serves a dry run alone.

    Raises
    ------
    InputError
        With what to do, if no config names a scan table.
    """
    if Path(scans).absolute() != (checkout / EXAMPLE).absolute():
        return
    raise bad_input(
        "config: scans",
        "your scan table, in a config that is given with --configfile",
        "the example of config.yaml, which shows how a scan table looks and cannot be run",
        'write my.yaml with the keys `scans` and `results` (README, "Your own scans"), then'
        " `snakemake --cores all --configfile my.yaml`. `make demo` runs everything on simulated"
        " scans; `snakemake --dry-run` lists what would be run",
    )


def require_executor(name: str) -> None:
    """Refuse, before any job starts, an executor whose scheduler is not there.

    Snakemake itself asks again and again for as long as a cluster may be down.

    Raises
    ------
    InputError
        Where jobs are to go to Slurm and `sbatch` is not found, or Slurm does not answer.
    """
    if name != "slurm":
        return
    if shutil.which("sbatch") is None:
        remedy = f"run snakemake on a login node, or load the site's module of Slurm; {LOCALLY}"
        raise bad_input("executor slurm", "`sbatch` on the PATH", "no such command", remedy)
    if shutil.which("sinfo") is None:
        return
    if found := ask("sinfo", "--summarize", "--noheader", seconds=SECONDS_FOR_SLURM).wrong:
        remedy = f"wait until `sinfo` lists partitions, or ask your site; {LOCALLY}"
        raise bad_input("executor slurm", "an answer of Slurm to `sinfo`", found, remedy)


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


def hold_results(results: Path) -> None:
    """Take the folder of results for this run, until `release_results` or the process's end.

    Snakemake's own lock is of the folder that it works in: of two runs from two folders, or on two
    machines, neither sees the other's.

    Raises
    ------
    InUseError
        Naming the run that has it, and what to do if that run was killed on another machine.
    """
    path = results / RUN_LOCK
    HELD[path] = take(path, "a run of the workflow")
    atexit.register(release_results, results)


def release_results(results: Path) -> None:
    """Let go of the folder of results; of nothing where another run has it."""
    path = results / RUN_LOCK
    if holder := HELD.pop(path, None):
        release(path, holder)


def shell_prefix(source: Path) -> str:
    """Return what goes before each command: the shell's strictness, and where our package is.

    PYTHONPATH brings the package into every environment without an install. PYTHONNOUSERSITE keeps
    out what the user installed at home (`pip install --user`), unless all is installed there, and
    PYTHONSAFEPATH the Python files of the folder that we run in. They are set within the command,
    because Snakemake takes PYTHONPATH out of the surroundings of a conda environment. The commands
    write to logs: a copy of stderr is for what must be said when a log cannot be written.

    Parameters
    ----------
    source : Path
        Folder that holds the package.
    """
    spare = f"exec 9>&2; export {SPARE_STDERR}=9"
    own = "" if _is_installed_at_home() else "PYTHONNOUSERSITE=1 "
    path = f"export {own}PYTHONSAFEPATH=1 PYTHONPATH={shlex.quote(str(source))}"
    return f"set -euo pipefail; {path}; {spare}; "


def _is_installed_at_home() -> bool:
    """Whether what we depend on comes from the user's site, so that jobs need it."""
    return Path(filelock.__file__).is_relative_to(site.getusersitepackages())
