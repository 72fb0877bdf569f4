"""The environment of the workflow's jobs: their interpreter and package."""

from __future__ import annotations

import atexit
import os
import shlex
import shutil
import site
import sys
from pathlib import Path

import filelock

from msnmo.compute.gpu_lock import PER_GPU
from msnmo.core.errors import SPARE_STDERR, bad_input, explain_refusal
from msnmo.core.lock import Holder, release, take
from msnmo.core.processes import ask
from msnmo.core.writable import require_folder

EXAMPLE = "example/scans.tsv"
"""The scan table of config.yaml, for a look at what would run."""
SECONDS_FOR_SLURM = 30
RUN_LOCK = Path(".msnmo", "run.lock")
"""Path within the folder of results."""
HELD: dict[Path, Holder] = {}
"""The locks that this process has."""
LOCALLY = "without --workflow-profile slurm (or --executor slurm), jobs run on this machine"


def find_scans(scans: str, checkout: Path) -> str:
    """Return the path of the scan table, relative to the folder that Snakemake works in.

    The example of config.yaml is also found in its place in the checkout.
    """
    if scans == EXAMPLE and not Path(scans).exists():
        return str(checkout / EXAMPLE)
    return scans


def refuse_example(scans: str, checkout: Path) -> None:
    """Before any job starts, refuse to run the example of config.yaml: it is only for dry runs.

    Raises
    ------
    InputError
        Says what to do, if no config names a scan table.
    """
    if Path(scans).absolute() != (checkout / EXAMPLE).absolute():
        return
    raise bad_input(
        "config: scans",
        "your scan table, named in a config that you give with --configfile",
        "the example of config.yaml, which only shows a scan table and cannot be run",
        'write my.yaml with the keys `scans` and `results` (README, "Your own scans"), then'
        " `snakemake --cores all --configfile my.yaml`. `make demo` runs everything on simulated"
        " scans; `snakemake --dry-run` lists what would be run",
    )


def require_executor(name: str) -> None:
    """Before any job starts, refuse an executor whose scheduler is missing.

    Snakemake itself would ask again and again, as a cluster may be down for a while.

    Raises
    ------
    InputError
        If jobs should go to Slurm and `sbatch` is not found, or Slurm does not answer.
    """
    if name != "slurm":
        return
    if shutil.which("sbatch") is None:
        remedy = f"run snakemake on a login node, or load your site's Slurm module; {LOCALLY}"
        raise bad_input("executor slurm", "`sbatch` on the PATH", "no such command", remedy)
    if shutil.which("sinfo") is None:
        return
    if found := ask("sinfo", "--summarize", "--noheader", seconds=SECONDS_FOR_SLURM).wrong:
        remedy = f"wait until `sinfo` lists partitions, or ask your site; {LOCALLY}"
        raise bad_input("executor slurm", "an answer of Slurm to `sinfo`", found, remedy)


def prepare_jobs(per_gpu: int) -> None:
    """Make jobs run with this interpreter, unless a rule has its own conda environment.

    The interpreter's folder goes to the front of PATH, so that the workflow runs from an
    environment that nobody activated. A rule's conda environment puts its own folder before it.

    Parameters
    ----------
    per_gpu : int
        Number of jobs that may share a GPU. It is passed by a variable, because a changed parameter
        of a rule would train everything again.
    """
    own = str(Path(sys.executable).parent)
    if os.environ["PATH"].split(os.pathsep)[0] != own:
        os.environ["PATH"] = os.pathsep.join([own, os.environ["PATH"]])
    os.environ[PER_GPU] = str(per_gpu)


def require_writable(results: Path) -> None:
    """Before any job starts, refuse a folder of results that cannot be written.

    Raises
    ------
    DiskError
        Names the folder, the system's reason and a remedy.
    InputError
        If a file is in its place, or the place takes no files.
    """
    require_folder(results, "rename it, or name another folder under results: in the config")
    with explain_refusal(results):
        results.mkdir(parents=True, exist_ok=True)


def hold_results(results: Path) -> None:
    """Lock the folder of results for this run, until `release_results` or the process's end.

    Snakemake's own lock is for its working folder. Two runs from two folders, or on two machines,
    do not see each other's lock.

    Raises
    ------
    InUseError
        Names the run that has it, and what to do if that run was killed on another machine.
    """
    path = results / RUN_LOCK
    HELD[path] = take(path, "a run of the workflow")
    atexit.register(release_results, results)


def release_results(results: Path) -> None:
    """Release the folder of results, unless another run has it."""
    path = results / RUN_LOCK
    if holder := HELD.pop(path, None):
        release(path, holder)


def shell_prefix(source: Path) -> str:
    """Return the prefix of each command: the shell's strictness, and the place of our package.

    PYTHONPATH brings the package into every environment without an install. PYTHONNOUSERSITE keeps
    out packages in the user's home (`pip install --user`), unless everything is installed there.
    PYTHONSAFEPATH keeps out Python files of the working folder. They are set within the command,
    because Snakemake removes PYTHONPATH for conda environments. The commands write to logs. A copy
    of stderr is for messages when a log cannot be written.

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
    """Whether our dependencies are in the user's site packages, so that jobs need them."""
    return Path(filelock.__file__).is_relative_to(site.getusersitepackages())
