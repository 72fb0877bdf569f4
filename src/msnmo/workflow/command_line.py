"""What is said of a config file that Snakemake cannot read, before Snakemake tries to.

Snakemake reads the files of ``--configfile`` before any Snakefile, and ends with a traceback. The
profiles of the workflow, which it reads earlier, call this.
"""

from __future__ import annotations

import difflib
import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import yaml

from msnmo.core.errors import Finding, InputError

OPTIONS = ("--configfile", "--configfiles")
EXPECTED = "a config file, YAML"


def refuse_unreadable_configs(words: Sequence[str]) -> None:
    """End the process, with exit code 1, if a config file that is named cannot be read.

    Parameters
    ----------
    words : sequence of str
        Of the command line.
    """
    findings = [
        finding for path in configs_named(words) if (finding := _wrong(Path(path))) is not None
    ]
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


def _wrong(path: Path) -> Finding | None:
    """Return what is wrong of a config file; None if nothing is that can be said of its text."""
    if path.is_dir():
        remedy = "write targets before --configfile, and behind it the path of a file"
        return Finding(str(path), EXPECTED, "a folder", remedy)
    try:
        text = path.read_text(encoding="utf-8")
        if not _is_json(text):
            list(yaml.parse(text))
    except OSError as error:
        return Finding(str(path), EXPECTED, error.strerror or str(error), _remedy(path))
    except UnicodeDecodeError:
        return Finding(str(path), EXPECTED, "bytes that are no UTF-8", "save it as UTF-8 text")
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        found = f"{getattr(error, 'problem', None) or error}{where}"
        return Finding(str(path), EXPECTED, found, "correct that line; indent by spaces, no tabs")
    return None


def _is_json(text: str) -> bool:
    """Whether a text is JSON, which Snakemake tries first: with tabs it is no YAML."""
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _remedy(path: Path) -> str:
    """Return how to go on, with the file that was probably meant."""
    folder = path.parent
    there = {each.stem: each for each in sorted(folder.glob("*.y*ml"))} if folder.is_dir() else {}
    near = difflib.get_close_matches(path.stem, there, n=1)
    meant = f": {there[near[0]]} is there" if near else ""
    return f"correct the path behind --configfile{meant}. Targets go before it"
