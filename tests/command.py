"""A command as a user runs it, within this process: importing libraries anew takes seconds."""

import contextlib
import io
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from msnmo.core.errors import run_command


@dataclass(frozen=True)
class Done:
    """What a command left behind, by the names that `subprocess` uses."""

    returncode: int
    stdout: str
    stderr: str


def run_here(main: Callable[[list[str]], None], *arguments: object) -> Done:
    """Run a module's `main` to its exit."""
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
        pytest.raises(SystemExit) as left,
    ):
        run_command(lambda: main([str(each) for each in arguments]))
    return Done(left.value.code, stdout.getvalue(), stderr.getvalue())
