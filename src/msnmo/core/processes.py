"""Other programs, asked something: they may be missing, fail or never answer."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from msnmo.core.signals import signals_put_off

SECONDS_TO_DIE = 2.0
SECONDS_TO_LEAVE = 5.0


@dataclass(frozen=True)
class Answer:
    """The output of a program.

    Parameters
    ----------
    code : int or None
        Its exit code, negative for the signal that ended it; None if it could not be started or
        did not end in time.
    said : str
        Its standard output, without space around it.
    complaint : str
        Its standard error, or why there is no answer.
    """

    code: int | None
    said: str
    complaint: str

    @property
    def wrong(self) -> str:
        """Why there is no valid answer; empty if the program succeeded."""
        if self.code == 0:
            return ""
        if self.code is None or not self.complaint:
            return self.complaint or f"exit code {self.code}"
        return f"exit code {self.code}: {self.complaint.splitlines()[-1].strip()}"


def ask(
    *command: str,
    seconds: float,
    environment: Mapping[str, str] | None = None,
    given: Path | None = None,
) -> Answer:
    """Run a program and return its output. After a time limit, kill it and its children.

    Parameters
    ----------
    command : str
        The program and its arguments.
    seconds : float
        How long to wait.
    environment : mapping or None
        Variables over those of this process.
    given : Path, optional
        A file for its standard input, which is empty without it.
    """
    try:
        with Path(given or os.devnull).open("rb") as stdin:
            process = subprocess.Popen(  # noqa: S603
                command,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | dict(environment or {}),
                text=True,
                errors="replace",
                start_new_session=True,
            )
    except OSError as error:
        return Answer(None, "", f"{command[0]}: {error.strerror}")
    try:
        said, complaint = process.communicate(timeout=seconds)
    except subprocess.TimeoutExpired:
        _kill(process)
        return Answer(None, "", f"no answer in {seconds:g} s")
    return Answer(process.returncode, said.strip(), complaint.strip())


def run(command: Sequence[str], environment: Mapping[str, str]) -> Answer:
    """Run a program to its end without a time limit, and return its output.

    If this process is ended before, by Ctrl-C or a signal, the program and all its children are
    ended too. They are first asked to end, so that they can remove temporary files, then killed.

    Parameters
    ----------
    command : sequence of str
        The program and its arguments.
    environment : mapping
        All its variables.
    """
    # one that is heard while a program is being started would leave it behind: nobody knows it yet
    with signals_put_off() as hear:
        process = subprocess.Popen(  # noqa: S603
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        try:
            hear()
            said, complaint = process.communicate()
        except BaseException:
            _end(process)
            raise
    return Answer(process.returncode, said.strip(), complaint.strip())


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=SECONDS_TO_LEAVE)
    _kill(process)


def _kill(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    # one that waits for a dead disk cannot be killed, and is not waited for
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=SECONDS_TO_DIE)
