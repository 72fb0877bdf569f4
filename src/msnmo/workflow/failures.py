"""Failed jobs: the task of each, its message, and its log."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAID = "msnmo: error: "
"""The start of our commands' messages for the user (`msnmo.core.errors.run_command`)."""
LAST_LINES = 5
"""Number of last lines shown of a log without a message for the user."""
LAST_BYTES = 1_000_000
KILLED = ("SIGKILL", "137")
"""Exit codes of bash itself, and of a command that bash ran."""
INTERRUPTED = ("SIGINT", "SIGTERM", "130", "143")
"""Exit codes of jobs that are stopped together with Snakemake."""
NAMED = 3
"""Number of jobs with the same failure that are named. More are counted."""


@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Parameters
    ----------
    rule : str
    of : str
        Its subject: a scan, or a method and fold; empty if the rule has one job.
    logs : tuple of str
        Paths of its logs.
    status : str
        Exit code of its command, or the signal that ended it; empty if unknown.
    reason : str
        The cluster's message about it; empty if there is none.
    """

    rule: str
    of: str
    logs: tuple[str, ...] = ()
    status: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """Its name in a list."""
        return f"{self.rule} of {self.of}" if self.of else self.rule

    def message(self) -> str:
        """Return why it failed: its own message, and the cluster's."""
        own = [words for path in self.logs if (words := _own_words(_read(Path(path))))]
        # a cluster has its own log too, which is not needed if ours has a message
        said = own or [message_of(Path(path)) for path in self.logs] or ["it has no log"]
        if self.status in KILLED:
            said.append("it was killed, most likely because it ran out of memory")
        if self.reason:
            said.append(self.reason)
        return "\n".join(said)


def of_wildcards(wildcards: Mapping[str, str]) -> str:
    """Return a job's subject in words: its scan, or what distinguishes it within its rule."""
    if "scan" in wildcards:
        return wildcards["scan"]
    words = (
        # a seed's wildcard is the folder of the seed, or empty
        value.strip("/").replace("seed-", "seed ") if name == "seed" else f"{name} {value}"
        for name, value in wildcards.items()
    )
    return ", ".join(word for word in words if word)


def message_of(log: Path) -> str:
    """Return the message of a log for the user.

    This is our command's message. After a bug, or for another program, it is the last lines.
    """
    try:
        text = _read(log, missing=False)
    except FileNotFoundError:
        return "no log was written: the job did not start, or its disk is not visible from here"
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    return _own_words(text) or _last_words(text)


def _read(log: Path, missing: bool = True) -> str:
    """Return the end of a log; empty if it cannot be read and that is allowed."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            return file.read().decode(errors="replace").rstrip()
    except OSError:
        if not missing:
            raise
        return ""


def _own_words(text: str) -> str:
    """Return our command's message to the user at the end of a log; empty if none."""
    _, said, message = f"\n{text}".rpartition(f"\n{SAID}")
    return message if said else ""


def _last_words(text: str) -> str:
    """Return a message for a log without a message for the user."""
    if not text:
        return "it ended without a message: its log is empty"
    lines = text.splitlines()
    if any(line.startswith("Traceback ") for line in lines):
        return f"a bug in msnmo, please report it with the log: {lines[-1]}"
    return "\n".join(lines[-LAST_LINES:])


def tell(failures: Iterable[Failure]) -> list[str]:
    """Return a paragraph per failure. Equal failures share one."""
    alike: dict[tuple[str, str], list[Failure]] = {}
    for each in failures:
        message = each.message()
        # the same message about different scans
        words = re.sub(re.escape(each.of), "\0", message) if each.of else message
        alike.setdefault((each.rule, words), []).append(each)
    return [_paragraph(group) for group in alike.values()]


def _paragraph(group: Sequence[Failure]) -> str:
    first, *others = group
    rest = ", ".join(each.of for each in others[: NAMED - 1])
    if len(group) > NAMED:
        rest += f" and {len(group) - NAMED} more"
    head = f"{first.name}, {rest}" if others else first.name
    logs = [f"log: {Path(path).absolute()}" for path in first.logs]
    if others and logs:
        logs[-1] += f" (and {len(others)} more beside it)"
    lines = [head, *(f"  {line}" for line in (*first.message().splitlines(), *logs))]
    return "\n".join(f"  {line}" for line in lines)
