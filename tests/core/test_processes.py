"""Programs that answer, fail, are missing, hang."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from msnmo.core import processes
from msnmo.core.processes import ask, run


def test_what_a_program_says_is_returned():
    done = ask("sh", "-c", "echo $WORD; echo careful >&2", seconds=60, environment={"WORD": "ja"})
    assert (done.code, done.said, done.complaint, done.wrong) == (0, "ja", "careful", "")


@pytest.mark.parametrize(
    ("command", "wrong"),
    [
        (["sh", "-c", "echo no >&2; echo more >&2; exit 3"], "exit code 3: more"),
        (["sh", "-c", "kill -9 $$"], "exit code -9"),
        (["no-such-program"], "no-such-program: No such file or directory"),
        (["/"], "/: Permission denied"),
    ],
)
def test_what_went_wrong_is_said(command, wrong):
    assert ask(*command, seconds=60).wrong == wrong


def test_one_that_hangs_is_ended_with_all_that_it_started():
    before = time.monotonic()
    # the shell's child holds the pipe, and would outlive the shell
    done = ask("sh", "-c", "sleep 100 & sleep 100", seconds=0.3)
    assert done.wrong == "no answer in 0.3 s"
    assert time.monotonic() - before < 30


PARENT = """
import os, sys
from msnmo.core.errors import run_command
from msnmo.core.processes import run
run_command(lambda: run(["sh", "-c", sys.argv[1]], os.environ))
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_what_was_started_ends_with_who_started_it(tmp_path, number):
    """A child that asks for a moment to tidy up has it; its own child goes too."""
    child = "trap 'touch tidied; exit' TERM; sleep 100 & echo $! > pid; wait"
    process = subprocess.Popen([sys.executable, "-c", PARENT, child], cwd=tmp_path)
    pid = tmp_path / "pid"
    for _ in range(600):
        if pid.is_file() and pid.read_text().strip():
            break
        time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(timeout=30) == 128 + number
    assert (tmp_path / "tidied").exists()
    stat = Path(f"/proc/{pid.read_text().strip()}/stat")
    # one that ended may wait for its parent to take notice
    assert not stat.exists() or stat.read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_request_while_a_program_is_being_started_leaves_it_not_behind(monkeypatch, number):
    started, start = [], subprocess.Popen

    def popen(*command, **options):
        started.append(start(*command, **options))
        os.kill(os.getpid(), number)
        return started[0]

    def leave(*_):
        raise SystemExit(number)

    before = signal.signal(number, leave)
    monkeypatch.setattr(processes.subprocess, "Popen", popen)
    try:
        with pytest.raises(SystemExit):
            run(["sleep", "100"], {})
        assert signal.getsignal(number) is leave
    finally:
        signal.signal(number, before)
    assert started[0].poll() is not None


def test_a_program_is_run_to_its_end_with_its_own_variables_alone():
    done = run(["sh", "-c", "echo $WORD$HOME; echo no >&2; exit 3"], {"WORD": "ja"})
    assert (done.code, done.said, done.complaint) == (3, "ja", "no")
