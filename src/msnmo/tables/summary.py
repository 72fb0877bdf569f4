"""Print every method's means over folds: the short answer at the end of a run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from tabulate import tabulate

from msnmo.cohort.simulated import Simulated
from msnmo.core.command import program
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import read_tsv
from msnmo.core.paths import path_argument
from msnmo.evaluate.aggregate import across_folds, read_metrics
from msnmo.evaluate.metrics import NOT_APPLICABLE, metrics_of
from msnmo.settings.methods import Task, get_method
from msnmo.tables.compare import ours_of
from msnmo.tables.content import ours_text


def summarise(table: pd.DataFrame) -> str:
    """Return the means ± sd over folds (percent) of every method, as text for a terminal.

    Parameters
    ----------
    table : DataFrame
        As `msnmo.evaluate.aggregate.read_metrics` returns.
    """
    summary = across_folds(table)
    folds, seeds = table["fold"].nunique(), table["seed"].nunique()
    of_seeds = f", each the mean of {seeds} seeds" if seeds > 1 else ""
    head = f"Mean ± sample standard deviation of the values of {folds} folds{of_seeds}, percent"
    tasks = [
        _task_table(task, summary[summary["task"] == task]) for task in summary["task"].unique()
    ]
    return "\n\n".join([head, *tasks])


def _task_table(task: Task, summary: pd.DataFrame) -> str:
    names = metrics_of(task)
    lines = []
    for (method, space), rows in summary.groupby(["method", "space"], sort=False):
        texts = {row.metric: ours_text(ours_of(row)) for row in rows.itertuples()}
        where = "" if space == NOT_APPLICABLE else f"{space} space"
        label = get_method(method).label
        lines.append([label, where, rows["n_scans"].iloc[0], *(texts[name] for name in names)])
    return tabulate(
        lines,
        headers=[task.capitalize(), "", "scans", *names],
        colalign=["left", "left", *["right"] * (len(names) + 1)],
        disable_numparse=True,
    )


def _told_of_cohort(results: Path | None) -> str:
    """Return what must be known about a finished run's scans; empty if nothing."""
    cohort = None if results is None else results / "cohort.tsv"
    if cohort is None or not cohort.is_file():
        return ""
    return Simulated.among(read_tsv(cohort, {"scan": str})).note


def main(arguments: Sequence[str] | None = None) -> None:
    """Print the summary and the place of the results."""
    parser = argparse.ArgumentParser(
        prog=program("msnmo.tables.summary"),
        description=__doc__,
        epilog="Example:\n  msnmo tables --results results",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--results", type=path_argument, help="folder of a finished run")
    parser.add_argument(
        "--metrics",
        type=path_argument,
        help="table of metrics (default: metrics/all.tsv in the results)",
    )
    given = parser.parse_args(arguments)
    if not (given.metrics or given.results):
        parser.error("give --results or --metrics")
    metrics = given.metrics or given.results / "metrics/all.tsv"
    if not metrics.is_file():
        remedy = "finish the run: snakemake --cores all --configfile my.yaml"
        raise bad_input(metrics, "the metrics of a finished run", "no such file", remedy)
    print(summarise(read_metrics(metrics)))
    if note := _told_of_cohort(given.results):
        print(f"\n{note}")
    if given.results:
        print(f"\nResults: {given.results}")


if __name__ == "__main__":
    run_command(main)
