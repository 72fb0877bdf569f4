"""A disk that fills up or turns read-only at every rule: it is said, and a rerun goes on."""

import subprocess

import pytest
from injection import AIMS, remove

pytestmark = pytest.mark.faults
FILL = "cat /dev/zero > {}/ballast 2> /dev/null || true"
SEAL = "mount --bind {0} {0} && mount -o remount,bind,ro {0}"
# a training writes its checkpoint first, and it is the next one that the disk does not take
MOMENTS = {"train_fold": "written"}


def disturb(site, rule, command):
    """Let the disk fail while a rule's job works; return the lost output and what was said."""
    aim = AIMS[rule]
    lost = site.results / aim.lost
    remove(lost)
    fault = aim.fault(MOMENTS.get(rule, "before"), command)
    code, output = site.run(lost, faults=(fault,))
    assert code == 1, output[-4000:]
    assert site.happened(fault)
    assert not lost.exists(), "what looks finished is not"
    return lost, output


def assert_told(output, reason, site):
    """Assert that file, reason and remedy are named, and nothing that only we understand."""
    assert f"msnmo: error: cannot write {site.results}/" in output, output[-4000:]
    assert reason in output
    assert "remedy:" in output
    assert "Traceback" not in output, output[-4000:]


@pytest.mark.parametrize("rule", AIMS)
def test_a_disk_that_fills_up_is_told_of_and_with_room_the_job_is_done_again(disk, rule):
    lost, output = disturb(disk, rule, FILL.format(disk.results))
    assert_told(output, "No space left on device", disk)
    remove(disk.results / "ballast")
    disk.recovers(lost)


@pytest.mark.parametrize("rule", AIMS)
def test_a_folder_that_turns_read_only_is_told_of_and_once_writable_the_job_is_done_again(
    disk, rule
):
    folder = (disk.results / AIMS[rule].lost).parent
    try:
        lost, output = disturb(disk, rule, SEAL.format(folder))
    finally:
        subprocess.run(["umount", "--lazy", folder], check=False)
    assert_told(output, "Read-only file system", disk)
    disk.recovers(lost)


@pytest.mark.parametrize("lost", ["tables/table-9.md", "tables"])
def test_results_that_are_read_only_are_told_of_before_any_job_starts(disk, lost):
    remove(disk.results / lost)
    remount = ["mount", disk.results, "--options"]
    subprocess.run([*remount, "remount,ro"], check=True)
    try:
        code, output = disk.run()
    finally:
        subprocess.run([*remount, "remount,rw"], check=True)
    assert code == 1
    assert "Read-only file system" in output or "Write-protected output files" in output
    assert str(disk.results) in output
    assert "Traceback" not in output, output[-4000:]
    assert "Error in rule" not in output
    disk.recovers()
