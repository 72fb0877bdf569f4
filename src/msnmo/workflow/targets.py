"""The message for a target that does not exist."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable
from pathlib import Path

ASKED = re.compile(r"No rule to produce (.+?) \(if you use input functions")


def wrong_target(message: str, rules: Iterable[str]) -> str:
    """Return the message for a wrong target, with the target that was probably meant.

    Parameters
    ----------
    message : str
        Snakemake's message.
    rules : iterable of str
        The names of all rules.
    """
    found = ASKED.search(message)
    if found is None:
        return message
    target = found[1]
    near = difflib.get_close_matches(target, rules, n=1)
    meant = f": did you mean `{near[0]}`?" if near else ""
    said = f"there is no target and no way to make a file {target!r}{meant}"
    if Path(target).is_dir():
        said += (
            "\nit is a folder here: write targets before --configfile, and name files one by one"
        )
    return f"{said}\n`snakemake --list-target-rules` lists the targets"
