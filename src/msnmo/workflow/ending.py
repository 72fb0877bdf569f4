"""The message at the end of a run: what was made, or what failed and what is kept."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

from msnmo.workflow.estimate import duration
from msnmo.workflow.failures import INTERRUPTED, tell
from msnmo.workflow.headline import headline, page_to_open, simulated_note
from msnmo.workflow.run import Run

TODO_NAMED = 4
"""Number of rules still to do that are named. The rest is counted."""


def success(dag: Any, results: Path, confidence: float, said: str) -> list[str]:
    """Return what was made, and the page to open.

    Parameters
    ----------
    dag : DAG
        Snakemake's.
    results : Path
        Folder of the results.
    confidence : float
        Of the intervals.
    said : str
        The words that it is done.
    """
    # requested files come first
    asked = [Path(file) for job in dag.targetjobs for file in (*job.input, *job.output)]
    files = [*asked, *(Path(file) for job in dag.jobs for file in job.output)]
    statistics = {path for path in files if path.parent == results / "statistics"}
    page = page_to_open(results, files)
    lines = [
        f"{said} {simulated_note(results / 'cohort.tsv')}".rstrip(),
        headline(sorted(path for path in statistics if path.is_file()), confidence),
        f"Open {page.absolute()}" if page else f"Results: {results.absolute()}",
    ]
    return [line for line in lines if line]


def failure(run: Run, stopped: bool) -> list[str]:
    """Return which jobs failed and why, what is kept, and what is still to do.

    Parameters
    ----------
    run : Run
    stopped : bool
        Whether the user stopped it. Jobs that were running then did not fail.
    """
    left = run.left
    failed = {
        number: each
        for number, each in run.failed.items()
        if not (stopped and each.status in INTERRUPTED)
    }
    lines = ["Stopped, as you asked."] if stopped else []
    if failed:
        jobs = "1 job" if len(failed) == 1 else f"{len(failed)} jobs"
        lines += [f"{jobs} failed:", *tell(failed.values())]
    done = len(run.plan) - len(left)
    rules = Counter(job.kind[0] for number, job in left.items() if number not in failed)
    named = [f"{each} {rule}" for rule, each in rules.most_common(TODO_NAMED)]
    if others := sum(each for _, each in rules.most_common()[TODO_NAMED:]):
        named.append(f"{others} others")
    todo = f" Still to do: {', '.join(named)}." if named else ""
    return [*lines, f"Done and kept: {done} of {len(run.plan)} jobs.{todo}"]


def took(run: Run) -> str:
    """Return how long a run took."""
    return f"Took {duration(time.monotonic() - run.began)}"
