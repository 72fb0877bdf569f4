"""The progress of a run, by the jobs of Snakemake's DAG."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from msnmo.workflow.estimate import PlannedJob, Timing
from msnmo.workflow.failures import Failure, of_wildcards


@dataclass
class Run:
    """The progress of a run. Jobs are identified by Snakemake's numbers.

    Parameters
    ----------
    timing : Timing
    began : float
        Seconds of the monotonic clock.
    jobs : dict
        Snakemake's jobs.
    plan : dict
        The same jobs, with the data for estimating the time left.
    started : dict
        Start times of jobs that run or wait in a queue.
    finished : set of int
    failed : dict
    changed : bool
        Whether a checkpoint ended since the jobs were read, so that the jobs have changed.
    """

    timing: Timing = field(default_factory=Timing)
    began: float = field(default_factory=time.monotonic)
    jobs: dict[int, Any] = field(default_factory=dict)
    plan: dict[int, PlannedJob] = field(default_factory=dict)
    started: dict[int, float] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    failed: dict[int, Failure] = field(default_factory=dict)
    changed: bool = True

    @property
    def left(self) -> dict[int, PlannedJob]:
        """The jobs that are not done."""
        return {number: job for number, job in self.plan.items() if number not in self.finished}

    @property
    def still_to_run(self) -> dict[int, PlannedJob]:
        """The unfinished jobs, except failed jobs and jobs that need them."""
        left = self.left
        lost = set(self.failed) & set(left)
        while more := {
            number for number, job in left.items() if number not in lost and job.needs & lost
        }:
            lost |= more
        return {number: job for number, job in left.items() if number not in lost}

    def read_jobs(self, dag: Any) -> None:
        """Read the jobs again if they have changed. After the check there are more of them."""
        if len(dag) == len(self.plan) and not self.changed:
            return
        self.changed = False
        self.jobs = {
            dag.jobid(job): job for job in dag.jobs if dag.needrun(job) or dag.finished(job)
        }
        self.plan = {
            number: PlannedJob(
                (job.rule.name, job.wildcards_dict.get("method", "")),
                _resource(job.rule, "_cores", 1),
                _resource(job.rule, "gpu", 0),
                frozenset(dag.jobid(each) for each in dag.dependencies[job]) & self.jobs.keys(),
            )
            for number, job in self.jobs.items()
        }

    def start(self, number: int) -> None:
        """Record that a job starts, for the first time or again."""
        self.started[number] = time.monotonic()
        self.failed.pop(number, None)

    def finish(self, number: int, checkpoints: Collection[str]) -> None:
        """Record that a job succeeded, and its time."""
        self.finished.add(number)
        self.failed.pop(number, None)
        began = self.started.pop(number, None)
        if number not in self.plan:
            return
        self.changed |= self.plan[number].kind[0] in checkpoints
        taken = _benchmark(self.jobs[number])
        if taken is None and began is not None:
            taken = time.monotonic() - began
        if taken is not None:
            self.timing.add(self.plan[number].kind, taken)

    def fail(
        self, number: int, rule: str, logs: Iterable[object], status: str = "", reason: str = ""
    ) -> None:
        """Record that a job failed."""
        job = self.jobs.get(number)
        of = "" if job is None else of_wildcards(job.wildcards_dict)
        self.failed[number] = Failure(rule, of, tuple(map(str, logs)), status, reason)
        self.started.pop(number, None)

    def fail_group(self, jobs: list[Mapping[str, Any]], logs: Iterable[object]) -> None:
        """Record that a group failed: its job with a log of this run but no output.

        Parameters
        ----------
        jobs : list of mapping
            Snakemake's data on each job: jobid, rule_name, log, output.
        logs : iterable
            Logs of the group, in case none of its jobs began.
        """
        began = time.time() - (time.monotonic() - self.began)
        failed = [job for job in jobs if _is_of(job["log"], began) and not _are_there(job)]
        for job in failed or jobs[:1]:
            own = job["log"] if failed else [*job["log"], *logs]
            self.fail(job["jobid"], job["rule_name"], own)
        for job in jobs:
            self.started.pop(job["jobid"], None)

    def counted(self, state: str) -> str:
        """Return how many jobs are done, running and failed.

        Parameters
        ----------
        state : str
            The word for a started job: running, or submitted.
        """
        parts = [f"{len(self.finished & self.plan.keys())} of {len(self.plan)} jobs done"]
        if self.started:
            parts.append(f"{len(self.started)} {state}{self._what()}")
        if self.failed:
            parts.append(f"{len(self.failed)} failed")
        return ", ".join(parts)

    def _what(self) -> str:
        """Return what is running: the rule and method of most of the jobs."""
        kinds = Counter(self.plan[each].kind for each in self.started if each in self.plan)
        if not kinds:
            return ""
        (rule, method), _ = kinds.most_common(1)[0]
        return f" ({' '.join(filter(None, (rule, method)))})"


def count(value: object, otherwise: int) -> int:
    """Return a number that Snakemake may not know yet."""
    return value if isinstance(value, int) and value > 0 else otherwise


def _resource(rule: Any, name: str, otherwise: int) -> int:
    """Return a resource of a rule. For a job, Snakemake would look at its input."""
    return count(getattr(rule.resources.get(name), "raw", None), otherwise)


def _benchmark(job: Any) -> float | None:
    """Return the seconds that a job ran, without its time in a queue; None if not measured."""
    try:
        with Path(str(job.benchmark)).open(encoding="utf-8") as file:
            return float(file.readlines()[1].split("\t")[0])
    except (OSError, ValueError, IndexError):
        return None


def _is_of(logs: Iterable[str], began: float) -> bool:
    return any(Path(path).is_file() and Path(path).stat().st_mtime >= began for path in logs)


def _are_there(job: Mapping[str, Any]) -> bool:
    return all(Path(path).exists() for path in job["output"])
