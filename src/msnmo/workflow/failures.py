"""Jobs that failed: what each was to do, what it said, and where its log is."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAID = "msnmo: error: "
"""How our commands begin what is meant for the user (`msnmo.core.errors.run_command`)."""
LAST_LINES = 5
"""Of a log in which nothing is meant for the user."""
LAST_BYTES = 1_000_000
KILLED = ("SIGKILL", "137")
"""Of bash itself, and of a command that bash ran."""
INTERRUPTED = ("SIGINT", "SIGTERM", "130", "143")
"""What jobs end with that are stopped with Snakemake."""
NAMED = 3
"""Jobs that failed alike and are named; more are counted."""


@dataclass(frozen=True)
class Failure:
    """A job that failed.

    Parameters
    ----------
    rule : str
    of : str
        What it was of: a scan, a method and fold; empty where a rule has one job.
    logs : tuple of str
        Paths of its logs.
    status : str
        Exit code of its command, or the signal that ended it; empty where that is not known.
    reason : str
        What a cluster says of it; empty where that is nothing.
    """

    rule: str
    of: str
    logs: tuple[str, ...] = ()
    status: str = ""
    reason: str = ""

    @property
    def name(self) -> str:
        """What is said of it in a list."""
        return f"{self.rule} of {self.of}" if self.of else self.rule

    def message(self) -> str:
        """Return why it failed: what it said itself, and what is said of it."""
        own = [words for path in self.logs if (words := _own_words(_read(Path(path))))]
        # beside our command's log a cluster has one of its own, of no use where ours says enough
        said = own or [message_of(Path(path)) for path in self.logs] or ["it has no log"]
        if self.status in KILLED:
            said.append("it was killed: most often its memory did not suffice")
        if self.reason:
            said.append(self.reason)
        return "\n".join(said)


def of_wildcards(wildcards: Mapping[str, str]) -> str:
    """Return what a job is of, in words: its scan, or whatever tells it from others of its rule."""
    if "scan" in wildcards:
        return wildcards["scan"]
    words = (
        # a seed's wildcard is the folder of the seed, or empty
        value.strip("/").replace("seed-", "seed ") if name == "seed" else f"{name} {value}"
        for name, value in wildcards.items()
    )
    return ", ".join(word for word in words if word)


def message_of(log: Path) -> str:
    """Return what a log says to the user.

    That is what our command said; of a bug, or of another program, the last lines.
    """
    try:
        text = _read(log, missing=False)
    except FileNotFoundError:
        return "no log was written: the job did not start, or its disk is not seen from here"
    except OSError as error:
        return f"its log cannot be read: {error.strerror}"
    return _own_words(text) or _last_words(text)


def _read(log: Path, missing: bool = True) -> str:
    """Return the end of a log; empty where it cannot be read, if that is allowed."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - LAST_BYTES))
            return file.read().decode(errors="replace").rstrip()
    except OSError:
        if not missing:
            raise
        return ""


def _own_words(text: str) -> str:
    """Return what our command says to the user at its end; empty where that is nothing."""
    _, said, message = f"\n{text}".rpartition(f"\n{SAID}")
    return message if said else ""


def _last_words(text: str) -> str:
    """Return what can be told of a log in which nothing is meant for the user."""
    if not text:
        return "it ended without a word: its log is empty"
    lines = text.splitlines()
    if any(line.startswith("Traceback ") for line in lines):
        return f"a bug of msnmo, please report it with the log: {lines[-1]}"
    return "\n".join(lines[-LAST_LINES:])


def tell(failures: Iterable[Failure]) -> list[str]:
    """Return a paragraph of each failure; those that failed alike share one."""
    alike: dict[tuple[str, str], list[Failure]] = {}
    for each in failures:
        message = each.message()
        # the same words about one scan and another
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
