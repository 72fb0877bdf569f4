"""What went wrong, said so that a user can act on it: file, expected, found, remedy."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NoReturn


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
        return (
            f"{self.file}\n    expected: {self.expected}\n"
            f"    found:    {self.found}\n    remedy:   {self.remedy}"
        )


class MsnmoError(Exception):
    """Any error whose message is meant for the user; ends a command with exit code 1."""


class InputError(MsnmoError):
    """Inputs that cannot be used; carries every finding, so that all are mended at once."""

    def __init__(self, findings: Iterable[Finding]):
        self.findings = list(findings)
        count = len(self.findings)
        head = f"{count} input problem{'s' if count > 1 else ''}:"
        super().__init__("\n".join([head, *(f"  {finding}" for finding in self.findings)]))


class DataLeakageError(MsnmoError):
    """The same subject on both sides of a split."""


def bad_input(file: object, expected: str, found: str, remedy: str) -> InputError:
    """Return an `InputError` of one finding."""
    return InputError([Finding(str(file), expected, found, remedy)])


def run_command(main: Callable[[], None]) -> NoReturn:
    """Run a module's `main` and leave with an honest exit code.

    0 is success, 1 an error the user can mend (its message alone is printed), 2 a wrong command
    line (argparse). Anything else is a bug and keeps its traceback (exit code 1).
    """
    try:
        main()
    except MsnmoError as error:
        print(f"msnmo: error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:
        # the reader of our output, such as `head`, has left: no fault, but nothing more can be said
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    sys.exit(0)
