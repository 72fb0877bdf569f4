"""Results of a benchmark: a line for each figure at once, JSON, and a table at the end."""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from msnmo.core.files import write_json
from msnmo.settings.methods import METHODS


class OutOfTime(Exception):  # noqa: N818 - no error: the user set the limit
    """The time limit of a benchmark is over."""


@dataclass(frozen=True)
class Clock:
    """The time limit of a benchmark in seconds, which starts now."""

    seconds: float = float("inf")
    start: float = field(default_factory=time.monotonic)

    @property
    def over(self) -> bool:
        """Whether the time is over."""
        return time.monotonic() - self.start > self.seconds

    def check(self) -> None:
        """Stop if the time is over.

        Raises
        ------
        OutOfTime
        """
        if self.over:
            raise OutOfTime


@dataclass(frozen=True)
class Figure:
    """One measured figure.

    Parameters
    ----------
    part : str
        Part of the benchmark, such as train.
    what : str
        What was measured, such as the method.
    how : str
        The way in which it was done: that of msnmo or another one.
    values : mapping of str to number
        By unit, such as ``s/step``.
    """

    part: str
    what: str
    how: str
    values: Mapping[str, float]

    def line(self) -> str:
        """Return the figure as a row of text."""
        numbers = "  ".join(f"{value:10.4g} {unit}" for unit, value in self.values.items())
        return f"{self.part:10} {self.what:20} {self.how:24} {numbers}"


class Sheet:
    """The figures of one run of a benchmark.

    Parameters
    ----------
    out : Path, optional
        JSON file. It is written again with each figure, so an interrupted run keeps its results.
    about : mapping of JSON types
        Machine, versions, sizes.
    """

    def __init__(self, out: Path | None, about: Mapping[str, Any]):
        self.out, self.about = out, dict(about)
        self.figures: list[Figure] = []

    def add(self, part: str, what: str, how: str, **values: float) -> None:
        """Print and keep a figure. In its units ``_per_`` becomes a slash and ``_`` a space."""
        units = {name: name.replace("_per_", "/").replace("_", " ") for name in values}
        figure = Figure(part, what, how, {units[name]: value for name, value in values.items()})
        self.figures.append(figure)
        print(figure.line(), flush=True)
        self._write()

    def note(self, part: str, what: str, how: str, why: str) -> None:
        """Print and keep why something could not be measured."""
        self.about.setdefault("not_measured", []).append([part, what, how, why])
        print(f"{part:10} {what:20} {how:24} not measured: {why}", flush=True)
        self._write()

    def value(self, what: str, how: str, unit: str) -> float | None:
        """Return a value that was measured before, if there is one."""
        for figure in self.figures:
            if (figure.what, figure.how) == (what, how):
                return figure.values.get(unit)
        return None

    def _write(self) -> None:
        if self.out is not None:
            write_json(self.out, self.about | {"figures": [asdict(each) for each in self.figures]})


def seconds_each(
    do: Callable[[], object],
    clock: Clock,
    *,
    times: int,
    rounds: int = 3,
    before: int = 2,
    wait: Callable[[], object] = lambda: None,
) -> tuple[float, float]:
    """Return the seconds that something takes, and those of the first call.

    The first number is the median of several rounds of several calls.

    Parameters
    ----------
    do : callable
    clock : Clock
    times : int
        Calls of a round, which is timed as a whole.
    rounds : int
    before : int
        Calls before the rounds, at least 1: caches are cold, and libraries choose what is fastest.
    wait : callable
        Called before and after each round. For a GPU it waits until its work is done.

    Raises
    ------
    OutOfTime
        If not even one round was done in time.
    """
    begun = time.perf_counter()
    for number in range(before):
        clock.check()
        do()
        wait()
        if number == 0:
            first = time.perf_counter() - begun
    taken: list[float] = []
    for _ in range(rounds):
        if taken and clock.over:
            break
        clock.check()
        started, done = time.perf_counter(), 0
        while done < times and not (done and clock.over):
            do()
            done += 1
        wait()
        taken.append((time.perf_counter() - started) / done)
    return median(taken), first


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options that all benchmarks have."""
    parser.add_argument("--out", type=Path, help="JSON file to write")
    parser.add_argument(
        "--seconds",
        type=float,
        default=float("inf"),
        help="stop after this many seconds; what was measured is kept",
    )


def add_methods(parser: argparse.ArgumentParser, default: Sequence[str], words: str) -> None:
    """Add the options for methods and for the size of scans."""
    parser.add_argument(
        "--methods",
        nargs="+",
        choices=list(METHODS),
        default=list(default),
        metavar="METHOD",
        help=f"by default {words}",
    )
    parser.add_argument("--size", type=int, default=160, help="voxels a side (default: 160)")


def table(figures: Sequence[Figure]) -> str:
    """Return figures as a Markdown table with a column for each unit."""
    units = list(dict.fromkeys(unit for figure in figures for unit in figure.values))
    rows = [["part", "what", "how", *units], ["---"] * (3 + len(units))]
    for figure in figures:
        numbers = [f"{figure.values[u]:.4g}" if u in figure.values else "" for u in units]
        rows.append([figure.part, figure.what, figure.how, *numbers])
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)
