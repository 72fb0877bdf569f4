"""A dry run of everything, compared with plain Snakemake that plans the same number of jobs.

The scans are hard links to those of the example, which take no space. Plain Snakemake plans chains
of the same number of jobs. Each job has one line of shell and nothing else.
"""

from __future__ import annotations

import argparse
import re
import resource
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

from msnmo.benchmark.sheet import Clock, Sheet, add_arguments, table
from msnmo.core.command import program
from msnmo.core.errors import MsnmoError, run_command
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.provenance import git_state, versions

CHECKOUT = Path(__file__).parents[3]
CHAIN = 10
"""Number of jobs of a scan, one after the other."""
BARE = """\
rule all:
    input:
        expand("{{scan}}/{last}", scan=range({scans})),


rule begin:
    output:
        "{{scan}}/0",
    shell:
        "touch {{output}}"


"""
STEP = """\
rule step_{number}:
    input:
        "{{scan}}/{before}",
    output:
        "{{scan}}/{number}",
    shell:
        "cp {{input}} {{output}}"


"""


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure dry runs of cohorts of several sizes."""
    given = _parse(arguments)
    clock = Clock(given.seconds)
    sheet = Sheet(given.out, {"versions": versions(), "git": git_state()})
    for scans in given.scans:
        if clock.over:
            break
        with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
            ours, jobs = median_of(given.rounds, workflow(scans, Path(folder)), CHECKOUT)
            sheet.add("dag", f"{scans} scans", "msnmo", jobs=jobs, CPU_s=ours)
            command = bare(max(1, round(jobs / CHAIN)), Path(folder))
            theirs, planned = median_of(given.rounds, command, Path(folder))
            sheet.add("dag", f"{scans} scans", "bare Snakemake", jobs=planned, CPU_s=theirs)
    print(f"\n{table(sheet.figures)}")


def workflow(scans: int, folder: Path) -> list[str]:
    """Return the command of a dry run of everything with this number of scans."""
    example = folder / "example"
    shutil.copytree(CHECKOUT / "example", example)
    rows = read_tsv(example / "scans.tsv", {}).fillna("n/a").astype(str)
    made = rows.loc[[index % len(rows) for index in range(scans)]].reset_index(drop=True)
    for index in range(scans):
        made.loc[index, "subject"] = f"S{index:06d}"
        for column in ("flair", "lesion_mask"):
            files = made.loc[index, column].split(";")
            links = [_link(example / each, folder / f"scans/{index}") for each in files]
            made.loc[index, column] = ";".join(links)
    write_tsv(folder / "scans.tsv", made)
    places = [f"scans={folder / 'scans.tsv'}", f"results={folder / 'results'}"]
    return ["all", "--config", *places]


def bare(chains: int, folder: Path) -> list[str]:
    """Write a Snakefile with chains of jobs. Return the options that name it."""
    text = BARE.format(last=CHAIN - 1, scans=chains)
    text += "".join(STEP.format(number=each, before=each - 1) for each in range(1, CHAIN))
    path = folder / "Snakefile"
    path.write_text(text, encoding="utf-8")
    return ["all", "--snakefile", str(path)]


def median_of(rounds: int, words: Sequence[str], folder: Path) -> tuple[float, int]:
    """Return the CPU seconds of a dry run (median of several) and the number of its jobs."""
    found = [_dry_run(words, folder) for _ in range(rounds)]
    return median(seconds for seconds, _ in found), found[0][1]


def _dry_run(words: Sequence[str], folder: Path) -> tuple[float, int]:
    command = [sys.executable, "-P", "-m", "snakemake", "--dry-run", "--quiet", "rules", "--nolock"]
    before = _of_children()
    done = subprocess.run(  # noqa: S603 - our own command, no shell
        [*command, *words], cwd=folder, capture_output=True, text=True, check=False
    )
    seconds = _of_children() - before
    jobs = re.findall(r"^total\s+(\d+)$", done.stdout + done.stderr, re.MULTILINE)
    if done.returncode or not jobs:
        raise MsnmoError(f"the dry run failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return seconds, int(jobs[0])


def _of_children() -> float:
    used: Any = resource.getrusage(resource.RUSAGE_CHILDREN)
    return float(used.ru_utime + used.ru_stime)


def _link(file: Path, folder: Path) -> str:
    folder.mkdir(parents=True, exist_ok=True)
    link = folder / file.name
    link.hardlink_to(file)
    return str(link)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.benchmark.dag"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--scans", type=int, nargs="+", default=[131, 1000], help="scans of each cohort"
    )
    parser.add_argument("--rounds", type=int, default=3, help="times of each dry run (default: 3)")
    add_arguments(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
