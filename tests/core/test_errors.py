"""What a user sees when something is wrong, and the exit code a workflow sees."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from msnmo.core import errors
from msnmo.core.errors import (
    SPARE_STDERR,
    DataLeakageError,
    Finding,
    InputError,
    MsnmoError,
    bad_input,
    run_command,
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


def test_a_message_has_an_end_whatever_was_found():
    said = str(Finding("a.tsv", "b", "c" * 100_000, "d"))
    assert len(said) < 5000
    assert "ccc... (100000 characters)" in said
    assert said.endswith("remedy:   d")


@pytest.mark.parametrize("kind", [InputError([Finding("a", "b", "c", "d")]), DataLeakageError()])
def test_user_errors_are_one_family(kind):
    assert isinstance(kind, MsnmoError)


SCRIPT = """
import sys
from pathlib import Path
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


WAITING = """
import tempfile, time
from pathlib import Path
from msnmo.core.errors import run_command
from msnmo.core.files import atomic_folder, atomic_path
def main():
    with tempfile.TemporaryDirectory() as scratch, atomic_path(Path(OUT, "a.txt")) as part:
        part.write_text("half")
        Path(scratch, "image.nii").write_text("of a patient")
        with atomic_folder(Path(OUT, "folder")) as folder:
            (folder / "b.txt").write_text("half")
            print("ready", flush=True)
            time.sleep(100)
run_command(main)
"""


@pytest.mark.parametrize(
    ("number", "code"),
    [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)],
)
def test_who_is_asked_to_end_leaves_nothing_half_written_nor_temporary(tmp_path, number, code):
    out, scratch = tmp_path / "out", tmp_path / "scratch"
    out.mkdir()
    scratch.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", f"OUT = {str(out)!r}\n{WAITING}"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"TMPDIR": str(scratch)},
    )
    assert process.stdout.readline() == "ready\n"
    assert list(scratch.iterdir())
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code
    assert said in ("msnmo: interrupted\n", f"msnmo: ended by {number.name}\n")
    assert not [*scratch.iterdir(), *out.iterdir()]


def test_nohup_goes_on_ignoring_the_end_of_the_terminal():
    body = """import os, signal
    os.kill(os.getpid(), signal.SIGHUP)
    print('went on')"""
    command = ["nohup", sys.executable, "-c", SCRIPT.format(body=body)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "went on\n")


def test_handlers_are_those_of_before_when_a_command_has_ended():
    before = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    with pytest.raises(SystemExit):
        run_command(lambda: None)
    after = [signal.getsignal(each) for each in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)]
    assert after == before


def test_ctrl_c_while_libraries_load_is_no_traceback(tmp_path):
    (tmp_path / "numpy.py").write_text("print('ready', flush=True)\nimport time\ntime.sleep(100)\n")
    source = str(Path(errors.__file__).parents[2])
    process = subprocess.Popen(
        [sys.executable, "-m", "msnmo.predict.fold", "--help"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join([str(tmp_path), source])},
    )
    assert process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode in (-signal.SIGINT, 130)
    assert "Traceback" not in said


def test_findings_that_differ_in_the_file_alone_are_told_once_with_every_file():
    same = [Finding(f"{name}.nii", "three dimensions", "four", "take one") for name in "abc"]
    other = Finding("d.nii", "three dimensions", "two", "take one")
    text = str(InputError([*same[:2], other, same[2]]))
    assert text.startswith("4 input problems:\n  a.nii\n  b.nii\n  c.nii\n    expected: three")
    assert text.count("expected:") == 2
    assert len(InputError(same).findings) == 3
