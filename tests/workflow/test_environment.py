"""What the workflow does before its jobs start."""

import errno
import os
import subprocess
import tempfile

import pytest

from msnmo.core.errors import DiskError
from msnmo.workflow.environment import require_writable, shell_prefix


def test_results_that_can_be_written_are_left_as_they_are(tmp_path):
    require_writable(tmp_path / "new" / "results")
    assert list((tmp_path / "new/results").iterdir()) == []


def test_results_that_cannot_be_written_are_named(tmp_path, monkeypatch):
    def refuse(**_where):
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    monkeypatch.setattr(tempfile, "TemporaryFile", refuse)
    with pytest.raises(DiskError, match=f"{tmp_path}: Read-only file system"):
        require_writable(tmp_path)


def test_a_command_keeps_a_way_to_the_terminal_when_its_stderr_goes_to_a_log(tmp_path):
    command = (
        shell_prefix(tmp_path) + 'echo "$PYTHONPATH"; (echo full >&"$MSNMO_SPARE_STDERR") 2> log'
    )
    done = subprocess.run(
        ["bash", "-c", command], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout == f"{tmp_path}\n"
    assert done.stderr == "full\n"
    assert (tmp_path / "log").read_text() == ""
