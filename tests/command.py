"""A command as a user runs it, within this process: importing libraries anew takes seconds."""

import contextlib
import io
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

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


def follow(remedy: str) -> None:
    """Do as a remedy says in a shell, with the Python that runs this."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    subprocess.run(["bash", "-ec", remedy], check=True, env=os.environ | {"PATH": path})
