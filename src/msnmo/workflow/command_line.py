"""What is said of a config file that Snakemake cannot or should not read, before Snakemake does.

Snakemake reads the files of ``--configfile`` before any Snakefile. At what it cannot read it ends
with a traceback, it waits for a pipe, and it runs the Python of a file that asks for it by
``__use_yte__``. The profiles of the workflow, which it reads earlier, call this.
"""

from __future__ import annotations

import difflib
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from msnmo.core.errors import Finding, InputError
from msnmo.settings.reading import read_config

OPTIONS = ("--configfile", "--configfiles")


def refuse_unreadable_configs(words: Sequence[str]) -> None:
    """End the process, with exit code 1, if a config file that is named cannot be read.

    Parameters
    ----------
    words : sequence of str
        Of the command line.
    """
    findings: list[Finding] = []
    for path in map(Path, configs_named(words)):
        try:
            read_config(path, _remedy(path))
        except InputError as error:
            findings += error.findings
    if findings:
        print(f"msnmo: error: {InputError(findings)}", file=sys.stderr)
        sys.exit(1)


def configs_named(words: Sequence[str]) -> Iterator[str]:
    """Yield what stands behind ``--configfile``: each word up to the next option."""
    within = False
    for word in words:
        option, has_value, value = word.partition("=")
        if word.startswith("-"):
            # argparse takes any beginning of an option that is no other's
            within = option in OPTIONS or (len(option) > 8 and OPTIONS[1].startswith(option))
            if within and has_value:
                yield value
        elif within:
            yield word


def _remedy(path: Path) -> str:
    """Return how to go on, with the file that was probably meant."""
    folder = path.parent
    there = {each.stem: each for each in sorted(folder.glob("*.y*ml"))} if folder.is_dir() else {}
    near = difflib.get_close_matches(path.stem, there, n=1)
    meant = f": {there[near[0]]} is there" if near else ""
    return f"correct the path behind --configfile{meant}. Targets go before it"
