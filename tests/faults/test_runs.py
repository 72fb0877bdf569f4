"""Two runs at once, runs that were killed, and clocks that jump."""

import os
import signal
import time

import pytest

from tests.faults.disturbed import EVERYTHING, kill_all
from tests.faults.injection import AIMS

pytestmark = pytest.mark.faults
YEAR = 365 * 86400


def caught_training(site, command):
    """Start a run of everything, and wait until its training is caught in a write."""
    aim = AIMS["train_fold"]
    aim.lose(site.results)
    fault = aim.fault("written", command)
    process = site.start(faults=(fault,))
    site.wait_for(fault)
    return process


def unlock(site):
    """Be told of the lock that a killed run left, and remove it as the message says."""
    code, output = site.run()
    assert code == 1
    assert "LockException" in output
    assert "--unlock" in output
    code, output = site.run("--unlock")
    assert code == 0, output


def test_of_two_runs_at_once_the_second_stops_and_the_first_ends_well(kept):
    first = caught_training(kept, "sleep 20")
    code, output = kept.run()
    assert first.poll() is None
    assert code == 1
    assert "LockException" in output
    assert "If you are sure" in output
    output, _ = first.communicate(timeout=600)
    assert first.returncode == 0, output[-4000:]
    kept.recovers()


def test_after_a_power_cut_a_run_is_unlocked_and_goes_on(kept):
    kill_all(caught_training(kept, "sleep 600"))
    unlock(kept)
    kept.recovers()


def test_a_job_that_outlives_its_run_does_not_spoil_the_next(kept):
    process = caught_training(kept, "sleep 15")
    process.send_signal(signal.SIGKILL)
    process.wait()
    unlock(kept)
    kept.recovers()
    process.communicate(timeout=60)
    kept.recovers()


@pytest.mark.parametrize("years", [-1, 1])
@pytest.mark.parametrize("which", ["cohort", "derivatives", "models", "tables"])
def test_a_clock_that_jumped_between_two_runs_changes_no_number(kept, years, which):
    folder = kept.cohort if which == "cohort" else kept.results / which
    moved = time.time() + years * YEAR
    before = {path: path.stat() for path in folder.rglob("*")}
    for path in before:
        os.utime(path, (moved, moved))
    try:
        code, output = kept.run()
        if code == 1:
            # an input of next year: Snakemake names it; docs/troubleshooting.md: touch it
            assert "has older modification time" in output, output[-4000:]
            assert str(folder) in output
            for path in folder.rglob("*"):
                path.touch()
        kept.recovers()
    finally:
        if which == "cohort":
            for path, times in before.items():
                os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))


@pytest.mark.parametrize("when", ["last year", "next year"])
@pytest.mark.parametrize("rule", ["list_manifest", "list_part", "evaluate_fold"])
def test_a_clock_that_jumps_during_a_run_changes_no_number(kept, rule, when):
    lost = AIMS[rule].lose(kept.results)
    fault = AIMS[rule].fault("renamed", f'touch --date="{when}" "$FILE"')
    # lost, it is made again only where it is asked for: all that follows from it is there
    code, output = kept.run(lost, *EVERYTHING, faults=(fault,))
    assert kept.happened(fault)
    if code == 1:
        assert "has older modification time" in output, output[-4000:]
        assert str(lost) in output
        lost.touch()
    kept.recovers()
