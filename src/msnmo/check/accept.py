"""Accept the cohort, or stop. Scans that neither the check nor a rater excludes go on."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NoReturn, get_args

import pandas as pd

from msnmo.check.findings import COLUMNS, findings_in
from msnmo.cohort.decisions import excluded_by_rater
from msnmo.cohort.excluded import COLUMNS as EXCLUDED_COLUMNS
from msnmo.cohort.table import survey_scan_table
from msnmo.core.counts import counted
from msnmo.core.diagnoses import NO_DIAGNOSIS
from msnmo.core.errors import InputError, bad_input, run_command
from msnmo.core.files import read_tsv, write_tsv

OnBadScan = Literal["stop", "exclude"]


def accept(
    scans: Path,
    findings: pd.DataFrame,
    decisions: Path | None,
    on_bad_scan: OnBadScan,
    diagnosis_alone: bool = False,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return the scans that go on, and the excluded scans with who excluded them and why.

    Parameters
    ----------
    scans : Path
        The scan table.
    findings : DataFrame
        As returned by `msnmo.check.__main__.list_findings`.
    decisions : Path or None
        A rater's decisions.
    on_bad_scan : {"stop", "exclude"}
        What happens to a scan with an error.
    diagnosis_alone : bool
        As in `msnmo.cohort.table.survey_scan_table`.

    Raises
    ------
    InputError
        Lists every error, if bad scans stop the run. Also raised if no scan is left.
    """
    errors = findings[findings["severity"] == "error"]
    if len(errors) and on_bad_scan == "stop":
        raise InputError(findings_in(findings, "error"))
    survey = survey_scan_table(scans, diagnosis_alone=diagnosis_alone)
    by_rater = excluded_by_rater(survey.names, decisions)
    reasons = errors.groupby("scan", sort=False)[["expected", "found"]].first()
    by_check = pd.DataFrame(
        [
            (scan, "check", f"expected {row.expected}; found {row.found}")
            for scan, row in reasons.iterrows()
        ],
        columns=list(EXCLUDED_COLUMNS),
        dtype=object,
    )
    excluded = pd.concat([by_check, by_rater], ignore_index=True)
    cohort = survey.cohort[~survey.cohort["scan"].isin(excluded["scan"])]
    if cohort.empty:
        refuse_all_excluded(scans)
    return cohort.reset_index(drop=True), excluded


def refuse_all_excluded(scans: Path) -> NoReturn:
    """Stop because no scan is left.

    Raises
    ------
    InputError
        Names the scan table.
    """
    remedy = "fix the scans that the check names, or change the decisions"
    raise bad_input(scans, "at least one scan to go on with", "all are excluded", remedy)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the scans that go on and the list of excluded scans, or stop with all errors."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.check.accept", description=__doc__)
    parser.add_argument("--scans", type=Path, required=True, help="the scan table")
    parser.add_argument("--findings", type=Path, required=True, help="TSV of the check")
    parser.add_argument("--decisions", type=Path, help="a rater's decisions")
    parser.add_argument(
        "--on-bad-scan",
        choices=get_args(OnBadScan),
        default="stop",
        help="what happens to a scan with an error",
    )
    parser.add_argument(
        "--diagnosis-alone",
        action="store_true",
        help="a scan with a diagnosis needs no lesion mask, as no training uses it",
    )
    parser.add_argument("--out-cohort", type=Path, required=True, help="the scans that go on (TSV)")
    parser.add_argument(
        "--out-excluded",
        type=Path,
        required=True,
        help="the excluded scans, with who excluded them and why (TSV)",
    )
    given = parser.parse_args(arguments)
    findings = read_tsv(given.findings, dict.fromkeys(COLUMNS, str))
    cohort, excluded = accept(
        given.scans, findings, given.decisions, given.on_bad_scan, given.diagnosis_alone
    )
    cohort = cohort.mask(cohort == "")  # written as n/a
    counts = cohort["diagnosis"].value_counts()
    classes = ", ".join(f"{count} {name}" for name, count in sorted(counts.items()))
    subjects = counted(cohort["subject"].nunique(), "subject")
    print(f"{counted(len(cohort), 'scan')} of {subjects}: {classes or 'none'}")
    if unnamed := int((cohort["diagnosis"].isna() & cohort["lesion_mask"].notna()).sum()):
        print(f"{counted(unnamed, 'scan')} with a lesion mask and {NO_DIAGNOSIS}")
    if unknown := len(cohort) - counts.sum() - unnamed:
        print(f"{counted(unknown, 'scan')} without a diagnosis: prediction only")
    for row in excluded.itertuples():
        print(f"excluded by {row.by}: {row.scan}: {row.reason}")
    write_tsv(given.out_excluded, excluded)
    write_tsv(given.out_cohort, cohort)


if __name__ == "__main__":
    run_command(main)
