"""Each rule's job killed, on a disk that fills up, and on one that turns read-only."""

import subprocess

import pytest

from msnmo.figures.catalogue import FIGURES
from tests.faults.disturbed import EVERYTHING
from tests.faults.injection import AIMS, KILL, KILL_AFTER, remove
from tests.workflow.dag import jobs
from tests.workflow.imported import OF_OTHER_TARGETS

pytestmark = pytest.mark.faults
# targets, which have no command
WITHOUT_MODULE = {"all", "tables", "figures", "preprocess", "check", "report", "bundle", "apply"}
WITHOUT_MODULE |= {"shortcuts", "robustness"}
# of a bundle from elsewhere, which this run, whose folds are its own, has none of
WITHOUT_MODULE |= {"evaluate_bundle", "evaluate_applied", "refuse_overlap"}
FILL = "cat /dev/zero > {}/ballast 2> /dev/null || true"
SEAL = "mount --bind {0} {0} && mount -o remount,bind,ro {0}"
# a training writes its checkpoint first, and it is the next one that the disk does not take
MOMENTS = {"train_fold": "written"}


def test_no_rule_is_left_out(site):
    code, output = site.run("--list-rules")
    assert code == 0, output
    code, planned = site.run("--dry-run", "--forceall")
    assert code == 0, planned
    assert set(jobs(planned)) - {*EVERYTHING, "total"} == set(AIMS)
    listed = {line.strip() for line in output.splitlines() if line.strip().isidentifier()}
    targets = {name for name in listed if name.startswith(("table_", "figure_"))}
    targets |= {name.replace("-", "_") for name in FIGURES}
    assert listed - targets - WITHOUT_MODULE - OF_OTHER_TARGETS == set(AIMS)


def disturb(site, rule, moment, command):
    """Disturb one job of a rule, which fails; return what was said."""
    lost = site.results / AIMS[rule].lost
    fault = AIMS[rule].fault(moment, command)
    code, output = site.run(lost, faults=(fault,))
    assert code == 1, output[-4000:]
    assert site.happened(fault)
    assert f"Error in rule {rule}:" in output
    assert not lost.exists(), "what looks finished is not"
    return output


def assert_told(output, reason, site):
    """Assert that file, reason and remedy are named, and nothing that only we understand."""
    assert f"msnmo: error: cannot write {site.results}/" in output, output[-4000:]
    assert reason in output
    assert "remedy:" in output
    # on such a disk Snakemake itself may stumble later, where it removes empty folders
    told, _, _ = output.partition("Exiting because a job execution failed")
    assert "Traceback" not in told, output[-4000:]


@pytest.mark.parametrize("rule", AIMS)
def test_a_job_that_meets_a_full_and_a_read_only_disk_and_then_is_killed_ends_well(kept, rule):
    lost, moment = AIMS[rule].lose(kept.results), MOMENTS.get(rule, "before")
    if kept.mounted:
        output = disturb(kept, rule, moment, FILL.format(kept.disk))
        remove(kept.disk / "ballast")
        assert_told(output, "No space left on device", kept)
        try:
            output = disturb(kept, rule, moment, SEAL.format(lost.parent))
        finally:
            subprocess.run(["umount", "--lazy", lost.parent], check=False)
        assert_told(output, "Read-only file system", kept)
    output = disturb(kept, rule, "written", KILL)
    assert "Killed" in output
    kept.recovers(lost)


@pytest.mark.parametrize("moment", ["before", "renamed"])
def test_a_training_killed_when_its_epochs_are_done_gives_the_same_weights(kept, moment):
    lost = AIMS["train_fold"].lose(kept.results)
    assert "Killed" in disturb(kept, "train_fold", moment, KILL_AFTER)
    kept.recovers(lost)
    assert not list(lost.parent.glob("checkpoint*"))


def test_a_night_in_which_every_rule_is_killed_once_ends_with_the_same_results(kept):
    faults = tuple(aim.fault("renamed", KILL_AFTER) for aim in AIMS.values())
    remove(kept.results)
    for _ in faults:
        code, output = kept.run(faults=faults)
        if code == 0:
            break
        assert "Killed" in output, output[-4000:]
    assert [fault for fault in faults if not kept.happened(fault)] == []
    kept.recovers()


@pytest.mark.parametrize("lost", ["tables/table-9.md", "tables"])
def test_results_that_are_read_only_are_told_of_before_any_job_starts(kept, lost):
    if not kept.mounted:
        pytest.skip("mounting is not permitted")
    remove(kept.results / lost)
    remount = ["mount", kept.disk, "--options"]
    subprocess.run([*remount, "remount,ro"], check=True)
    try:
        code, output = kept.run()
    finally:
        subprocess.run([*remount, "remount,rw"], check=True)
    assert code == 1
    assert "Read-only file system" in output or "Write-protected output files" in output
    assert str(kept.results) in output
    assert "Traceback" not in output, output[-4000:]
    assert "Error in rule" not in output
    kept.recovers()
