"""Check a scan table and every file that it names, without the workflow.

Each file is opened once, in full. Warnings and errors are printed. With an error, the exit code is
1. `snakemake check` does the same for the workflow, and only for new or changed scans.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.check.accept import refuse_all_excluded
from msnmo.check.check_scan import Files, check_scan
from msnmo.check.findings import ScanReport, findings_in
from msnmo.check.listing import list_findings, to_page
from msnmo.check.verdict import judge
from msnmo.cohort.decisions import excluded_by_rater
from msnmo.cohort.table import survey_scan_table
from msnmo.core.cells import show_hidden
from msnmo.core.command import program
from msnmo.core.counts import counted
from msnmo.core.diagnoses import add_diagnoses, use_given
from msnmo.core.errors import InputError, MsnmoError, bad_input, run_command
from msnmo.core.files import write_text, write_tsv
from msnmo.core.lesion_labels import ANY, Labels, add_lesion_labels, labels_given
from msnmo.core.paths import path_argument
from msnmo.settings.config import complete_config
from msnmo.settings.reading import read_config

GIVE = "give the file that you give snakemake as --configfile"


def check_cohort(
    scans: Path,
    decisions: Path | None = None,
    resample: bool = False,
    processes: int = 1,
    labels: Labels = (),
) -> tuple[pd.DataFrame, int, str]:
    """Return all findings, errors first, the number of opened scans, and what is simulated.

    Parameters
    ----------
    scans : Path
        The scan table.
    decisions : Path or None
        A rater's decisions. Scans that they exclude are not opened.
    resample : bool
        Whether lesion masks on another grid are resampled to the scan's grid.
    processes : int
        Number of scans that are opened at the same time.
    labels : "any" or tuple of int
        The values in lesion masks that mean lesion.

    Raises
    ------
    InputError
        If the table or the decisions cannot be read, or if no scan is left to open.
    MsnmoError
        If a process was killed.
    """
    survey = survey_scan_table(scans)
    if decisions is not None and not decisions.exists():
        # only the workflow's own table may be missing, as nobody asked for it
        raise bad_input(decisions, "a rater's table", "no such file", "correct the path")
    excluded = excluded_by_rater(survey.names, decisions)["scan"]
    if set(survey.names) <= set(excluded):
        refuse_all_excluded(scans)
    opened = survey.opened[~survey.opened["told_as"].isin(excluded)]
    with tempfile.TemporaryDirectory(prefix="msnmo-") as folder:
        pattern = f"{folder}/{{scan}}.json"
        jobs = [(row, resample, labels, pattern) for row in opened.to_dict("records")]
        try:
            with ProcessPoolExecutor(processes) as pool:
                list(pool.map(_check, jobs))
        except BrokenProcessPool as error:
            remedy = "give it more memory, or open fewer scans at the same time: --processes 1"
            raise MsnmoError(
                "a process of the check was killed; systems do this when memory runs out\n"
                f"    remedy:   {remedy}"
            ) from error
        return list_findings(scans, decisions, pattern)


def _check(job: tuple[dict[str, Any], bool, Labels, str]) -> None:
    row, resample, labels, pattern = job
    check_row(row, resample, labels).write(Path(pattern.format(scan=row["scan"])))


def check_row(row: Mapping[str, Any], resample: bool, labels: Labels = ()) -> ScanReport:
    """Return the report of the scan of a row of `msnmo.cohort.table.Survey.opened`."""
    files = Files(
        Path(row["flair"]),
        tuple(Path(path) for path in row["lesion_mask"].split(";") if path),
        Path(row["brain_mask"]) if row["brain_mask"] else None,
        row["stripped"] == "yes",
    )
    return check_scan(row["scan"], files, resample, labels)


def main(arguments: Sequence[str] | None = None) -> None:
    """Check a cohort and print all problems.

    Raises
    ------
    InputError
        Lists every error.
    """
    given = _parse(arguments)
    use_given(given.diagnoses)
    config = complete_config(read_config(given.configfile, GIVE) if given.configfile else {})
    masks = config["lesion_masks"]
    words = map(str, masks["labels"]) if masks["labels"] != ANY else [ANY]
    labels = labels_given(list(words) if given.lesion_labels is None else given.lesion_labels)
    resample = (given.other_grid or masks["other_grid"]) == "resample"
    table, count, simulated = check_cohort(
        given.scans, given.decisions, resample, given.processes, labels
    )
    if given.out:
        write_tsv(given.out / "findings.tsv", table)
        write_text(given.out / "findings.html", to_page(table, count, simulated))
        print(f"all findings: {given.out / 'findings.html'}")
    errors, warnings = (findings_in(table, each) for each in ("error", "warning"))
    for finding in warnings:
        print(f"warning: {finding}")
    found = f"{counted(len(errors), 'error')}, {counted(len(warnings), 'warning')}"
    print(f"{counted(count, 'scan')} opened: {found}")
    verdict = judge(config, _going_on(given, table))
    print(show_hidden(verdict.text), flush=True)  # a table may give sites any name
    # without a config it is unknown what will run: costs are for the paper's settings, no judgement
    problems = [*errors, *(verdict.problems if given.configfile else ())]
    if problems:
        raise InputError(problems)


def _going_on(given: argparse.Namespace, findings: pd.DataFrame) -> pd.DataFrame:
    """Return the scans that neither an error nor a rater excludes."""
    survey = survey_scan_table(given.scans)
    out = set(findings.loc[findings["severity"] == "error", "scan"])
    out |= set(excluded_by_rater(survey.names, given.decisions)["scan"])
    return survey.cohort[~survey.cohort["scan"].isin(out)]


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=program("msnmo.check.check_cohort"),
        description=__doc__,
        epilog="Example:\n  msnmo check --scans scans.tsv --out findings",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--scans", type=path_argument, required=True, help="the scan table")
    parser.add_argument(
        "--decisions", type=path_argument, help="a rater's decisions on scans to leave out"
    )
    add_diagnoses(parser)
    parser.add_argument(
        "--other-grid",
        choices=("error", "resample"),
        help="what to do with a lesion mask on another grid than the scan (default: as in "
        "--configfile, else error)",
    )
    add_lesion_labels(parser)
    parser.set_defaults(lesion_labels=None)
    parser.add_argument(
        "--out", type=path_argument, help="folder for findings.tsv and findings.html"
    )
    parser.add_argument(
        "--configfile",
        type=path_argument,
        help="your config: its lesion_masks are read so, and disk and hours told (default: the "
        "paper's)",
    )
    parser.add_argument(
        "--processes",
        type=int,
        choices=range(1, 1 + (os.cpu_count() or 1)),
        default=os.cpu_count() or 1,
        metavar="N",
        help="scans opened at the same time (default: %(default)s, this machine's cores)",
    )
    return parser.parse_args(arguments)


if __name__ == "__main__":
    run_command(main)
