"""Show what works here and what does not, on one page to paste into a problem report.

Nothing is changed. Each line is ok, a note, or a problem that keeps msnmo from working; with a
problem the exit code is 1. Your home folder is shown as ~, your name as USER.
"""

from __future__ import annotations

import argparse
import getpass
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

from msnmo.core.command import program
from msnmo.core.counts import counted
from msnmo.core.errors import run_command
from msnmo.doctor.line import Line
from msnmo.doctor.machine import look_at_machine
from msnmo.doctor.networks import SECONDS_FOR_A_STEP, look_at_networks
from msnmo.doctor.software import look_at_msnmo, look_at_packages
from msnmo.doctor.tools import look_at_tools


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the page. The exit code is 1 if there is a problem."""
    given = _parse(arguments)
    lines = []
    for line in examine(given.results, given.seconds):
        lines.append(line)
        if not given.json:
            print(_to_text(line), flush=True)
    counts = Counter(line.state for line in lines)
    works = not counts["problem"]
    if given.json:
        print(json.dumps({"works": works, "lines": [asdict(line) for line in lines]}, indent=2))
    else:
        told = "msnmo works here" if works else "msnmo does not work here as it is"
        found = ", ".join(counted(counts[each], each) for each in ("problem", "note"))
        print(f"\n{told}: {found}")
    if not works:
        sys.exit(1)


def examine(results: Path, seconds: float) -> Iterator[Line]:
    """Yield every line of the page, without the user's name.

    Parameters
    ----------
    results : Path
        Folder of results. Its disk is checked if the folder exists.
    seconds : float
        How long the training step may take.
    """
    for looked in (
        look_at_msnmo(),
        look_at_packages(),
        look_at_machine(results),
        look_at_tools(),
        look_at_networks(seconds),
    ):
        for line in looked:
            yield replace(line, found=_anonymous(line.found), remedy=_anonymous(line.remedy))


def _anonymous(text: str) -> str:
    """Return a text without the home folder, and without the user's name in paths."""
    home = os.path.expanduser("~")  # noqa: PTH111 - pathlib's raises where there is none
    if len(home) > 1 and not home.startswith("~"):
        text = re.sub(rf"{re.escape(home)}(?![\w.-])", "~", text)
    return re.sub(rf"(?<=/){re.escape(_user())}(?![\w.-])", "USER", text)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())  # a container's user without a name


def _to_text(line: Line) -> str:
    text = f"{line.state:8} {line.topic:32} {line.found}"
    return f"{text}\n{'':41} remedy: {line.remedy}" if line.remedy else text


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.doctor"),
        description=__doc__,
        epilog="Example:\n  msnmo doctor --results /data/study/results > doctor.txt",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--results",
        type=Path,
        default=Path("results"),
        help="folder of results, whose disk is checked (default: %(default)s)",
    )
    parser.add_argument(
        "--seconds",
        type=int,
        default=SECONDS_FOR_A_STEP,
        help="how long the training step may take (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the page as JSON")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
