"""Errors that a user can act on: file, expected, found, remedy."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from msnmo.core.cells import show_hidden

SPARE_STDERR = "MSNMO_SPARE_STDERR"
"""The variable with the number of a descriptor that still leads to the terminal."""

REQUESTS = (signal.SIGTERM, signal.SIGHUP)
"""By which schedulers, and terminals that are closed, ask a process to end."""

OTHER_DISK = "MSNMO_OTHER_DISK"
"""The variable with what a command's user can do about a disk that takes nothing."""
OTHER_RESULTS = "set `results` in the config to another disk; then run the workflow again"
# why a disk takes no file, and what the user can do about it, beside taking another disk
REFUSALS = {
    errno.ENOSPC: "make room on its disk",
    errno.EDQUOT: "make room in your quota",
    errno.EROFS: "have its disk made writable",
    errno.EACCES: "get yourself the right to write there",
    errno.EPERM: "get yourself the right to write there",
    errno.EIO: "have its disk looked at: it is failing",
}


MOST_LETTERS = 4000
"""Longest text found that a message shows: a cell or a file may hold anything."""


@dataclass(frozen=True)
class Finding:
    """One thing wrong with one input.

    Parameters
    ----------
    file : str
        The file (and row or scan, if any) that is wrong.
    expected, found, remedy : str
        What should be there, what is there, and what the user can do about it.
    """

    file: str
    expected: str
    found: str
    remedy: str

    def __str__(self) -> str:
        found = self.found
        if len(found) > MOST_LETTERS:
            found = f"{found[:MOST_LETTERS]}... ({len(found)} characters)"
        # the user's text may contain invisible characters, or change the direction of the line
        return show_hidden(
            f"{self.file}\n    expected: {self.expected}\n"
            f"    found:    {found}\n    remedy:   {self.remedy}"
        )


class MsnmoError(Exception):
    """Any error whose message is meant for the user; ends a command with exit code 1."""


class InputError(MsnmoError):
    """Inputs that cannot be used. It carries all findings, so that they can be fixed at once."""

    def __init__(self, findings: Iterable[Finding]):
        self.findings = list(findings)
        count = len(self.findings)
        head = f"{count} input problem{'s' if count > 1 else ''}:"
        super().__init__("\n".join([head, *(f"  {each}" for each in _grouped(self.findings))]))


def _grouped(findings: Iterable[Finding]) -> list[Finding]:
    """Merge findings that differ only in the file into one that names every file."""
    files: dict[tuple[str, str, str], list[str]] = {}
    for each in findings:
        files.setdefault((each.expected, each.found, each.remedy), []).append(each.file)
    return [Finding("\n  ".join(named), *said) for said, named in files.items()]


class DataLeakageError(MsnmoError):
    """The same subject is in both training and test scans."""


class DiskError(MsnmoError):
    """A file that cannot be written to the disk."""


@contextlib.contextmanager
def explain_refusal(path: Path | str) -> Iterator[None]:
    """Raise an error that names the file if a full, read-only or foreign disk refused it.

    Raises
    ------
    DiskError
        Names the file, the system's reason and a remedy.
    """
    try:
        yield
    except OSError as error:
        refusal = _refusal(path, error)
        if refusal is None:
            raise
        raise refusal from error


def _refusal(path: Path | str, error: OSError) -> DiskError | None:
    """Return the message for a disk that accepts no file; None for any other error."""
    remedy = REFUSALS.get(error.errno or 0)
    if remedy is None:
        return None
    other = os.environ.get(OTHER_DISK, OTHER_RESULTS)
    return DiskError(f"cannot write {path}: {error.strerror}\n    remedy:   {remedy}, or {other}")


@contextlib.contextmanager
def other_disk(remedy: str) -> Iterator[None]:
    """Within the block and its processes, use this remedy for choosing another disk.

    Parameters
    ----------
    remedy : str
        What follows "make room on its disk, or".
    """
    before = os.environ.get(OTHER_DISK)
    os.environ[OTHER_DISK] = remedy
    try:
        yield
    finally:
        if before is None:
            del os.environ[OTHER_DISK]
        else:
            os.environ[OTHER_DISK] = before


def bad_input(file: object, expected: str, found: str, remedy: str) -> InputError:
    """Return an `InputError` with one finding."""
    return InputError([Finding(str(file), expected, found, remedy)])


def run_command(main: Callable[[], None]) -> NoReturn:
    """Run a module's `main` and exit with the right exit code.

    0 is success, 1 an error that the user can mend (only its message is printed), 2 a wrong command
    line (argparse), 130 Ctrl-C, 143 and 129 a request to end (SIGTERM, SIGHUP). Anything else is a
    bug and keeps its traceback (exit code 1).
    """
    try:
        with leaving_on_request():
            main()
        if sys.stdout:  # none where it was closed before the start
            sys.stdout.flush()
    except MsnmoError as error:
        _tell(f"msnmo: error: {error}")
        sys.exit(1)
    except KeyboardInterrupt:
        _tell("msnmo: interrupted")
        sys.exit(128 + signal.SIGINT)
    except MemoryError as error:
        remedy = "give it more memory, or run fewer jobs at once"
        _tell(f"msnmo: error: out of memory: {error}\n    remedy:   {remedy}")
        sys.exit(1)
    except BrokenPipeError:
        # the reader of our output, such as `head`, has left: no fault, but nothing more can be said
        _silence()
        sys.exit(1)
    except OSError as error:
        # what cannot be opened has a name; what has none is our own output
        refusal = _refusal("the log of this job", error)
        if refusal is None or error.filename is not None:
            raise
        _silence()
        _tell(f"msnmo: error: {refusal}")
        sys.exit(1)
    sys.exit(0)


@contextlib.contextmanager
def leaving_on_request() -> Iterator[None]:
    """Turn SIGTERM and SIGHUP into a normal exit, so that temporary files are removed.

    By default they end Python at once. Images of patients would stay in TMPDIR, and processes that
    were started would go on. A signal that is ignored (`nohup`) stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    taken = [each for each in REQUESTS if signal.getsignal(each) is signal.SIG_DFL]

    def leave(number: int, _frame: object) -> NoReturn:
        for each in taken:
            signal.signal(each, signal.SIG_IGN)  # the way out is not to be broken off
        with contextlib.suppress(OSError):  # not by print, which may just be at work
            os.write(2, f"msnmo: ended by {signal.Signals(number).name}\n".encode())
        sys.exit(128 + number)

    for each in taken:
        signal.signal(each, leave)
    try:
        yield
    finally:
        for each in taken:
            signal.signal(each, signal.SIG_DFL)


def _silence() -> None:
    """Discard what stdout still holds, so that Python does not complain at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _tell(message: str) -> None:
    try:
        print(message, file=sys.stderr, flush=True)
    except OSError:
        # stderr is a log on the very disk that is full
        if spare := os.environ.get(SPARE_STDERR):
            os.write(int(spare), f"{message}\n".encode())
