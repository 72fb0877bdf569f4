"""What the terminal shows while the workflow runs, and when it ends.

Snakemake's own words, some ten lines a job, go to its log. On the terminal stand one line of
progress, which is drawn again each second (where the output is a file, it gets one each minute),
what our rules say, warnings, and at the end what was made or what failed. It is a handler of
Snakemake's logger that takes the place of its own, and reads the events of Snakemake's interface
for loggers. It is no plugin: one has to be installed before Snakemake starts, and the workflow also
runs from a checkout alone.
"""

from __future__ import annotations

import logging
import math
import re
import shutil
import sys
import threading
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

from msnmo.core.errors import MsnmoError
from msnmo.workflow.estimate import Kind, PlannedJob, Room, Timing, duration, time_left
from msnmo.workflow.failures import Failure, of_wildcards, tell
from msnmo.workflow.headline import headline, page_to_open, simulated_note
from msnmo.workflow.targets import wrong_target

SNAKEMAKES_OWN = "DefaultStreamHandler"
"""The name of the handler that Snakemake writes to the terminal with."""
SECONDS_ON_A_TERMINAL, SECONDS_IN_A_FILE = 1.0, 60.0
SECONDS_BETWEEN_ESTIMATES = 5.0
SHARE_OF_TIME = 50
"""The time left is told anew after so many times what it takes to make out, at least."""
NOTHING = "Nothing to be done"
OURS = (".smk", "Snakefile")
"""How the names of files with rules end."""
# how Python says that a command failed, and that a signal ended it
STATUS = re.compile(r"returned non-zero exit status (\d+)|died with <Signals\.(\w+)")
# Snakemake's words for a run that failed: ours stand at the end
OUTWORN = (
    "Exiting because a job execution failed",
    "At least one job did not complete successfully",
)
BEFORE_JOBS = "Assuming unrestricted shared filesystem usage"
ON_REQUEST = "Terminating processes on user request"
GRACEFULLY = "Will exit after finishing currently running jobs"
TOLD = "split_folds"
"""The rule whose log is shown: how folds are balanced, and which subjects are on both sides."""
TODO_NAMED = 4
"""Rules that are named of those still to do; the rest is counted."""


@dataclass(frozen=True)
class About:
    """What the screen tells of besides jobs.

    Parameters
    ----------
    results : Path
        Folder of the results.
    confidence : float
        Of intervals.
    expected : callable
        Returns what trainings and predictions take, before one has ended.
    """

    results: Path
    confidence: float
    expected: Callable[[], Mapping[Kind, float]]


@dataclass
class Run:
    """What happened so far; jobs go by Snakemake's numbers."""

    began: float = field(default_factory=time.monotonic)
    jobs: dict[int, Any] = field(default_factory=dict)
    plan: dict[int, PlannedJob] = field(default_factory=dict)
    started: dict[int, float] = field(default_factory=dict)
    finished: set[int] = field(default_factory=set)
    failed: dict[int, Failure] = field(default_factory=dict)
    timing: Timing = field(default_factory=Timing)
    changed: bool = True
    """Whether a checkpoint ended since the jobs were read: others take their place then."""

    @property
    def left(self) -> dict[int, PlannedJob]:
        """The jobs that are not done."""
        return {number: job for number, job in self.plan.items() if number not in self.finished}


class Screen(logging.Handler):
    """Shows a run on the terminal.

    Parameters
    ----------
    workflow : Workflow
        Snakemake's.
    words : logging.Handler
        Snakemake's own handler, for what is shown in its words.
    """

    def __init__(self, workflow: Any, words: Any):
        super().__init__()
        self.workflow = workflow
        self.words = words
        self.stream: TextIO = words.stream
        self.on_terminal = bool(getattr(self.stream, "isatty", bool)())
        self.about: About | None = None
        self.run: Run | None = None
        self.nothing_to_do = False
        self.stopped = False
        self.refused = False
        self.statuses: dict[int | None, str] = {}
        self._draws = "progress" not in _quiet(workflow.output_settings)
        self._drawn = ""
        self._left, self._next = "", -math.inf
        self._ended = threading.Event()
        self._takers: Mapping[str, Callable[[Any], None]] = {
            "run_info": self._begin,
            "job_started": self._plan,
            "job_info": self._start,
            "job_finished": self._finish,
            "job_error": self._fail,
            "group_error": self._fail_group,
        }

    @classmethod
    def take_over(cls, workflow: Any, logger: logging.Logger) -> Screen | None:
        """Take the place of Snakemake's own handler, unless the user asked for its words.

        Returns
        -------
        Screen or None
            None where nothing was taken over: with ``--printshellcmds``, ``--verbose``,
            ``--debug-dag`` or ``--quiet all``, or where a plugin writes to the terminal.
        """
        asked = workflow.output_settings
        own = [each for each in logger.handlers if each.name == SNAKEMAKES_OWN]
        silent = "all" in _quiet(asked)
        if not own or silent or asked.printshellcmds or asked.verbose or asked.debug_dag:
            return None
        (words,) = own
        screen = cls(workflow, words)
        logger.removeHandler(words)
        logger.addHandler(screen)
        return screen

    # --- what Snakemake says

    def emit(self, record: logging.LogRecord) -> None:
        """Take in what Snakemake says, and show what a user wants of it."""
        try:
            self._take_in(record)
            if self._is_shown(record):
                self._show(record)
        except Exception:  # a handler must not stop a run; this is what logging does of its own
            self.handleError(record)

    def _take_in(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.nothing_to_do |= message.startswith(NOTHING)
        self.stopped |= message.startswith((ON_REQUEST, GRACEFULLY))
        if not self._runs():
            return
        event = getattr(record, "event", None)
        if event == "error" and (found := STATUS.search(message)):
            self.statuses[record.thread] = found[1] or found[2]
        elif take := self._takers.get(str(event)):
            take(record)

    def _runs(self) -> bool:
        """Whether jobs are run: no dry run, no drawing."""
        started = self.workflow.executor_plugin is not None
        return started and not (self.workflow.dryrun or self.workflow.touch)

    def _begin(self, _record: Any) -> None:
        if self.run is None and self.about is not None:
            self.run = Run(timing=Timing(self.about.expected()))
            self._plan()
            if self._draws:
                threading.Thread(target=self._draw_again_and_again, daemon=True).start()

    def _plan(self, _record: Any = None) -> None:
        """Read the jobs anew; after the check there are more of them."""
        run, dag = self.run, self.workflow.dag
        if run is None or (len(dag) == len(run.plan) and not run.changed):
            return
        run.changed = False
        jobs = {dag.jobid(job): job for job in dag.jobs if dag.needrun(job) or dag.finished(job)}
        plan = {}
        for number, job in jobs.items():
            needs = frozenset(
                dag.jobid(each) for each in dag.dependencies[job] if dag.jobid(each) in jobs
            )
            plan[number] = PlannedJob(
                (job.rule.name, job.wildcards_dict.get("method", "")),
                _resource(job.rule, "_cores", 1),
                _resource(job.rule, "gpu", 0),
                needs,
            )
        run.jobs, run.plan = jobs, plan

    def _start(self, record: Any) -> None:
        if self.run is not None:
            self.run.started[record.jobid] = time.monotonic()

    def _finish(self, record: Any) -> None:
        run = self.run
        if run is None:
            return
        run.finished.add(record.job_id)
        run.failed.pop(record.job_id, None)
        began = run.started.pop(record.job_id, None)
        if record.job_id in run.plan:
            run.changed |= run.plan[record.job_id].kind[0] in self._checkpoints()
            taken = _benchmark(run.jobs[record.job_id])
            if taken is None and began is not None:
                taken = time.monotonic() - began
            if taken is not None:
                run.timing.add(run.plan[record.job_id].kind, taken)
            if run.plan[record.job_id].kind[0] == TOLD:
                self._clear()
                for path in run.jobs[record.job_id].log:
                    self._write(Path(path).read_text(encoding="utf-8"))

    def _fail(self, record: Any) -> None:
        # jobs of a group are told of with it
        if self.run is not None and not record.indent:
            status = self.statuses.pop(record.thread, "")
            reason = record.rule_msg or ""
            self._add_failure(record.jobid, record.rule_name, record.log, status, reason)

    def _fail_group(self, record: Any) -> None:
        """Keep of a group the job that failed: it has a log of this run, and no output."""
        if self.run is None:
            return
        jobs = record.job_error_info
        began = time.time() - (time.monotonic() - self.run.began)
        failed = [job for job in jobs if _is_of(job["log"], began) and not _are_there(job)]
        for job in failed or jobs[:1]:
            logs = [*job["log"], *([] if failed else record.aux_logs)]
            self._add_failure(job["jobid"], job["rule_name"], logs, "", "")
        for job in jobs:
            self.run.started.pop(job["jobid"], None)

    def _add_failure(
        self, number: int, rule: str, logs: Iterable[str], status: str, reason: str
    ) -> None:
        run = self.run
        if run is not None:
            job = run.jobs.get(number)
            of = "" if job is None else of_wildcards(job.wildcards_dict)
            run.failed[number] = Failure(rule, of, tuple(map(str, logs)), status, reason)
            run.started.pop(number, None)

    # --- what is shown

    def _is_shown(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        event = getattr(record, "event", None)
        if not self.words.filter(record) or any(text in message for text in OUTWORN):
            return False
        if self.workflow.output_settings.dryrun or self.workflow.touch:
            return True
        if event in ("job_error", "group_error"):
            return False
        if event == "error":
            # what a command said stands in its log, and at the end
            return STATUS.search(message) is None
        if record.levelno >= logging.WARNING or record.pathname.endswith(OURS):
            return True
        # of what comes before jobs are planned, such as `--unlock`, all but the head of a run
        before = self.workflow.executor_plugin is None
        return before and event is None and not message.startswith(BEFORE_JOBS)

    def _show(self, record: logging.LogRecord) -> None:
        self._clear()
        words = self._own_words(record)
        if words is None:
            self.words.emit(record)
        else:
            self.refused = True
            self._write(f"msnmo: error: {words}\n")

    def _own_words(self, record: logging.LogRecord) -> str | None:
        """Return an error in our words, without where in the rules it was found; None of others."""
        if getattr(record, "event", None) != "error":
            return None
        error = sys.exc_info()[1]
        if type(error).__name__ == "MissingRuleException":
            names = [rule.name for rule in self.workflow.rules]
            return wrong_target(str(error), names)
        while error is not None:
            if isinstance(error, MsnmoError) or _is_of_rules(error):
                return str(error)
            error = error.__cause__ or error.__context__
        return None

    def _draw_again_and_again(self) -> None:
        pause = SECONDS_ON_A_TERMINAL if self.on_terminal else SECONDS_IN_A_FILE
        while not self._ended.wait(pause):
            with self.lock or threading.RLock():
                self._draw()

    def _draw(self) -> None:
        line = self._progress()
        if not self.on_terminal:
            self._write(f"[{time.strftime('%H:%M:%S')}] {line}\n")
            return
        width = shutil.get_terminal_size().columns - 1
        self._write(f"\r\033[K{line[:width]}")
        self._drawn = line

    def _clear(self) -> None:
        if self._drawn:
            self._write("\r\033[K")
            self._drawn = ""

    def _write(self, text: str) -> None:
        self.stream.write(text)
        self.stream.flush()

    def _progress(self) -> str:
        run = self.run
        if run is None:
            return ""
        done = len(run.finished & run.plan.keys())
        parts = [f"{done} of {len(run.plan)} jobs done"]
        if run.started:
            state = "running" if self._is_local() else "submitted"
            parts.append(f"{len(run.started)} {state}{self._what(run)}")
        if run.failed:
            parts.append(f"{len(run.failed)} failed")
        checkpoints = self._checkpoints()
        if any(job.kind[0] in checkpoints for job in run.left.values()):
            return f"check: {', '.join(parts)}; the rest is planned after it"
        now = time.monotonic()
        if now >= self._next or not self.on_terminal:
            self._left = self._time_left(run, now)
            # of 10,000 scans there are 100,000 jobs
            taken = time.monotonic() - now
            self._next = now + max(SECONDS_BETWEEN_ESTIMATES, SHARE_OF_TIME * taken)
        return f"{', '.join(parts)}; {self._left}"

    def _checkpoints(self) -> set[str]:
        return {rule.name for rule in self.workflow.rules if rule.is_checkpoint}

    def _what(self, run: Run) -> str:
        """Return what runs: the rule that most of the jobs are of."""
        rules = Counter(run.plan[number].kind for number in run.started if number in run.plan)
        if not rules:
            return ""
        (rule, method), _ = rules.most_common(1)[0]
        more = f" and {len(rules) - 1} other kinds" if len(rules) > 2 else ""
        return f" ({' '.join(filter(None, (rule, method)))}{more})"

    def _time_left(self, run: Run, now: float) -> str:
        # in a queue it is not known since when a job runs
        running = {number: now - at for number, at in run.started.items() if self._is_local()}
        return str(time_left(self._without_failed(run), running, run.timing, self._room()))

    def _without_failed(self, run: Run) -> dict[int, PlannedJob]:
        """Return the jobs that will still run: neither those that failed nor what needs them."""
        left = run.left
        lost = set(run.failed) & set(left)
        while more := {
            number for number, job in left.items() if number not in lost and job.needs & lost
        }:
            lost |= more
        return {number: job for number, job in left.items() if number not in lost}

    def _is_local(self) -> bool:
        return bool(self.workflow.local_exec)

    def _room(self) -> Room:
        given: Mapping[str, Any] = self.workflow.scheduler.global_resources
        if not self._is_local():
            # each submission holds its place in the queue, whatever its cores
            return Room(_count(given.get("_nodes"), 1), math.inf)
        return Room(_count(given.get("_cores"), 1), _count(given.get("gpu"), sys.maxsize))

    # --- the end

    def close(self) -> None:
        """Tell how the run ended; Snakemake calls it when all else is said."""
        if not self._ended.is_set():
            self._ended.set()
            with self.lock or threading.RLock():
                self._clear()
                try:
                    self._tell_end()
                except Exception:  # what closes a logger must not hide how the run ended
                    traceback.print_exc(file=self.stream)
        self.words.close()
        super().close()

    def _tell_end(self) -> None:
        if self.about is None or not (self.run or (self.nothing_to_do and self._runs())):
            return
        run = self.run or Run()
        run.changed = True
        self._plan()
        dag = self.workflow.dag
        # with `--quiet progress` Snakemake does not say so of each
        run.finished = {number for number, job in run.jobs.items() if dag.finished(job)}
        if self.refused and not run.finished:
            return
        self._add_those_without_output(run)
        left = run.left
        if not left:
            self._write("\n".join(["", *self._success(run, self.about)]) + "\n")
        else:
            self._write("\n".join(["", *self._failure(run, left)]) + "\n")

    def _add_those_without_output(self, run: Run) -> None:
        """Add jobs that ended well and did not make their files: Snakemake tells them otherwise."""
        scheduler = getattr(self.workflow, "scheduler", None)
        lost = [each for job in getattr(scheduler, "failed", ()) for each in _singles(job)]
        for job in lost:
            number = self.workflow.dag.jobid(job)
            if number not in run.failed and number in run.jobs:
                reason = "Snakemake stopped it; what it says of that stands above"
                self._add_failure(number, job.rule.name, job.log, "", reason)

    def _success(self, run: Run, about: About) -> list[str]:
        dag = self.workflow.dag
        # what was asked for comes first
        asked = [Path(file) for job in dag.targetjobs for file in (*job.input, *job.output)]
        files = [*asked, *(Path(file) for job in dag.jobs for file in job.output)]
        statistics = [path for path in files if path.parent == about.results / "statistics"]
        page = page_to_open(about.results, files)
        what = "Done."
        if self.nothing_to_do:
            what = f"{NOTHING}: all that was asked for is there."
        took = f"Took {duration(time.monotonic() - run.began)} for {len(run.finished)} jobs"
        lines = [
            f"{what} {simulated_note(about.results / 'cohort.tsv')}".rstrip(),
            headline(sorted(path for path in statistics if path.is_file()), about.confidence),
            f"Open {page.absolute()}" if page else f"Results: {about.results.absolute()}",
            "" if self.nothing_to_do else f"{took}; {self._log()}",
        ]
        return [line for line in lines if line]

    def _failure(self, run: Run, left: Mapping[int, PlannedJob]) -> list[str]:
        done = len(run.plan) - len(left)
        rules = Counter(job.kind[0] for number, job in left.items() if number not in run.failed)
        named = [f"{count} {rule}" for rule, count in rules.most_common(TODO_NAMED)]
        if more := sum(rules.values()) - sum(dict(rules.most_common(TODO_NAMED)).values()):
            named.append(f"{more} others")
        lines = []
        if run.failed and not self.stopped:
            count = len(run.failed)
            lines = [f"{count} job{'s' if count > 1 else ''} failed:", *tell(run.failed.values())]
        elif self.stopped:
            lines = ["Stopped, as you asked for."]
        todo = f" Still to do: {', '.join(named)}." if named else ""
        again = "the same command goes on from here" + (
            ", once that is mended" if (run.failed or self.refused) and not self.stopped else ""
        )
        return [
            *lines,
            f"Done and kept: {done} of {len(run.plan)} jobs.{todo}",
            f"Took {duration(time.monotonic() - run.began)}; {again}; {self._log()}",
        ]

    def _log(self) -> str:
        logs = self.workflow.logger_manager.get_logfile()
        return f"Snakemake's log: {logs[-1]}" if logs else "Snakemake keeps no log"


def _singles(job: Any) -> list[Any]:
    """Return the jobs of a group, or the one that a job is."""
    return list(job.jobs) if job.is_group() else [job]


def _is_of_rules(error: BaseException) -> bool:
    """Return whether our rules raised an error as Snakemake's, with words for the user."""
    raised = traceback.extract_tb(error.__traceback__)
    return (
        type(error).__name__ == "WorkflowError"
        and bool(raised)
        and raised[-1].filename.endswith(OURS)
    )


def _quiet(asked: Any) -> set[str]:
    """Return what the user does not want to be told of (``--quiet``)."""
    return {each.name.lower() for each in asked.quiet or ()}


def _count(value: object, otherwise: int) -> int:
    """Return a number that Snakemake may not know yet."""
    return value if isinstance(value, int) and value > 0 else otherwise


def _resource(rule: Any, name: str, otherwise: int) -> int:
    """Return what a rule gives its jobs; of a job itself Snakemake would look at its input."""
    return _count(getattr(rule.resources.get(name), "raw", None), otherwise)


def _benchmark(job: Any) -> float | None:
    """Return the seconds that a job ran, without its time in a queue; None where not measured."""
    try:
        with Path(str(job.benchmark)).open(encoding="utf-8") as file:
            return float(file.readlines()[1].split("\t")[0])
    except (OSError, ValueError, IndexError):
        return None


def _is_of(logs: Iterable[str], began: float) -> bool:
    return any(Path(path).is_file() and Path(path).stat().st_mtime >= began for path in logs)


def _are_there(job: Mapping[str, Any]) -> bool:
    return all(Path(path).exists() for path in job["output"])
