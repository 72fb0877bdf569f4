"""Snakemake, started from a process that has loaded its libraries.

Loading them is two thirds of a dry run, of which the tests make more than a hundred. What is ours
is not loaded before: each run imports it from the copy of the workflow that it plans.
"""

import os
import sys
from collections.abc import Mapping, Sequence
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory

LOADED = [
    *("snakemake.cli", "snakemake.report", "snakemake.storage", "snakemake_executor_plugin_slurm"),
    *("pandas", "pydantic", "yaml", "yte", "jsonschema", "smart_open"),
    *("nibabel", "scipy.ndimage", "sklearn.model_selection"),
]
# a server of its own, which forks: the test's process has threads, which a fork does not survive
CONTEXT = get_context("forkserver")
CONTEXT.set_forkserver_preload(LOADED)


def snakemake(
    arguments: Sequence[str], folder: Path, environment: Mapping[str, str], patience: float
) -> tuple[int, str]:
    """Run ``snakemake`` with arguments in a folder.

    Parameters
    ----------
    environment : mapping
        The process's whole environment.
    patience : float
        Seconds after which it is killed.

    Returns
    -------
    (int, str)
        Its exit code, and what it wrote to both streams.

    Raises
    ------
    TimeoutError
        If it was killed; with what it had written.
    """
    with TemporaryDirectory() as scratch:
        told = Path(scratch, "output")
        told.touch()
        job = (list(arguments), str(folder), dict(environment), str(told))
        process = CONTEXT.Process(target=_run, args=job)
        process.start()
        process.join(patience)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(told.read_text(encoding="utf-8", errors="replace"))
        return process.exitcode, told.read_text(encoding="utf-8", errors="replace")


def _run(arguments: list[str], folder: str, environment: dict[str, str], told: str) -> None:
    assert "msnmo" not in sys.modules, "a run imports the package from its own copy"
    file = os.open(told, os.O_WRONLY | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.argv = ["snakemake", *arguments]
    from snakemake.cli import main  # loaded in the server already

    main(arguments)
