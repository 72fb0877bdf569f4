"""The workflow, killed with all that it started: run again, it ends with the same bytes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import yaml

from msnmo.demo.cohort import Plan, make_cohort
from tests.attacks.attack import Attack, Place
from tests.faults.disturbed import contents, differences, kill_all
from tests.workflow.dag import MICRO, PATIENCE, copy_workflow

SHARES = (0.1, 0.25, 0.4, 0.55, 0.7, 0.85)
"""Of the time that a run takes which nobody disturbs."""
TARGET = "table_3"
OF_RUNNING = (".msnmo/", ".tmp-", "checkpoint.pt", ".snakemake_timestamp")
"""In names of files that are there while a run works: locks, scratch files, states."""


@dataclass(frozen=True)
class WholeRun:
    """What a run makes that nobody disturbs, as digests by name, and how long it takes.

    Parameters
    ----------
    folder : Path
        Of a copy of the workflow, its cohort and config.
    made : dict of str to str
        With the files that are removed once no job needs them.
    files : dict of str to str
    seconds : float
    """

    folder: Path
    made: dict[str, str]
    files: dict[str, str]
    seconds: float


def whole_run(folder: Path) -> WholeRun:
    """Train a network on three simulated scans, which arrive stripped, and write its table."""
    copy_workflow(folder)
    plan = Plan(seed=5, ms=3, nmosd=0, follow_ups=0, stripped=3, min_voxel_mm=4.0)
    make_cohort(folder / "cohort", plan)
    scans = str(folder / "cohort/scans.tsv")
    given = MICRO | {"scans": scans, "results": "results", "methods": ["unet"]}
    (folder / "my.yaml").write_text(yaml.safe_dump(given), encoding="utf-8")
    started = time.monotonic()
    code, said = _ended(_start(folder, folder, "--notemp"))
    assert code == 0, said[-4000:]
    seconds = time.monotonic() - started
    made = contents(folder / "results")
    code, said = _ended(_start(folder, folder, "--delete-temp-output"))
    assert code == 0, said[-4000:]
    return WholeRun(folder, made, contents(folder / "results"), seconds)


def _start(workflow: Path, here: Path, *options: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "snakemake", "--snakefile", str(workflow / "Snakefile")]
    config = ["--configfile", str(workflow / "my.yaml")]
    return subprocess.Popen(
        [*command, TARGET, *options, "--cores", "2", *config],
        cwd=here,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _ended(process: subprocess.Popen[str]) -> tuple[int, str]:
    said, _ = process.communicate(timeout=PATIENCE)
    assert "Traceback" not in said, said[-4000:]
    return process.returncode, said


def _again(workflow: Path, here: Path) -> None:
    """Run the same command; where it meets the lock of the killed run, as its message says."""
    code, said = _ended(_start(workflow, here))
    if "LockException" in said:
        assert code == 1
        assert "--unlock" in said
        code, said = _ended(_start(workflow, here, "--unlock"))
        assert code == 0, said
        code, said = _ended(_start(workflow, here))
    assert code == 0, said[-4000:]


def _killed(share: float) -> Callable[[Place], None]:
    def run(place: Place) -> None:
        whole: WholeRun = place.get("whole_run_of_workflow")
        place.out.mkdir()
        results = place.out / "results"
        process = _start(whole.folder, place.out)
        time.sleep(share * whole.seconds)
        kill_all(process)
        # on a machine that has little else to do it may have been done before
        assert process.returncode in (0, -signal.SIGKILL)
        left = contents(results)
        named = {name for name in left if not any(each in name for each in OF_RUNNING)}
        wrong = {name for name in named if left[name] != whole.made.get(name)}
        assert not wrong, f"half-written, or other than undisturbed: {sorted(wrong)}"
        _again(whole.folder, place.out)
        assert not differences(whole.files, contents(results))

    return run


ATTACKS = [
    Attack("kills of snakemake", f"SIGKILL at {share:.0%}", _killed(share), heavy=True)
    for share in SHARES
]
