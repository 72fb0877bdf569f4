"""The scan table: lists every scan of a cohort. It is checked row by row before a run."""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from msnmo.cohort.delimited import read_rows
from msnmo.cohort.table_contradictions import (
    file_problems,
    identity_problems,
    pair_problems,
    unlabelled_problems,
    wrong_file,
)
from msnmo.cohort.table_rows import COLUMNS, NIFTI, Problem, ScanRow, header_problems, read_row
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding, InputError
from msnmo.core.paths import CONTROL, WrongPath, locate

COHORT_COLUMNS = (
    "scan",
    "subject",
    "session",
    "diagnosis",
    "flair",
    "lesion_mask",
    "brain_mask",
    "stripped",
    "bias_corrected",
    "site",
    "simulated",
)
GONE = "correct the path of the scan table in the config (scans) or in the command"


@dataclass(frozen=True)
class RowFinding:
    """A problem of rows of the scan table.

    Parameters
    ----------
    scans : tuple of str
        The scans that cannot be used because of it; ``row 7`` if a row names no scan.
    finding : Finding
    """

    scans: tuple[str, ...]
    finding: Finding


@dataclass(frozen=True)
class Survey:
    """A scan table as it is: the usable rows, and the problems of the others.

    Parameters
    ----------
    cohort : DataFrame
        As returned by `read_scan_table`, without the rows that have a finding.
    findings : list of RowFinding
        In the table's order.
    named : mapping of str to str
        For each scan that a row names, usable or not, its label; empty if it has none, or one that
        is not a class's label.
    unusable : DataFrame
        Rows that have a finding but whose scan file exists, with those of their files that exist.
        They are opened too, so that all their problems are reported at once. Columns as in
        `cohort`, and told_as: the name of the scan in findings. The scan may be in several rows, or
        have no name (``row 7``), so column `scan` holds a unique name.
    """

    cohort: pd.DataFrame
    findings: list[RowFinding]
    named: Mapping[str, str] = field(default_factory=dict)
    unusable: pd.DataFrame = field(
        default_factory=lambda: pd.DataFrame(columns=[*COHORT_COLUMNS, "told_as"], dtype=object)
    )

    @property
    def opened(self) -> pd.DataFrame:
        """The rows of all scans that the check opens, with told_as and usable (bool)."""
        rows = [
            self.cohort.assign(told_as=self.cohort["scan"], usable=True),
            *([self.unusable.assign(usable=False)] if len(self.unusable) else []),
        ]
        return pd.concat(rows, ignore_index=True)

    @property
    def names(self) -> list[str]:
        """Every scan that the table names, usable or not."""
        wrong = (name for each in self.findings for name in each.scans)
        return list(dict.fromkeys([*self.cohort["scan"], *wrong]))

    def classes(self, excluded: Set[str] = frozenset()) -> list[str]:
        """Return the labels of all scans, usable or not, except excluded scans."""
        given = {label for scan, label in self.named.items() if scan not in excluded}
        return [label for label in diagnoses() if label in given]


def read_scan_table(path: Path | str, labels: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Read and check a scan table (its columns: scans.schema.yaml).

    Parameters
    ----------
    path : Path or str
        Tab-separated text. Relative paths in it are relative to its folder. ``~`` and variables are
        replaced, unless a file exists exactly as written.
    labels : mapping, optional
        The class label for each other word (lower case) that the table may use.

    Returns
    -------
    DataFrame
        One row per scan in the table's order; columns scan (``sub-X`` or ``sub-X_ses-Y``), subject,
        session, diagnosis (the label of a class), flair (absolute path), lesion_mask (absolute
        paths joined with ``;``), brain_mask (absolute path), stripped and bias_corrected (yes or
        no), site, simulated (yes or no), then
        the user's own columns. All are texts, empty if unknown.

    Raises
    ------
    InputError
        Lists every problem of the table: file, row as in a spreadsheet, column.
    """
    survey = survey_scan_table(path, labels)
    if survey.findings:
        raise InputError(each.finding for each in survey.findings)
    return survey.cohort


def survey_scan_table(
    path: Path | str, labels: Mapping[str, str] | None = None, diagnosis_alone: bool = False
) -> Survey:
    """Read a scan table and separate its wrong rows.

    If rows contradict each other (a scan, file or id twice, two diagnoses of a subject), nobody
    knows which is right, so all of them are separated.

    Parameters
    ----------
    path, labels
        As in `read_scan_table`.
    diagnosis_alone : bool
        Whether a scan with a diagnosis may lack a lesion mask. Such a scan cannot be used for
        training, but can test a bundle.

    Raises
    ------
    InputError
        If the file or its header cannot be read, or it has no rows.
    """
    path = Path(path)
    header, *rows = read_rows(path, GONE)
    wrong_header = list(header_problems(header))
    if not rows:
        wrong_header.append(
            Problem(header.number, "", "one row per scan", "only a header", "add the scans")
        )
    problems: list[Problem] = []
    scans: list[ScanRow] = []
    for row in rows:
        scan, found = read_row(header, row, labels or {})
        if scan and not (diagnosis_alone and scan.cells["diagnosis"]):
            found += pair_problems(scan)
        problems += found
        scans += [scan] if scan else []
    folder = path.absolute().parent
    problems += unlabelled_problems(scans)
    problems += [*identity_problems(scans), *file_problems(scans, folder)]
    order = {name: place for place, name in enumerate(COLUMNS)}
    problems.sort(key=lambda problem: (problem.row, order.get(problem.column, -1)))
    if wrong_header:
        raise InputError(problem.finding(path) for problem in [*wrong_header, *problems])
    names = {scan.row: scan.name for scan in scans if scan.is_named}
    wrong = frozenset().union(*({problem.row, *problem.others} for problem in problems))
    usable = [scan for scan in scans if scan.row not in wrong]
    return Survey(
        _as_cohort(usable, folder),
        [_row_finding(problem, names, path) for problem in problems],
        {scan.name: scan.label for scan in scans if scan.is_named},
        _unusable([scan for scan in scans if scan.row in wrong], usable, names, folder),
    )


def _unusable(
    scans: list[ScanRow], usable: list[ScanRow], names: Mapping[int, str], folder: Path
) -> pd.DataFrame:
    """Return the rows of `Survey.unusable`."""
    taken = {scan.name.lower() for scan in usable}
    opened, told_as = [], []
    for scan in scans:
        found = _with_files(scan, folder)
        if not found.cells["flair"]:
            continue
        own = names.get(scan.row, "")
        while not own or own.lower() in taken:
            own = f"{own or 'sub-'}row{scan.row}"
        taken.add(own.lower())
        opened.append((own, found))
        told_as.append(names.get(scan.row, f"row {scan.row}"))
    table = _as_cohort([scan for _, scan in opened], folder)
    return table.assign(scan=[own for own, _ in opened], told_as=told_as)


def _with_files(scan: ScanRow, folder: Path) -> ScanRow:
    """Return a scan of a wrong row with its existing files, and defaults for the rest."""
    there: dict[str, list[str]] = {"flair": [], "lesion_mask": [], "brain_mask": []}
    for column, written in scan.files():
        try:
            path = locate(written, folder)
        except WrongPath:
            continue
        named = NIFTI.search(written) and not CONTROL.search(written)
        if named and not wrong_file(path):
            there[column].append(written)
    files = {column: ";".join(paths) for column, paths in there.items()}
    choices = {
        column: scan.cells[column] if scan.cells[column] in entry["enum"] else entry["default"]
        for column, entry in COLUMNS.items()
        if "default" in entry and "enum" in entry
    }
    return ScanRow(scan.row, scan.cells | files | choices)


def _row_finding(problem: Problem, names: dict[int, str], path: Path) -> RowFinding:
    rows = sorted({problem.row, *problem.others})
    scans = tuple(dict.fromkeys(names.get(row, f"row {row}") for row in rows))
    return RowFinding(scans, problem.finding(path))


def _as_cohort(scans: list[ScanRow], folder: Path) -> pd.DataFrame:
    records = []
    for scan in scans:
        paths: dict[str, list[str]] = {
            column: [] for column in ("flair", "lesion_mask", "brain_mask")
        }
        for column, written in scan.files():
            paths[column].append(str(locate(written, folder)))
        joined = {column: ";".join(found) for column, found in paths.items()}
        records.append(scan.extra | scan.cells | joined | {"scan": scan.name})
    extra = dict.fromkeys(name for scan in scans for name in scan.extra)
    return pd.DataFrame(records, columns=[*COHORT_COLUMNS, *extra], dtype=object)
