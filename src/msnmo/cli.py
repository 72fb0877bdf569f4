"""The command `msnmo`: names what a user runs by hand, and imports nothing else of it."""

from __future__ import annotations

import difflib
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import NoReturn

from msnmo.core.command import CALLED
from msnmo.core.errors import run_command
from msnmo.core.provenance import versions


@dataclass(frozen=True)
class Command:
    """One word after `msnmo`.

    Parameters
    ----------
    module : str
        Whose `main` it is; a package stands for its ``__main__``.
    purpose : str
        What it is for, in one line.
    """

    module: str
    purpose: str

    def load(self) -> Callable[[Sequence[str]], None]:
        """Return the function that runs it; only now is its module imported."""
        module = import_module(self.module)
        if hasattr(module, "__path__"):
            module = import_module(f"{self.module}.__main__")
        main: Callable[[Sequence[str]], None] = module.main
        return main


COMMANDS = {
    "cohort": Command("msnmo.cohort", "make a scan table of a data set, or of several tables"),
    "check": Command(
        "msnmo.check.check_cohort", "open every file of a scan table, say what is wrong"
    ),
    "rate": Command(
        "msnmo.quality.rate", "grade, keep or exclude scans, looking at their pictures"
    ),
    "agreement": Command("msnmo.quality.agreement", "compare two raters' decisions on scans"),
    "tables": Command("msnmo.tables.summary", "print every method's means of a run"),
    "bundle": Command("msnmo.bundle", "pack trained folds, to keep and to hand on"),
    "apply": Command("msnmo.apply", "apply a bundle to new scans"),
    "compare-visits": Command(
        "msnmo.apply.compare_visits", "tell new, enlarged and gone lesions of two visits"
    ),
    "demo": Command("msnmo.demo", "make the demo cohort of simulated scans"),
    "simulate": Command("msnmo.starter.simulate", "make scans as the starter learns from"),
    "benchmark": Command("msnmo.benchmark", "measure what each part costs on this machine"),
    "doctor": Command("msnmo.doctor", "say what works here: a page for your report of a problem"),
}
ALIASES = {"export": "bundle"}
HELP = """\
usage: msnmo [-h] [--version] COMMAND ...

T2-FLAIR MRI of MS and NMOSD, from head scan to table. Research output, not for diagnosis.

commands (msnmo COMMAND --help says more):
{commands}

Training and tables are one Snakemake workflow, run where its Snakefile lies, or with -s:
  snakemake --cores all --configfile my.yaml
"""


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run one command and leave with its exit code."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    run_command(lambda: _dispatch(given))


def _dispatch(given: list[str]) -> None:
    name, *rest = given or ["--help"]
    if name in ("-h", "--help"):
        print(_help(), end="")
    elif name == "--version":
        print(f"msnmo {versions()['msnmo']}")
    else:
        command = _find(name)
        CALLED[command.module] = f"msnmo {name}"
        command.load()(rest)


def _help() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {command.purpose}" for name, command in COMMANDS.items()]
    return HELP.format(commands="\n".join(lines))


def _find(name: str) -> Command:
    """Return the command of that name; a wrong name is answered with the nearest right one."""
    if command := COMMANDS.get(ALIASES.get(name, name)):
        return command
    near = difflib.get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
    meant = f": did you mean `msnmo {near[0]}`?" if near else ""
    kind = "option" if name.startswith("-") else "command"
    print(f"msnmo: error: no {kind} {name!r}{meant}", file=sys.stderr)
    print("`msnmo --help` lists the commands", file=sys.stderr)
    sys.exit(2)


if __name__ == "__main__":
    main()
