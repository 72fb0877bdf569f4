"""Estimate how long a run still takes, from the times of earlier jobs or from expected times.

A kind is a rule; for trainings and predictions, also a method. Until the first job of a kind has
ended, its time follows from the numbers of `msnmo.check.costs`.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import pandas as pd

from msnmo.check.costs import CORE_TFLOPS, GPU_TFLOPS, expect
from msnmo.cohort.balance import learned
from msnmo.cohort.folds import count_folds

Kind = tuple[str, str]
"""A rule and a method; "" if the rule has none."""
TRAINING, PREDICTION = "train_fold", "predict_fold"
LONGER = 1.25
"""If a job runs longer than expected, its total is at least this factor of its time so far."""
SECONDS_OF_OTHERS = 4.0
"""Seconds of any other job: mostly starting Python and loading libraries."""


@dataclass(frozen=True)
class PlannedJob:
    """A job that is not done.

    Parameters
    ----------
    kind : Kind
    threads : int
        Cores that it holds while it runs.
    gpus : int
        GPUs that it holds while it runs.
    needs : frozenset of int
        Numbers of the jobs that it waits for.
    """

    kind: Kind
    threads: int = 1
    gpus: int = 0
    needs: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Room:
    """How much can run at once.

    Parameters
    ----------
    cores : float
        Of this machine; on a cluster, jobs in its queue.
    gpus : float
        Of this machine; infinite on a cluster.
    """

    cores: float
    gpus: float


@dataclass
class Timing:
    """How long jobs of each kind take.

    Parameters
    ----------
    expected : mapping
        Seconds of the slow kinds, used before one of them has ended.
    """

    expected: Mapping[Kind, float] = field(default_factory=dict)
    measured: dict[Kind, list[float]] = field(default_factory=dict)

    def add(self, kind: Kind, seconds: float) -> None:
        """Record the time of a job."""
        self.measured.setdefault(kind, []).append(seconds)

    def seconds(self, kind: Kind) -> float:
        """Return the time of a kind of job: the mean of those that ended, or the expected time."""
        taken = self.measured.get(kind)
        return sum(taken) / len(taken) if taken else self.expected.get(kind, SECONDS_OF_OTHERS)


@dataclass(frozen=True)
class Left:
    """The time that a run still takes.

    Parameters
    ----------
    seconds : float
    measured : float
        The share of that time that is based on jobs that ended, in [0, 1].
    """

    seconds: float
    measured: float

    def __str__(self) -> str:
        if self.seconds < 1:
            return "nearly done"
        # mark a guess without any measurement
        return f"{'about' if self.measured > 0.5 else 'perhaps'} {duration(self.seconds)} left"


def time_left(
    jobs: Mapping[int, PlannedJob], running: Mapping[int, float], timing: Timing, room: Room
) -> Left:
    """Return the time that jobs still take: the longest of three.

    These are the work on all cores, the work on all GPUs, and the longest chain of jobs that wait
    for one another.

    Parameters
    ----------
    jobs : mapping
        All unfinished jobs, by number.
    running : mapping
        Seconds that jobs have run so far, by number.
    """
    longer: dict[Kind, float] = {}
    for number, ran in running.items():
        if number in jobs:
            kind = jobs[number].kind
            longer[kind] = max(longer.get(kind, 0.0), LONGER * ran)
    seconds = {
        number: max(timing.seconds(job.kind), longer.get(job.kind, 0.0)) - running.get(number, 0.0)
        for number, job in jobs.items()
    }

    @cache
    def chain(number: int) -> float:
        before = (chain(each) for each in jobs[number].needs if each in jobs)
        return seconds[number] + max(before, default=0.0)

    on_cores = sum(seconds[number] * job.threads for number, job in jobs.items())
    on_gpus = sum(seconds[number] * job.gpus for number, job in jobs.items())
    known = sum(seconds[number] for number, job in jobs.items() if job.kind in timing.measured)
    return Left(
        max(on_cores / room.cores, on_gpus / room.gpus, max(map(chain, jobs), default=0.0)),
        known / max(sum(seconds.values()), 1e-9),
    )


def expected_seconds(
    config: Mapping[str, Any], methods: Iterable[str], cohort: pd.DataFrame, on_gpu: bool
) -> dict[Kind, float]:
    """Return how long a training and a prediction of a fold take for each method.

    Parameters
    ----------
    config : mapping
        With all its keys.
    methods : iterable of str
    cohort : DataFrame
        As of `msnmo.cohort.table.survey_scan_table`.
    on_gpu : bool
        Whether networks run on a GPU, and not on cores of a CPU.
    """
    in_folds = learned(cohort)
    if in_folds.empty:
        return {}
    folds = max(2, count_folds(in_folds, config["folds"]["k"], config["folds"]["split"]))
    trainings = len(config["folds"]["only"]) or folds
    trainings *= len(config["seeds"]) or config["folds"]["repeats"]
    speed = GPU_TFLOPS if on_gpu else CORE_TFLOPS * config["compute"]["threads"]
    seconds = {}
    for name in methods:
        costs = expect(config, [name], scans=len(cohort), tested=len(in_folds), folds=folds)
        for rule, operations in ((TRAINING, costs.training), (PREDICTION, costs.prediction)):
            taken = operations / trainings / speed
            # even a small network's job starts Python and loads its libraries
            seconds[rule, name] = taken + SECONDS_OF_OTHERS
    return seconds


def expects_gpu(device: str, local: bool) -> bool:
    """Return whether networks will run on a GPU, as far as known without loading torch.

    Parameters
    ----------
    device : str
        The config's ``compute.device``.
    local : bool
        Whether jobs run on this machine.
    """
    if device != "auto":
        return device != "cpu"
    here = sys.platform == "darwin" or shutil.which("nvidia-smi") is not None
    return here or not local


def duration(seconds: float) -> str:
    """Return a duration in words, in seconds, minutes or hours, without false precision."""
    if seconds < 59.5:
        return f"{seconds:.0f} s"
    if seconds < 59.5 * 60:
        return f"{seconds / 60:.0f} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if hours < 10 else f"{seconds / 3600:.0f} h"
