"""What a user sees when something is wrong, and the exit code a workflow sees."""

import os
import subprocess
import sys

import pytest

from msnmo.core.errors import (
    SPARE_STDERR,
    DataLeakageError,
    Finding,
    InputError,
    MsnmoError,
    bad_input,
)


def test_all_findings_are_in_the_message():
    findings = [Finding(f"f{n}", f"expected{n}", f"found{n}", f"remedy{n}") for n in range(3)]
    error = InputError(iter(findings))
    assert error.findings == findings
    text = str(error)
    assert text.startswith("3 input problems:")
    assert all(word in text for n in range(3) for word in (f"f{n}", f"found{n}", f"remedy{n}"))
    assert str(bad_input("a", "b", "c", "d")).startswith("1 input problem:")


def test_a_message_shows_what_is_hidden_in_words_of_others():
    said = str(Finding("a\u202e.tsv", "01", "'01\u200b'", "remove it"))
    assert said.startswith("a[U+202E].tsv")
    assert "'01[U+200B]'" in said


@pytest.mark.parametrize("kind", [InputError([Finding("a", "b", "c", "d")]), DataLeakageError()])
def test_user_errors_are_one_family(kind):
    assert isinstance(kind, MsnmoError)


SCRIPT = """
import sys
from msnmo.core.errors import DataLeakageError, bad_input, run_command
def main():
    {body}
run_command(main)
"""


@pytest.mark.parametrize(
    ("body", "code", "traceback"),
    [
        ("print('done')", 0, False),
        ("raise bad_input('scan ä.nii', 'a', 'b', 'c')", 1, False),
        ("raise DataLeakageError('subject 7 on both sides')", 1, False),
        ("import argparse; argparse.ArgumentParser().parse_args(['--wrong'])", 2, False),
        ("raise MemoryError('scan.nii needs 9 GiB of memory')", 1, False),
        ("1 / 0", 1, True),
    ],
)
def test_exit_codes(body, code, traceback):
    result = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(body=body)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == code
    assert ("Traceback" in result.stderr) == traceback
    if "raise" in body:
        assert result.stderr.startswith("msnmo: error: ")


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ("raise bad_input('scan.nii', 'a', 'b', 'c')", "msnmo: error: 1 input problem:"),
        ("print('done')", "msnmo: error: cannot write the log of this job: No space left"),
    ],
)
def test_what_a_full_log_cannot_take_is_said_on_the_spare_stderr(tmp_path, body, told):
    command = f'exec 9>{tmp_path}/terminal; {sys.executable} -c "$SCRIPT" > /dev/full 2>&1'
    variables = os.environ | {"SCRIPT": SCRIPT.format(body=body), SPARE_STDERR: "9"}
    result = subprocess.run(["bash", "-c", command], env=variables, check=False)
    assert result.returncode == 1
    said = (tmp_path / "terminal").read_text()
    assert said.startswith(told)
    assert "remedy:" in said
