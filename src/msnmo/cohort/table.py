"""The scan table: lists every scan of a cohort. It is checked row by row before a run."""

from __future__ import annotations

import difflib
import re
import stat
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from jsonschema import Draft202012Validator

from msnmo.cohort.delimited import DelimitedRow, read_rows
from msnmo.core.cells import show_hidden
from msnmo.core.counts import counted
from msnmo.core.diagnoses import diagnoses, in_words
from msnmo.core.errors import Finding, InputError
from msnmo.core.fetched import not_fetched
from msnmo.core.names import name_of_scan
from msnmo.core.paths import CONTROL, WrongPath, locate

# A link to workflow/schemas, so that the installed package and the workflow share one copy
SCHEMA = yaml.safe_load(Path(__file__).with_name("scans.schema.yaml").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)
COLUMNS: dict[str, dict[str, Any]] = SCHEMA["properties"]
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
NIFTI = re.compile(COLUMNS["flair"]["pattern"])
OURS = ("scan", "told_as")
MOST_COLUMNS = 1000
"""Columns that the workflow makes. A scan table may not have them."""
ID_PREFIXES = {"subject": "sub-", "session": "ses-"}
IDS = {name: Draft202012Validator(COLUMNS[name]) for name in ID_PREFIXES}
MISSING = "n/a"
RESERVED = re.compile(r"[{};]")
GONE = "correct the path of the scan table in the config (scans) or in the command"
OTHER_LABELS = "; to use other labels, name them in the config (diagnoses)"


@dataclass(frozen=True)
class _Problem:
    """One problem in one cell. `others` are rows that may be wrong instead."""

    row: int
    column: str
    expected: str
    found: str
    remedy: str
    others: frozenset[int] = frozenset()

    def finding(self, path: Path) -> Finding:
        where = f"{path}, row {self.row}" + (f", column {self.column}" if self.column else "")
        return Finding(where, self.expected, self.found, self.remedy)


@dataclass(frozen=True)
class _Scan:
    """One row of the table: its number, its cells by column, and those of the user's own columns.

    Missing cells are empty.
    """

    row: int
    cells: dict[str, str]
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return name_of_scan(self.cells["subject"], self.cells["session"])

    @property
    def label(self) -> str:
        """The label of its class; empty if it has none, or one that is not a class's label."""
        given = self.cells["diagnosis"]
        return given if given in diagnoses() else ""

    @property
    def is_named(self) -> bool:
        """Whether subject and session are ids, so that rows can be compared by them."""
        return all(rule.is_valid(self.cells[name]) for name, rule in IDS.items())

    def files(self) -> Iterator[tuple[str, str]]:
        """Yield the column and path, as written, of every file of the scan."""
        if self.cells["flair"]:
            yield "flair", self.cells["flair"]
        for mask in self.cells["lesion_mask"].split(";"):
            if mask.strip():
                yield "lesion_mask", mask.strip()
        if self.cells["brain_mask"]:
            yield "brain_mask", self.cells["brain_mask"]


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
    wrong_header = list(_header_problems(header))
    if not rows:
        wrong_header.append(
            _Problem(header.number, "", "one row per scan", "only a header", "add the scans")
        )
    problems: list[_Problem] = []
    scans: list[_Scan] = []
    for row in rows:
        scan, found = _read_row(header, row, labels or {})
        if scan and not (diagnosis_alone and scan.cells["diagnosis"]):
            found += _pair_problems(scan)
        problems += found
        scans += [scan] if scan else []
    folder = path.absolute().parent
    problems += _unlabelled_problems(scans)
    problems += [*_identity_problems(scans), *_file_problems(scans, folder)]
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
    scans: list[_Scan], usable: list[_Scan], names: Mapping[int, str], folder: Path
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


def _with_files(scan: _Scan, folder: Path) -> _Scan:
    """Return a scan of a wrong row with its existing files, and defaults for the rest."""
    there: dict[str, list[str]] = {"flair": [], "lesion_mask": [], "brain_mask": []}
    for column, written in scan.files():
        try:
            path = locate(written, folder)
        except WrongPath:
            continue
        named = NIFTI.search(written) and not CONTROL.search(written)
        if named and not _wrong_file(path):
            there[column].append(written)
    files = {column: ";".join(paths) for column, paths in there.items()}
    choices = {
        column: scan.cells[column] if scan.cells[column] in entry["enum"] else entry["default"]
        for column, entry in COLUMNS.items()
        if "default" in entry and "enum" in entry
    }
    return _Scan(scan.row, scan.cells | files | choices)


def _row_finding(problem: _Problem, names: dict[int, str], path: Path) -> RowFinding:
    rows = sorted({problem.row, *problem.others})
    scans = tuple(dict.fromkeys(names.get(row, f"row {row}") for row in rows))
    return RowFinding(scans, problem.finding(path))


def _header_problems(header: DelimitedRow) -> Iterator[_Problem]:
    names = _trimmed(header.cells)
    if len(names) > MOST_COLUMNS:
        found = f"{len(names)} columns"
        remedy = "check that it is a scan table; remove columns"
        yield _Problem(header.number, "", f"{MOST_COLUMNS} columns at most", found, remedy)
        return
    yield from _unknown_columns(header.number, names)
    for name in sorted({name for name in names if names.count(name) > 1 and name}):
        found = f"{names.count(name)} columns {name}"
        yield _Problem(header.number, name, "each column once", found, "remove all but one of them")
    for name in SCHEMA["required"]:
        if name not in names:
            found = f"no column {name}"
            remedy = f"add the column {name}: {COLUMNS[name]['description']}"
            yield _Problem(header.number, "", f"a column {name}", found, remedy)


def _unknown_columns(row: int, names: Sequence[str]) -> Iterator[_Problem]:
    """Yield problems of unknown columns. Most are the user's own and are kept."""
    expected = f"columns {', '.join(COLUMNS)}"
    for name in sorted(set(names) - set(COLUMNS)):
        if not name:
            remedy = "name the column, or remove it"
        elif close := difflib.get_close_matches(name.lower(), COLUMNS, n=1):
            remedy = f"rename it to {close[0]}"
        elif name in OURS:
            remedy = "give the column another name, as the workflow uses this name"
        else:
            continue
        yield _Problem(row, name, expected, f"unknown column {name!r}", remedy)


def _trimmed(cells: list[str]) -> list[str]:
    """Return the cells without empty cells at the end, which spreadsheets may add."""
    filled = [index for index, cell in enumerate(cells, start=1) if cell]
    return cells[: filled[-1]] if filled else []


def _read_row(
    header: DelimitedRow, row: DelimitedRow, labels: Mapping[str, str]
) -> tuple[_Scan | None, list[_Problem]]:
    """Return the row's cells by column (None if they do not fit the header) and its problems."""
    names, cells = _trimmed(header.cells), row.cells
    if len(cells) < len(names) or any(cells[len(names) :]):
        expected = f"{counted(len(names), 'cell')}, as in the header"
        remedy = "look for a missing or extra tab; empty cells need a tab too"
        count = len(cells) if len(cells) < len(names) else len(_trimmed(cells))
        return None, [_Problem(row.number, "", expected, counted(count, "cell"), remedy)]
    defaults = {name: entry.get("default", "") for name, entry in COLUMNS.items()}
    given = {
        name: "" if cell == MISSING else cell
        for name, cell in zip(names, cells, strict=False)
        if name in COLUMNS
    }
    if "diagnosis" in given:
        given["diagnosis"] = labels.get(given["diagnosis"].lower(), given["diagnosis"])
    extra = {
        name: "" if cell == MISSING else cell
        for name, cell in zip(names, cells, strict=False)
        if name and name not in COLUMNS
    }
    found = {name: cell for name, cell in given.items() if cell}
    return _Scan(row.number, defaults | found, extra), [
        *_cell_problems(row.number, given),
        *_control_problems(row.number, extra),
    ]


def _cell_problems(row: int, cells: dict[str, str]) -> Iterator[_Problem]:
    told = set()
    for error in VALIDATOR.iter_errors(cells):
        if error.validator == "required":
            continue  # reported once, for the header
        column = str(error.absolute_path[0])
        if column not in told:
            told.add(column)
            cell = cells[column]
            expected = COLUMNS[column]["description"]
            yield _Problem(row, column, expected, _quoted(cell), _remedy(column, cell))
    diagnosis = cells.get("diagnosis", "")
    if diagnosis not in ("", *diagnoses()) and "diagnosis" not in told:
        told.add("diagnosis")
        expected = f"{in_words()}; empty for a scan that is only predicted"
        # similar names of diseases must not be mixed up
        remedy = _remedy_of_choice(diagnosis, list(diagnoses()), alike=0.7)
        yield _Problem(row, "diagnosis", expected, _quoted(diagnosis), f"{remedy}{OTHER_LABELS}")
    yield from _control_problems(row, {name: cells[name] for name in cells if name not in told})


def _control_problems(row: int, cells: Mapping[str, str]) -> Iterator[_Problem]:
    for column, cell in cells.items():
        if CONTROL.search(cell):
            remedy = "remove the tab, line end or other control character"
            yield _Problem(row, column, "text in one line", repr(cell), remedy)


def _quoted(cell: str) -> str:
    if not cell:
        return "an empty cell"
    cell = show_hidden(cell)
    return f"'{cell}'" if len(cell) <= 80 else f"'{cell[:77]}...' ({len(cell)} characters)"


def _remedy(column: str, cell: str) -> str:
    choices = [choice for choice in COLUMNS[column].get("enum", []) if choice]
    if choices:
        return _remedy_of_choice(cell, choices)
    prefix = ID_PREFIXES.get(column)
    if prefix and cell.lower().startswith(prefix) and cell[len(prefix) :].isalnum():
        return f"write {cell[len(prefix) :]}, without the prefix {prefix}"
    if prefix:
        return "give an id of letters and digits only" if cell else f"fill in the {column}'s id"
    if not cell:
        return "fill in the path"
    if column == "lesion_mask" and not all(part.strip() for part in cell.split(";")):
        return "remove the semicolon that has no path next to it"
    return "convert the file to NIfTI (e.g. dcm2niix)"


def _remedy_of_choice(cell: str, choices: list[str], alike: float = 0.6) -> str:
    lower = [choice.lower() for choice in choices]
    close = difflib.get_close_matches(cell.lower(), lower, n=1, cutoff=alike)
    if close:
        right = next(choice for choice in choices if choice.lower() == close[0])
        return f"write {right}"
    return f"write {' or '.join(choices)}, or leave the cell empty"


def _pair_problems(scan: _Scan) -> Iterator[_Problem]:
    """Find scans with a diagnosis but no mask: they are neither for training nor prediction."""
    diagnosis, mask = scan.cells["diagnosis"], scan.cells["lesion_mask"]
    if diagnosis and not mask:
        remedy = "give the lesion mask, or remove the diagnosis to only predict the scan"
        expected = "a lesion mask, as the scan has a diagnosis (training needs both)"
        yield _Problem(scan.row, "lesion_mask", expected, "no lesion mask", remedy)


def _unlabelled_problems(scans: list[_Scan]) -> Iterator[_Problem]:
    """Find masks without a diagnosis in a table that names both classes.

    In a cohort of one class or none, no classes are learned, so a mask alone is enough.
    """
    if len({scan.label for scan in scans} - {""}) < len(diagnoses()):
        return
    for scan in scans:
        if scan.cells["lesion_mask"] and not scan.cells["diagnosis"]:
            remedy = "give the diagnosis, or remove the lesion mask to only predict the scan"
            expected = "a diagnosis, as the scan has a lesion mask (training needs both)"
            yield _Problem(scan.row, "diagnosis", expected, "no diagnosis", remedy)


def _identity_problems(scans: list[_Scan]) -> Iterator[_Problem]:
    """Find rows with the name of one scan, or of one subject, that contradict each other."""
    by_scan: dict[str, _Scan] = {}
    by_subject: dict[str, list[_Scan]] = {}
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
            yield _Problem(scan.row, "", expected, found, remedy, frozenset({same.row}))
    for same_subject in by_subject.values():
        yield from _diagnosis_problems(same_subject)


def _diagnosis_problems(scans: list[_Scan]) -> Iterator[_Problem]:
    """Find rows whose diagnosis differs from that of the subject's first row."""
    known = [scan for scan in scans if scan.label]
    rows = frozenset(scan.row for scan in scans)
    for scan in known[1:]:
        first = known[0]
        if scan.cells["diagnosis"] != first.cells["diagnosis"]:
            found = f"{scan.cells['diagnosis']} here and {first.cells['diagnosis']} in row "
            remedy = "correct the wrong diagnosis, or the subject's id"
            yield _Problem(
                scan.row,
                "diagnosis",
                "one diagnosis per subject",
                f"{found}{first.row}",
                remedy,
                rows,
            )


def _case_problem(scan: _Scan, first: _Scan, column: str) -> _Problem:
    found = f"'{scan.cells[column]}' here and '{first.cells[column]}' in row {first.row}"
    expected = "ids that differ not only in case (macOS would mix up their files)"
    remedy = "use one spelling, or rename one of the two"
    return _Problem(scan.row, column, expected, found, remedy, frozenset({first.row}))


def _file_problems(scans: list[_Scan], folder: Path) -> Iterator[_Problem]:
    used: dict[Path, tuple[_Scan, str]] = {}
    for scan in scans:
        for column, written in scan.files():
            if CONTROL.search(written):
                continue  # reported for the cell
            try:
                path = locate(written, folder)
            except WrongPath as wrong:
                yield _Problem(scan.row, column, wrong.expected, wrong.found, wrong.remedy)
                continue
            if problem := _wrong_file(path):
                yield _Problem(scan.row, column, *problem)
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
            yield _Problem(
                scan.row, column, "each file once", found, remedy, frozenset({first.row})
            )


def _may_share(scan: _Scan, column: str, first: _Scan, other: str) -> bool:
    """Whether two visits of one subject, moved to one space, share a brain mask."""
    one_subject = scan is not first and scan.cells["subject"] == first.cells["subject"]
    return one_subject and column == other == "brain_mask"


def _wrong_file(path: Path) -> tuple[str, str, str] | None:
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


def _as_cohort(scans: list[_Scan], folder: Path) -> pd.DataFrame:
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
