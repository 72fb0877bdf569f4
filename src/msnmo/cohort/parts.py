"""The input of one job of a fold: the scans of one side of the split, with the files needed.

A training must be repeated only when its own scans change. So it does not read the cohort or the
folds, which also change with a site's name, but the list made here.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from msnmo.cohort.balance import COHORT_COLUMNS as SPLIT_BY
from msnmo.cohort.balance import Split
from msnmo.cohort.folds import FOLD_COLUMNS, refuse_leak, refuse_one_class, split_folds
from msnmo.cohort.manifest import (
    COHORT_COLUMNS,
    add_files,
    parse_patterns,
    relative_to,
)
from msnmo.core.counts import counted
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv

Side = Literal["train", "test"]


def one_side(folds: pd.DataFrame, fold: int, side: Side, allow_leak: bool) -> pd.DataFrame:
    """Return the scans for training or testing a fold.

    Parameters
    ----------
    folds : DataFrame
        As returned by `msnmo.cohort.folds.split_folds`.
    fold : int
    side : {"train", "test"}
    allow_leak : bool
        Whether a subject may be on both sides (the random split). Then it is printed.

    Returns
    -------
    DataFrame
        The rows of `folds`, sorted by scan.

    Raises
    ------
    InputError
        If the fold does not exist.
    DataLeakageError
        If a subject is on both sides but may not be.
    """
    if fold not in set(folds["fold"]):
        expected = f"a fold from 0 to {folds['fold'].max()}"
        raise bad_input("config: folds.only", expected, f"{fold}", "correct the list")
    refuse_leak(folds, fold, allow_leak)
    tested = folds["fold"] == fold
    rows = folds[tested] if side == "test" else folds[~tested]
    return rows.sort_values("scan", ignore_index=True)


def list_part(
    cohort: pd.DataFrame, rows: pd.DataFrame, patterns: Mapping[str, str]
) -> pd.DataFrame:
    """Return the scans of one side with their files, and a digest of the files' bytes.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, session, diagnosis, lesion_mask.
    rows : DataFrame
        As returned by `one_side`.
    patterns : mapping
        Names of files and their paths, as for `msnmo.cohort.manifest.add_files`.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, fold (in which the scan is tested), those of `patterns`,
        and content.

    Raises
    ------
    InputError
        Lists every missing file.
    """
    scans = rows.merge(cohort[["scan", "session", "lesion_mask"]], on="scan", how="left")
    return add_files(scans[list(FOLD_COLUMNS)], scans, patterns)


def read_part(path: Path | str, files: Sequence[str]) -> pd.DataFrame:
    """Read the list of one side.

    Parameters
    ----------
    path : Path or str
    files : sequence of str
        The columns of the files that are needed.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, fold and `files`, with paths that can be opened from here.

    Raises
    ------
    InputError
        If a column is missing, no scan is listed, or a scan is listed twice.
    """
    columns = {**FOLD_COLUMNS, **dict.fromkeys(files, str)}
    table = read_tsv(path, columns, files=files)[list(columns)]
    if table.empty:
        raise bad_input(path, "at least one scan", "none", MAKE_AGAIN)
    twice = table.loc[table["scan"].duplicated(), "scan"]
    if len(twice):
        raise bad_input(path, "each scan once", f"{', '.join(twice)} more than once", MAKE_AGAIN)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the list of a side of a fold."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.cohort.parts", description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument("--k", type=int, required=True, help="number of folds")
    parser.add_argument("--split", choices=get_args(Split), default="grouped", help="how to split")
    parser.add_argument("--seed", type=int, required=True, help="seed of the config")
    parser.add_argument("--fold", type=int, required=True, help="the fold that is tested")
    parser.add_argument("--side", choices=get_args(Side), required=True, help="side of the fold")
    parser.add_argument(
        "--pattern",
        action="append",
        required=True,
        metavar="NAME=PATH",
        help="a column and the path of a scan's file, with {scan}, {subject}, {folder}",
    )
    parser.add_argument(
        "--allow-leak", action="store_true", help="accept a subject on both sides of the split"
    )
    parser.add_argument(
        "--classify",
        action="store_true",
        help="refuse training scans of only one class, as a method of the config classifies",
    )
    parser.add_argument("--out", type=Path, required=True, help="the table to write")
    given = parser.parse_args(arguments)
    try:
        patterns = parse_patterns(given.pattern)
    except ValueError as error:
        parser.error(str(error))
    cohort = read_tsv(given.cohort, {**COHORT_COLUMNS, **SPLIT_BY})
    folds = split_folds(cohort, given.k, given.split, given.seed)
    rows = one_side(folds, given.fold, given.side, given.allow_leak)
    if given.classify:
        refuse_one_class(folds, given.fold, cohort)
    part = list_part(cohort, rows, patterns)
    print(f"fold {given.fold}, {given.side}: {counted(len(part), 'scan')}")
    write_tsv(given.out, relative_to(part, list(patterns), given.out.parent))


if __name__ == "__main__":
    run_command(main)
