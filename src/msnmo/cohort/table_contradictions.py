"""Rows of a scan table that contradict each other, and files of theirs that are not there."""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from pathlib import Path

from msnmo.cohort.table_rows import Problem, ScanRow
from msnmo.core.diagnoses import diagnoses
from msnmo.core.fetched import not_fetched
from msnmo.core.paths import CONTROL, WrongPath, locate

RESERVED = re.compile(r"[{};]")


def pair_problems(scan: ScanRow) -> Iterator[Problem]:
    """Find scans with a diagnosis but no mask: they are neither for training nor prediction."""
    diagnosis, mask = scan.cells["diagnosis"], scan.cells["lesion_mask"]
    if diagnosis and not mask:
        remedy = "give the lesion mask, or remove the diagnosis to only predict the scan"
        expected = "a lesion mask, as the scan has a diagnosis (training needs both)"
        yield Problem(scan.row, "lesion_mask", expected, "no lesion mask", remedy)


def unlabelled_problems(scans: list[ScanRow]) -> Iterator[Problem]:
    """Find masks without a diagnosis in a table that names both classes.

    In a cohort of one class or none, no classes are learned, so a mask alone is enough.
    """
    if len({scan.label for scan in scans} - {""}) < len(diagnoses()):
        return
    for scan in scans:
        if scan.cells["lesion_mask"] and not scan.cells["diagnosis"]:
            remedy = "give the diagnosis, or remove the lesion mask to only predict the scan"
            expected = "a diagnosis, as the scan has a lesion mask (training needs both)"
            yield Problem(scan.row, "diagnosis", expected, "no diagnosis", remedy)


def identity_problems(scans: list[ScanRow]) -> Iterator[Problem]:
    """Find rows with the name of one scan, or of one subject, that contradict each other."""
    by_scan: dict[str, ScanRow] = {}
    by_subject: dict[str, list[ScanRow]] = {}
    for scan in (scan for scan in scans if scan.is_named):
        same_subject = by_subject.setdefault(scan.cells["subject"].lower(), [])
        same_subject.append(scan)
        first = same_subject[0]
        if first.cells["subject"] != scan.cells["subject"]:
            yield _case_problem(scan, first, "subject")
            continue
        same = by_scan.setdefault(scan.name.lower(), scan)
        if same.name != scan.name:
            yield _case_problem(scan, same, "session")
        elif same is not scan:
            expected, found = "each scan once", f"{scan.name}, which is in row {same.row} too"
            remedy = "remove one of the rows, or give each scan of the subject its own session"
            yield Problem(scan.row, "", expected, found, remedy, frozenset({same.row}))
    for same_subject in by_subject.values():
        yield from _diagnosis_problems(same_subject)


def _diagnosis_problems(scans: list[ScanRow]) -> Iterator[Problem]:
    """Find rows whose diagnosis differs from that of the subject's first row."""
    known = [scan for scan in scans if scan.label]
    rows = frozenset(scan.row for scan in scans)
    for scan in known[1:]:
        first = known[0]
        if scan.cells["diagnosis"] != first.cells["diagnosis"]:
            found = f"{scan.cells['diagnosis']} here and {first.cells['diagnosis']} in row "
            remedy = "correct the wrong diagnosis, or the subject's id"
            yield Problem(
                scan.row,
                "diagnosis",
                "one diagnosis per subject",
                f"{found}{first.row}",
                remedy,
                rows,
            )


def _case_problem(scan: ScanRow, first: ScanRow, column: str) -> Problem:
    found = f"'{scan.cells[column]}' here and '{first.cells[column]}' in row {first.row}"
    expected = "ids that differ not only in case (macOS would mix up their files)"
    remedy = "use one spelling, or rename one of the two"
    return Problem(scan.row, column, expected, found, remedy, frozenset({first.row}))


def file_problems(scans: list[ScanRow], folder: Path) -> Iterator[Problem]:
    """Find files that are not there, and files that more than one row or column names."""
    used: dict[Path, tuple[ScanRow, str]] = {}
    for scan in scans:
        for column, written in scan.files():
            if CONTROL.search(written):
                continue  # reported for the cell
            try:
                path = locate(written, folder)
            except WrongPath as wrong:
                yield Problem(scan.row, column, wrong.expected, wrong.found, wrong.remedy)
                continue
            if problem := wrong_file(path):
                yield Problem(scan.row, column, *problem)
                continue
            real = path.resolve()
            if real not in used:
                used[real] = scan, column
                continue
            first, other = used[real]
            if _may_share(scan, column, first, other):
                continue
            found = f"'{written}', which is in row {first.row}, column {other} too"
            remedy = "give each scan and each rater's mask its own file"
            yield Problem(scan.row, column, "each file once", found, remedy, frozenset({first.row}))


def _may_share(scan: ScanRow, column: str, first: ScanRow, other: str) -> bool:
    """Whether two visits of one subject, moved to one space, share a brain mask."""
    one_subject = scan is not first and scan.cells["subject"] == first.cells["subject"]
    return one_subject and column == other == "brain_mask"


def wrong_file(path: Path) -> tuple[str, str, str] | None:
    """Return expected, found and remedy, or None if the file exists."""
    if RESERVED.search(str(path)):
        remedy = "rename the folder or file"
        return "a path without { } (used by Snakemake) and ; (between masks)", f"'{path}'", remedy
    try:
        is_file = stat.S_ISREG(path.stat().st_mode)
    except OSError as error:
        if reason := not_fetched(path):
            return "a file", f"'{path}': {reason}", "fetch it, or remove the row"
        remedy = "correct the path; relative paths are relative to the table"
        return "a file", f"'{path}': {error.strerror}", remedy
    return None if is_file else ("a file", f"'{path}' is a folder or device", "name the file in it")
