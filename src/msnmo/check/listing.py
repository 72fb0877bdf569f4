"""All findings of a cohort, of its scan table and of every scan, as a table and a page."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pandas as pd

from msnmo.check.across import compare_scans
from msnmo.check.findings import COLUMNS, SEVERITIES, Reported, ScanReport, by_severity
from msnmo.cohort.decisions import excluded_by_rater
from msnmo.cohort.simulated import Simulated
from msnmo.cohort.table import survey_scan_table
from msnmo.core.names import path_of_scan
from msnmo.core.templates import templates


def list_findings(
    scans: Path, decisions: Path | None, pattern: str, diagnosis_alone: bool = False
) -> tuple[pd.DataFrame, int, str]:
    """Return all findings, errors first, the number of opened scans, and what is simulated.

    Parameters
    ----------
    scans : Path
        The scan table.
    decisions : Path or None
        A rater's decisions. Scans that they exclude are not opened.
    pattern : str
        Path of a scan's report, with ``{scan}`` and ``{folder}``.
    diagnosis_alone : bool
        As in `msnmo.cohort.table.survey_scan_table`.
    """
    survey = survey_scan_table(scans, diagnosis_alone=diagnosis_alone)
    excluded = set(excluded_by_rater(survey.names, decisions)["scan"])
    opened = survey.opened[~survey.opened["told_as"].isin(excluded)]
    reports = [ScanReport.read(path_of_scan(pattern, scan)) for scan in opened["scan"]]
    told_as = dict(zip(opened["scan"], opened["told_as"], strict=True))
    findings = [
        Reported("error", scan, each.finding)
        for each in survey.findings
        for scan in each.scans
        if scan not in excluded
    ]
    findings += [each for report in reports for each in report.findings]
    findings += compare_scans(opened, reports)
    rows = [
        (
            each.severity,
            told_as.get(each.scan, each.scan),
            *(getattr(each.finding, name) for name in COLUMNS[2:]),
        )
        for each in by_severity(findings)
    ]
    table = pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)
    return table, len(opened), Simulated.among(opened).note


def to_page(table: pd.DataFrame, count: int, banner: str = "") -> str:
    """Return the findings as one HTML page that opens from disk; `banner` stands above them."""
    counts = Counter(table["severity"])
    return (
        templates(__package__)
        .get_template("findings.html.jinja")
        .render(
            findings=table.to_dict("records"),
            counts={severity: counts[severity] for severity in SEVERITIES},
            count=count,
            banner=banner,
        )
    )
