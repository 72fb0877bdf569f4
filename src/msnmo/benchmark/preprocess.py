"""Preprocessing of one head: all steps, compared with the skull strip and N4 alone.

Each step is the command that the workflow runs, in CPU seconds with its child processes. "Alone"
means the functions themselves on a head in memory, without a new process and without files.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np

from msnmo.apply.preprocess import Arrived, preprocess
from msnmo.benchmark.sheet import Clock, Sheet, add_arguments, table
from msnmo.core.command import program
from msnmo.core.errors import run_command
from msnmo.core.provenance import git_state, versions
from msnmo.core.volumes import Volume, load_volume
from msnmo.preprocess.n4 import correct_bias
from msnmo.preprocess.skullstrip import strip
from msnmo.settings.config import complete_config


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the steps of one head, and what they are compared with."""
    given = _parse(arguments)
    clock = Clock(given.seconds)
    # a brain of an unusual size takes the same time
    config = complete_config({"skull_strip": {"implausible": "flag"}})
    head = load_volume(given.flair)
    size = "x".join(map(str, head.grid.shape))
    sheet = Sheet(given.out, {"head": size, "versions": versions(), "git": git_state()})
    rounds: list[dict[str, float]] = []
    while len(rounds) < given.rounds and not clock.over:
        rounds.append(of_steps(given.flair, config))
    steps = {name: median(each[name] for each in rounds) for name in rounds[0]}
    for name, seconds in steps.items():
        sheet.add("preprocess", size, name, CPU_s=seconds)
    alone = sum(of_filters(head, given.flair, config))
    sheet.add("preprocess", size, "strip and N4 alone", CPU_s=alone)
    total = sum(steps.values())
    sheet.add("preprocess", size, "all steps", CPU_s=total, of_strip_and_N4=total / alone)
    print(f"\n{table(sheet.figures)}")


def of_steps(flair: Path, config: dict[str, Any]) -> dict[str, float]:
    """Return the CPU seconds of each step of a head."""
    marks: list[tuple[str, float]] = []

    def mark(name: str) -> None:
        used = resource.getrusage(resource.RUSAGE_CHILDREN)
        marks.append((name, used.ru_utime + used.ru_stime))

    with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
        preprocess(Arrived("sub-1", flair), config, Path(folder), mark)
    mark("end")
    ends = [at for _, at in marks[1:]]
    return {name: end - at for (name, at), end in zip(marks, ends, strict=False)}


def of_filters(head: Volume, flair: Path, config: dict[str, Any]) -> tuple[float, float]:
    """Return the CPU seconds of the second call of skull strip and N4."""
    settings = config["skull_strip"]
    brain = strip(head, flair, settings["engine"], settings["frac"], settings["robust"]).mask
    stripped = Volume(np.where(brain, head.data, 0), head.grid)
    n4 = config["n4"]

    def strip_it() -> object:
        return strip(head, flair, settings["engine"], settings["frac"], settings["robust"])

    def correct_it() -> object:
        return correct_bias(stripped, brain, n4["shrink"], n4["iterations"], n4["tolerance"])

    correct_it()
    return _cpu_seconds(strip_it), _cpu_seconds(correct_it)


def _cpu_seconds(do: Callable[[], object]) -> float:
    started = time.process_time()
    do()
    return time.process_time() - started


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.benchmark.preprocess"),
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--flair", type=Path, required=True, help="a head scan (NIfTI)")
    parser.add_argument("--rounds", type=int, default=3, help="times of all steps (default: 3)")
    add_arguments(parser)
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
