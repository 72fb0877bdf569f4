"""Programs that answer, fail, are missing, hang."""

import time

import pytest

from msnmo.core.processes import ask


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
