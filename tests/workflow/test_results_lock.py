"""Two runs on one folder of results: the second is told, wherever it was started."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import pytest

from msnmo.core.lock import Holder, InUseError, hold
from msnmo.workflow.environment import RUN_LOCK, hold_results, release_results
from tests.workflow.dag import copy_workflow, plan, run_as_users_do, start, write_config

TARGET = "check"


@pytest.fixture(scope="module")
def folders(cohort, tmp_path_factory):
    """Two copies of the workflow, with configs of the same results."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    configs = []
    for folder in (one, two):
        copy_workflow(folder)
        configs.append(write_config(folder, cohort, "mine", results=str(one / "results")))
    return (one, two), configs


def test_the_second_run_from_another_folder_is_told_and_starts_no_job(folders):
    (one, two), (_, second) = folders
    lock = one / "results" / RUN_LOCK
    lock.parent.mkdir(parents=True)
    with hold(lock, "a run of the workflow"):
        code, output = run_as_users_do(two, second, TARGET)
        assert code == 1
        assert f"{lock}: held by a run of the workflow, process {os.getpid()}" in output
        assert f"delete {lock}" in output
        assert "rule check_scan" not in output
        # what changes nothing is free
        for free in (["--dry-run"], ["--unlock"], ["--nolock"]):
            code, output = plan(
                two, "--configfile", str(second), "--cores", "2", *free, "accept_cohort"
            )
            assert "held by" not in output, free
        assert lock.exists()
    code, output = run_as_users_do(two, second, TARGET)
    assert code == 0, output
    assert not lock.exists()


def test_a_killed_runs_lock_is_taken_over(folders):
    (one, _), (first, _) = folders
    lock = one / "results" / RUN_LOCK
    process = start(one, first, TARGET, "--forceall")
    deadline = time.monotonic() + 300
    while not lock.exists():
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert lock.exists()
    hold_results(one / "results")
    assert Holder(**json.loads(lock.read_text())).pid == os.getpid()
    release_results(one / "results")
    assert not lock.exists()


def test_of_another_machines_run_the_user_is_told(tmp_path):
    lock = tmp_path / RUN_LOCK
    lock.parent.mkdir()
    other = replace(Holder.this_process("a run of the workflow"), host="login-2")
    lock.write_text(json.dumps(asdict(other)))
    with pytest.raises(InUseError, match=rf"on login-2 since [\s\S]*delete {lock}"):
        hold_results(tmp_path)
    release_results(tmp_path)
    assert lock.exists(), "it is not ours"


def test_the_end_of_a_process_lets_go_whatever_ended_it(tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from msnmo.workflow.environment import hold_results\n"
        "hold_results(Path(sys.argv[1])); raise RuntimeError"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert done.returncode == 1
    assert not (tmp_path / RUN_LOCK).exists()
