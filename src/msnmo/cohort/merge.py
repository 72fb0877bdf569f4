"""Merge several scan tables: ids stay distinct, labels are mapped, and no scan is lost."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from msnmo.cohort.importing import Import, ImportedScan, clean_id, left_out_path
from msnmo.cohort.table import COHORT_COLUMNS, read_scan_table
from msnmo.core.diagnoses import diagnoses, in_words
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.paths import WrongPath, locate

NAME = "merge"
HELP = "merges several scan tables, such as the paper's challenge and hospital scans"
EXAMPLE = (
    "msnmo cohort merge isbi=isbi/scans.tsv hospital=hospital/scans.tsv "
    "--labels MS=RRMS,SPMS NMOSD=NMO --out cohort/scans.tsv"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the importer's arguments."""
    parser.add_argument(
        "tables",
        nargs="+",
        metavar="[NAME=]TABLE",
        help="scan tables; NAME is put before each subject's id, so that 01 of two sites stays "
        "two people, and is the site if the table gives none; without NAME, the name of the "
        "file or folder",
    )
    parser.add_argument(
        "--labels",
        nargs="+",
        default=[],
        metavar="MS|NMOSD=LABEL[,LABEL]",
        help="words of the tables for the two classes besides their labels (--diagnoses)",
    )


def collect(arguments: argparse.Namespace) -> Import:
    """Return the scans of all tables, in their order.

    Raises
    ------
    InputError
        Lists every table whose name is missing or repeated, every table that would be overwritten,
        and all errors of the tables.
    """
    labels = parse_labels(arguments.labels)
    named = [_named(text) for text in arguments.tables]
    findings = [*_wrong_names(named), *_written_over(named, arguments.out)]
    scans: list[ImportedScan] = []
    for name, path in named:
        try:
            scans += _scans(name, path, labels)
        except InputError as error:
            findings += error.findings
    if findings:
        raise InputError(findings)
    return Import(scans)


def parse_labels(arguments: list[str]) -> dict[str, str]:
    """Return the diagnosis of each label (lower case) from ``MS=RRMS,SPMS`` arguments.

    Raises
    ------
    InputError
        Lists every argument that names neither class, or gives a label to both.
    """
    labels = {diagnosis.lower(): diagnosis for diagnosis in diagnoses()}
    findings = []
    for argument in arguments:
        diagnosis, _, given = argument.partition("=")
        words = [word.strip().lower() for word in given.split(",") if word.strip()]
        if diagnosis not in diagnoses() or not words:
            expected = f"{in_words()}=LABEL[,LABEL]"
            remedy = "write MS=RRMS,SPMS; use --diagnoses for classes with other labels"
            findings.append(Finding("command line", expected, argument, remedy))
            continue
        for word in words:
            if labels.setdefault(word, diagnosis) != diagnosis:
                found = f"{word} for {labels[word]} and for {diagnosis}"
                remedy = "name it once"
                findings.append(Finding("command line", "one diagnosis per label", found, remedy))
    if findings:
        raise InputError(findings)
    return labels


def _named(text: str) -> tuple[str, Path]:
    """Return a table's name and path. A path that itself holds ``=`` is taken as a whole."""
    name, _, path = text.partition("=")
    if path and not Path(text).exists():
        return name, _located(path)
    table = _located(text)
    stem = table.stem if table.stem != "scans" else table.absolute().parent.name
    try:
        return clean_id(stem), table
    except ValueError:
        return "", table


def _located(path: str) -> Path:
    try:
        return locate(path)
    except WrongPath as wrong:
        raise bad_input("command line", wrong.expected, wrong.found, wrong.remedy) from wrong


def _wrong_names(named: list[tuple[str, Path]]) -> Iterator[Finding]:
    names = [name.lower() for name, _ in named]
    for name, path in named:
        if not re.fullmatch("[A-Za-z0-9]+", name):
            expected = "a name of letters and digits for the table"
            yield Finding(str(path), expected, repr(name), "write NAME=TABLE")
        elif names.count(name.lower()) > 1:
            found = f"{name}, which another table has too"
            yield Finding(str(path), "a different name for each table", found, "write NAME=TABLE")


def _written_over(named: list[tuple[str, Path]], out: Path) -> Iterator[Finding]:
    """Find tables that the merged table, or its list of left-out files, would replace."""
    for written in (out, left_out_path(out)):
        for _, path in named:
            if written.exists() and path.exists() and written.samefile(path):
                expected = "a separate file for the merged table"
                remedy = "give another name to --out"
                yield Finding(str(written), expected, f"{path}, which is an input", remedy)


def _scans(name: str, path: Path, labels: Mapping[str, str]) -> Iterator[ImportedScan]:
    cohort = read_scan_table(path, labels)
    own = [name for name in cohort.columns if name not in COHORT_COLUMNS]
    for row, cells in zip(cohort.itertuples(), cohort.to_dict("records"), strict=True):
        yield ImportedScan(
            name + row.subject,
            row.diagnosis,
            Path(row.flair),
            session=row.session,
            lesion_masks=tuple(Path(mask) for mask in row.lesion_mask.split(";") if mask),
            brain_mask=Path(row.brain_mask) if row.brain_mask else None,
            stripped=row.stripped == "yes",
            bias_corrected=row.bias_corrected == "yes",
            site=row.site or name,
            simulated=row.simulated == "yes",
            extra={name: cells[name] for name in own},
        )
