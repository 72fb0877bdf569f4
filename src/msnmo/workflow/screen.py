"""What the terminal shows while the workflow runs, and when it ends.

Snakemake's own messages, some ten lines per job, go to its log. The terminal shows one line of
progress, redrawn each second (or written once a minute if the output is a file); messages of our
rules; warnings; and at the end, what was made or what failed. This is a handler for Snakemake's
logger. It replaces Snakemake's own handler and reads the events of Snakemake's interface for
loggers. It is not a plugin, because plugins must be installed before Snakemake starts, and the
workflow also runs from a plain checkout.
"""

from __future__ import annotations

import logging
import math
import os
import re
import shutil
import sys
import textwrap
import threading
import time
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from msnmo.core.errors import MsnmoError
from msnmo.workflow.ending import failure, success, took
from msnmo.workflow.estimate import Kind, Room, Timing, time_left
from msnmo.workflow.run import Run, count
from msnmo.workflow.targets import wrong_target

SNAKEMAKES_OWN = "DefaultStreamHandler"
"""The name of Snakemake's handler for the terminal."""
SECONDS_ON_A_TERMINAL, SECONDS_IN_A_FILE = 1.0, 60.0
SECONDS_BETWEEN_ESTIMATES = 5.0
SHARE_OF_TIME = 50
"""Shortest time between two estimates of the time left, as a multiple of their cost."""
UNPLANNED = (
    "Not done: what follows could not be planned; the message is above. What was made is kept"
)
NOTHING = "Nothing to be done"
OURS = (".smk", "Snakefile")
"""Endings of the names of files with rules."""
# Python's words for a failed command, and for one ended by a signal
STATUS = re.compile(r"returned non-zero exit status (\d+)|died with <Signals\.(\w+)")
# an `InputError` from a function of a rule, in Snakemake's frame
FRAMED = re.compile(
    r"^Error:\n  \w+:\n( +\d+ input problems?:\n.*?)\n(?:Wildcards|Traceback):",
    re.DOTALL | re.MULTILINE,
)
# Snakemake's words for a failed run; our own come at the end
OUTWORN = (
    "Exiting because a job execution failed",
    "At least one job did not complete successfully",
)
BEFORE_JOBS = "Assuming unrestricted shared filesystem usage"
ON_REQUEST = "Terminating processes on user request"
GRACEFULLY = "Will exit after finishing currently running jobs"
TOLD = ("split_folds", "judge_cohort")
"""Rules whose log is shown: how folds are balanced, and the check's verdict."""


@dataclass(frozen=True)
class About:
    """What the screen reports besides jobs.

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


class Screen(logging.Handler):
    """Shows a run on the terminal.

    Parameters
    ----------
    workflow : Workflow
        Snakemake's.
    words : logging.Handler
        Snakemake's own handler, for messages in its words.
    """

    def __init__(self, workflow: Any, words: Any):
        super().__init__()
        self.workflow = workflow
        self.words = words
        self.stream: TextIO = words.stream
        is_terminal = bool(getattr(self.stream, "isatty", bool)())
        self.on_terminal = is_terminal and os.environ.get("TERM") != "dumb"
        self.about: About | None = None
        self.run: Run | None = None
        self.nothing_to_do = False
        self.stopped = False
        self.refused = False
        self.broken_off = False
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
        """Replace Snakemake's own handler, unless the user asked for its messages.

        Returns
        -------
        Screen or None
            None if nothing was replaced: with ``--printshellcmds``, ``--verbose``, ``--debug-dag``
            or ``--quiet all``, or if a plugin writes to the terminal.
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
        """Process a message of Snakemake, and show it if a user needs it."""
        try:
            self._take_in(record)
            if self._is_shown(record):
                self._show(record)
        except Exception:  # a handler must not stop a run; logging does the same by default
            self.handleError(record)

    def _take_in(self, record: logging.LogRecord) -> None:
        message = record.getMessage()
        self.nothing_to_do |= message.startswith(NOTHING)
        self.stopped |= message.startswith((ON_REQUEST, GRACEFULLY))
        if not self._runs():
            return
        event = getattr(record, "event", None)
        if event == "error":
            if found := STATUS.search(message):
                self.statuses[record.thread] = found[1] or found[2]
            else:
                self.broken_off = True
        elif take := self._takers.get(str(event)):
            take(record)

    def _runs(self) -> bool:
        """Whether jobs are run, so not a dry run or a drawing."""
        started = self.workflow.executor_plugin is not None
        return started and not (self.workflow.dryrun or self.workflow.touch)

    def _begin(self, _record: Any) -> None:
        if self.run is None and self.about is not None:
            self.run = Run(Timing(self.about.expected()))
            self._plan()
            if self._draws:
                threading.Thread(target=self._draw_again_and_again, daemon=True).start()

    def _plan(self, _record: Any = None) -> None:
        if self.run is not None:
            self.run.read_jobs(self.workflow.dag)

    def _start(self, record: Any) -> None:
        if self.run is not None:
            self.run.start(record.jobid)

    def _finish(self, record: Any) -> None:
        run, number = self.run, record.job_id
        if run is None:
            return
        run.finish(number, self._checkpoints())
        if number in run.plan and run.plan[number].kind[0] in TOLD:
            self._clear()
            for path in run.jobs[number].log:
                self._write(Path(path).read_text(encoding="utf-8"))

    def _fail(self, record: Any) -> None:
        # jobs of a group are reported with the group
        if self.run is not None and not record.indent:
            status = self.statuses.pop(record.thread, "")
            reason = record.rule_msg or ""
            self.run.fail(record.jobid, record.rule_name, record.log, status, reason)

    def _fail_group(self, record: Any) -> None:
        if self.run is not None:
            self.run.fail_group(record.job_error_info, record.aux_logs)

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
            # a command's message is in its log, and is shown at the end
            return STATUS.search(message) is None
        if record.levelno >= logging.WARNING or record.pathname.endswith(OURS):
            return True
        # before jobs are planned, such as with `--unlock`, all except the head of a run
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
        """Return an error in our words, without its place in the rules; None for other errors."""
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
        # raised again within Snakemake, it has lost what caused it: only the text is left
        framed = FRAMED.search(record.getMessage())
        return textwrap.dedent(framed[1]).strip() if framed else None

    def _draw_again_and_again(self) -> None:
        pause = SECONDS_ON_A_TERMINAL if self.on_terminal else SECONDS_IN_A_FILE
        while not self._ended.wait(pause):
            with self.lock or threading.RLock():
                if not self._ended.is_set():
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
        counted = run.counted("running" if self._is_local() else "submitted")
        checkpoints = self._checkpoints()
        if any(job.kind[0] in checkpoints for job in run.left.values()):
            return f"check: {counted}; the rest is planned afterwards"
        now = time.monotonic()
        if now >= self._next or not self.on_terminal:
            # in a queue, the start time of a job is unknown
            running = {each: now - at for each, at in run.started.items() if self._is_local()}
            self._left = str(time_left(run.still_to_run, running, run.timing, self._room()))
            # 10,000 scans mean 100,000 jobs
            taken = time.monotonic() - now
            self._next = now + max(SECONDS_BETWEEN_ESTIMATES, SHARE_OF_TIME * taken)
        return f"{counted}; {self._left}"

    def _checkpoints(self) -> set[str]:
        return {rule.name for rule in self.workflow.rules if rule.is_checkpoint}

    def _is_local(self) -> bool:
        return bool(self.workflow.local_exec)

    def _room(self) -> Room:
        given: Mapping[str, Any] = self.workflow.scheduler.global_resources
        if not self._is_local():
            # each submission holds one place in the queue, however many cores it has
            return Room(count(given.get("_nodes"), 1), math.inf)
        return Room(count(given.get("_cores"), 1), count(given.get("gpu"), sys.maxsize))

    # --- the end

    def close(self) -> None:
        """Report how the run ended. Snakemake calls this after all other messages."""
        if not self._ended.is_set():
            self._ended.set()
            with self.lock or threading.RLock():
                self._clear()
                try:
                    self._tell_end()
                except Exception:  # an error on closing must not hide how the run ended
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
        # with `--quiet progress` Snakemake does not report each job
        run.finished = {number for number, job in run.jobs.items() if dag.finished(job)}
        if self.refused and not run.finished:
            return
        logs = self.workflow.logger_manager.get_logfile()
        log = f"Snakemake's log: {logs[-1]}" if logs else "Snakemake keeps no log"
        if run.left or self.broken_off:
            if not self.stopped:
                self._add_those_without_output(run)
            wrong = run.failed or self.refused or self.broken_off
            mended = ", once that is fixed" if wrong else ""
            again = f"the same command continues from here{'' if self.stopped else mended}"
            told = failure(run, self.stopped) if run.left else [UNPLANNED]
            lines = [*told, f"{took(run)}; {again}; {log}"]
        else:
            said = f"{NOTHING}: all requested files exist." if self.nothing_to_do else "Done."
            lines = success(dag, self.about.results, self.about.confidence, said)
            if not self.nothing_to_do:
                lines.append(f"{took(run)} for {len(run.finished)} jobs; {log}")
        self._write("\n".join(["", *lines, ""]))

    def _add_those_without_output(self, run: Run) -> None:
        """Add jobs that succeeded without making their files. Snakemake reports them otherwise."""
        scheduler = getattr(self.workflow, "scheduler", None)
        lost = [each for job in getattr(scheduler, "failed", ()) for each in _singles(job)]
        for job in lost:
            number = self.workflow.dag.jobid(job)
            if number not in run.failed and number in run.jobs:
                reason = "Snakemake stopped it; its message is above"
                run.fail(number, job.rule.name, job.log, reason=reason)


def _singles(job: Any) -> list[Any]:
    """Return the jobs of a group, or the one that a job is."""
    return list(job.jobs) if job.is_group() else [job]


def _is_of_rules(error: BaseException) -> bool:
    """Return whether our rules raised a Snakemake error with a message for the user."""
    raised = traceback.extract_tb(error.__traceback__)
    return (
        type(error).__name__ == "WorkflowError"
        and bool(raised)
        and raised[-1].filename.endswith(OURS)
    )


def _quiet(asked: Any) -> set[str]:
    """Return what the user does not want to see (``--quiet``)."""
    return {each.name.lower() for each in asked.quiet or ()}
