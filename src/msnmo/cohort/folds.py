"""Cross-validation folds. By default no subject is in both training and test scans."""

from __future__ import annotations

import argparse
import hashlib
import warnings
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from msnmo.cohort.balance import (
    COHORT_COLUMNS,
    NO_SITE,
    Split,
    balanced,
    learned,
    main_site,
    named_sites,
    named_subjects,
    strata,
    told_of_balance,
)
from msnmo.core.counts import counted
from msnmo.core.diagnoses import NO_DIAGNOSIS, diagnoses, in_words
from msnmo.core.errors import DataLeakageError, Finding, InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.paths import CONTROL
from msnmo.core.seeds import derive_seed

FOLD_COLUMNS = {"scan": str, "subject": str, "diagnosis": str, "fold": int}
SEAL = "digest"
"""The column that shows whether the file was edited. It is the same in each row."""
MOST_NAMED = 10
"""A message names at most this many scans."""


def split_folds(cohort: pd.DataFrame, k: int, split: Split, seed: int) -> pd.DataFrame:
    """Return the fold in which each scan to learn from is tested.

    ``grouped`` keeps all scans of a subject in one fold, and balances the scans of each class and
    site over the folds (scikit-learn's `StratifiedGroupKFold` of `strata`). Each subject belongs to
    one stratum. The algorithm takes the subjects of each stratum, those with most scans first, and
    puts each into the fold with fewest scans of the stratum. So every fold has each class if the
    class has at least `k` subjects. A stratified split of subjects would balance subjects but leave
    scans uneven. In a cohort of one class, or of none, only sites are balanced.

    ``site`` leaves one site out: each site's scans are one fold (scikit-learn's
    `LeaveOneGroupOut`). A subject with scans from several sites belongs to the site with most of
    them, as in `strata`.

    ``random`` splits scans regardless of subject and class, as the paper does (section 4.1).

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, diagnosis (the label of a class, or missing) and, if there are any,
        site and lesion_mask. The order of rows does not matter. Scans without a diagnosis and a
        lesion mask are left out.
    k : int
        Number of folds, at least 2; ``site`` does not use it.
    split : {"grouped", "site", "random"}
    seed : int
        The same seed and scans give the same folds. ``site`` does not use it.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis (`NO_DIAGNOSIS` for a scan with only a mask), fold (from
        0), sorted by scan. With ``site``, folds are numbered by the first scan of their site, so
        that a site's name does not change its fold.

    Raises
    ------
    InputError
        If a class, or the whole cohort if it has not two classes, has fewer than `k` subjects
        (``grouped``) or scans (``random``). For ``site``: if a scan has no site, or there are fewer
        than two sites. Also if scans with a diagnosis have no lesion mask.
    """
    _refuse_without_mask(cohort)
    folds = learned(cohort).sort_values("scan", ignore_index=True)
    folds["fold"] = -1
    for fold, (_, test) in enumerate(_sides(folds, k, split, seed)):
        folds.loc[test, "fold"] = fold
    return folds[list(FOLD_COLUMNS)]


def _sides(
    scans: pd.DataFrame, k: int, split: Split, seed: int
) -> Iterable[tuple[np.ndarray, np.ndarray]]:
    """Return for each fold the rows for training and the rows for testing."""
    # takes a second, which code that only reads folds need not wait
    from sklearn.model_selection import (  # noqa: PLC0415
        KFold,
        LeaveOneGroupOut,
        StratifiedGroupKFold,
    )

    if split == "site":
        _check_sites(scans)
        number, _ = pd.factorize(main_site(scans))
        return LeaveOneGroupOut().split(scans["scan"], groups=number)
    _check_enough(scans, k, "subject" if split == "grouped" else "scan")
    options = {"n_splits": k, "shuffle": True, "random_state": derive_seed(seed, "folds", split, k)}
    if split == "random":
        return KFold(**options).split(scans["scan"])
    splitter = StratifiedGroupKFold(**options)
    with warnings.catch_warnings():
        # it warns about strata with fewer subjects than folds; `told_of_balance` names them
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(scans["scan"], strata(scans, k), scans["subject"]))


def count_folds(cohort: pd.DataFrame, k: int, split: Split) -> int:
    """Return how many folds `split_folds` would make: `k`, or one per site.

    Parameters are those of `split_folds`.
    """
    return main_site(learned(cohort)).nunique() if split == "site" else k


def _check_enough(folds: pd.DataFrame, k: int, unit: str) -> None:
    if k < 2:
        raise bad_input("config: folds.k", "at least 2 folds", f"{k}", "set folds.k to 2 or more")
    counts = folds.groupby(balanced(folds))[unit].nunique().to_dict() or {NO_DIAGNOSIS: 0}
    counts = {name: counts[name] for name in sorted(counts, key=_place)}
    most = min(counts.values())
    lower = f" or set folds.k to at most {most}" if most >= 2 else ""
    findings = [
        Finding(
            f"cohort, class {name}" if name in diagnoses() else "cohort",
            f"at least {k} {unit}s for {k} folds",
            f"{counted(count, unit)} {_with(name)}",
            f"add {unit}s {_with(name, named=True)}{lower}",
        )
        for name, count in counts.items()
        if count < k
    ]
    if findings:
        raise InputError(findings)


def _place(name: str) -> int:
    return diagnoses().index(name) if name in diagnoses() else len(diagnoses())


def _with(name: str, named: bool = False) -> str:
    """Return words for scans of a class, or of a cohort that has not two classes."""
    if name not in diagnoses():
        return "with a lesion mask"
    return f"with diagnosis {name}" if named else "with this diagnosis"


def _check_sites(folds: pd.DataFrame) -> None:
    findings = []
    named = named_sites(folds["site"])
    without = folds.loc[named == NO_SITE, "scan"]
    if len(without):
        # it may be one of the other sites, which would then be in training and test
        expected = "the site of every scan with a lesion mask, as folds.split is site"
        found = f"none of {_some(list(without))}"
        remedy = "fill the column site of the scan table, or set folds.split: grouped"
        findings.append(Finding("cohort, column site", expected, found, remedy))
    elif (sites := main_site(folds)).nunique() < 2:
        expected = (
            "at least two sites, as folds.split is site: one for testing, the others for training"
        )
        found = f"one: {', '.join(sites.unique())}" if len(folds) else "none"
        remedy = "correct the column site of the scan table, or set folds.split: grouped"
        findings.append(Finding("cohort, column site", expected, found, remedy))
    if findings:
        raise InputError(findings)


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def refuse_one_class(folds: pd.DataFrame, fold: int, cohort: pd.DataFrame) -> None:
    """Stop if all training scans of a fold are of one class, as then no class can be learned.

    Parameters
    ----------
    folds : DataFrame
        As returned by `split_folds`.
    fold : int
        The test fold.
    cohort : DataFrame
        As in `split_folds`.

    Raises
    ------
    InputError
        Names the tested site.
    """
    tested = folds["fold"] == fold
    classes = sorted(set(folds.loc[~tested, "diagnosis"]))
    if set(classes) >= set(diagnoses()):
        return
    known = learned(cohort)
    sites = main_site(known)[known["scan"].isin(folds.loc[tested, "scan"])]
    where = ", ".join(sorted(set(sites)))
    raise bad_input(
        f"fold {fold}, which tests site {where}",
        f"training scans of {' and '.join(diagnoses())}, as a method of the config classifies",
        f"only {' and '.join(classes)}: all others are of site {where}",
        "leave the fold out (folds.only), give sites that share a centre or scanner one name, "
        "set folds.split: grouped, or train methods that only segment",
    )


def leaking_subjects(folds: pd.DataFrame, fold: int) -> list[str]:
    """Return, sorted, the subjects of the test fold who also have scans in training folds."""
    tested = folds["fold"] == fold
    if not tested.any():
        raise ValueError(f"there is no fold {fold}: folds are {sorted(folds['fold'].unique())}")
    both = set(folds.loc[tested, "subject"]) & set(folds.loc[~tested, "subject"])
    return sorted(both)


def refuse_leak(folds: pd.DataFrame, fold: int, allow: bool) -> None:
    """Stop if a subject is in both training and test scans.

    Parameters
    ----------
    folds : DataFrame
        As returned by `split_folds`.
    fold : int
        The test fold.
    allow : bool
        True if the user chose the random split. Then the leak is printed, not refused.

    Raises
    ------
    DataLeakageError
        Names every such subject, unless allowed.
    """
    leaking = leaking_subjects(folds, fold)
    if not leaking:
        return
    found = f"{named_subjects(leaking)} both in the test and in the training scans of fold {fold}"
    if not allow:
        raise DataLeakageError(
            f"{found}. Test results would be too good. Keep the default split `grouped`, or choose "
            "`random` in the config to repeat the paper's split knowingly."
        )
    print(f"data leak: {found}", flush=True)


def write_folds(path: Path | str, folds: pd.DataFrame) -> None:
    """Write a table of folds with a digest of its rows, so that `read_folds` detects edits.

    Networks are trained on the cohort's own folds, which are drawn again for them. With an edited
    table, they would be evaluated on other folds or classes than they were trained for.
    """
    write_tsv(path, folds.assign(**{SEAL: _digest(folds)}))


def _digest(folds: pd.DataFrame) -> str:
    rows = folds[list(FOLD_COLUMNS)].to_csv(sep="\t", index=False, lineterminator="\n")
    return hashlib.sha256(rows.encode()).hexdigest()[:16]


def read_folds(path: Path | str) -> pd.DataFrame:
    """Read a table of folds.

    Returns
    -------
    DataFrame
        As returned by `split_folds`.

    Raises
    ------
    InputError
        If a column is missing, a scan is listed twice, a value is missing, a subject has two
        diagnoses, the folds are not 0 to k-1, or the table was edited after it was written.
    """
    table = read_tsv(path, FOLD_COLUMNS)
    folds = table[list(FOLD_COLUMNS)]
    known = folds["diagnosis"].isin([*diagnoses(), NO_DIAGNOSIS])
    unknown = folds.loc[~known, "scan"].astype(str)
    if len(unknown):
        found = f"another diagnosis for {', '.join(unknown)}"
        raise bad_input(path, f"diagnosis {in_words()}", found, MAKE_AGAIN)
    if folds[["scan", "subject"]].isna().any(axis=None):
        raise bad_input(path, "a scan and a subject in every row", "an empty cell", MAKE_AGAIN)
    twice = folds.loc[folds["scan"].duplicated(), "scan"]
    if len(twice):
        raise bad_input(path, "each scan once", f"{', '.join(twice)} more than once", MAKE_AGAIN)
    present = sorted(folds["fold"].unique())
    if len(present) < 2 or present != list(range(len(present))):
        numbers = ", ".join(map(str, present)) or "none"
        raise bad_input(path, "folds numbered 0 to k-1, at least two", numbers, MAKE_AGAIN)
    _refuse_edited(path, table)
    return folds


def _refuse_edited(path: Path | str, table: pd.DataFrame) -> None:
    """Refuse tables that no split makes, and rows that were changed after writing."""
    # a stray quotation mark makes one cell from several rows
    odd = [scan for scan in table["scan"] if CONTROL.search(scan)]
    if odd:
        raise bad_input(path, "each scan in one line", f"{odd[0]!r}", MAKE_AGAIN)
    several = table[table["diagnosis"] != NO_DIAGNOSIS].groupby("subject")["diagnosis"].nunique()
    if len(both := several.index[several > 1]):
        found = f"several of {named_subjects(list(both))}"
        raise bad_input(path, "one diagnosis per subject", found, MAKE_AGAIN)
    if SEAL in table and set(table[SEAL]) != {_digest(table)}:
        expected = "the rows that the workflow wrote (column digest)"
        remedy = f"{MAKE_AGAIN}; correct a diagnosis or site in the scan table"
        raise bad_input(path, expected, "rows that were edited, added or removed", remedy)


def _refuse_without_mask(cohort: pd.DataFrame) -> None:
    """Refuse scans with a diagnosis but no mask: they may test a bundle but cannot train."""
    if "lesion_mask" not in cohort:
        return
    without = cohort["lesion_mask"].isna() | (cohort["lesion_mask"] == "")
    if names := sorted(cohort.loc[without & cohort["diagnosis"].isin(diagnoses()), "scan"]):
        remedy = "give the masks, or remove these diagnoses to only predict the scans"
        expected = "a lesion mask for each scan with a diagnosis (training needs both)"
        raise bad_input("scan table", expected, f"none of {', '.join(names)}", remedy)


def _report(cohort: pd.DataFrame, folds: pd.DataFrame, split: Split, k: int) -> None:
    without = len(cohort) - len(folds)
    if without:
        are = "is" if without == 1 else "are"
        what = counted(without, "scan")
        print(f"{what} without a lesion mask {are} in no fold (prediction only)")
    counts = folds.pivot_table(
        index="fold", columns="diagnosis", values="scan", aggfunc="count", fill_value=0
    )
    print(counts.to_string())
    print("\n".join(told_of_balance(cohort, k, split)))
    leaking = sorted({name for fold in counts.index for name in leaking_subjects(folds, fold)})
    print(
        f"data leak: {named_subjects(leaking)} in training and test" if leaking else "no data leak"
    )
    for fold, row in counts.iterrows():
        for name in row.index[row == 0]:
            print(f"warning: fold {fold} tests no scan of class {name}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the folds of a cohort."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.cohort.folds", description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument("--k", type=int, required=True, help="number of folds")
    parser.add_argument(
        "--split",
        choices=get_args(Split),
        default="grouped",
        help="grouped: no subject in both training and test, classes and sites balanced; site: "
        "one site left out, whatever --k; random: scan by scan, as in the paper",
    )
    parser.add_argument("--seed", type=int, required=True, help="seed of the random order")
    parser.add_argument("--out", type=Path, required=True, help="folds.tsv")
    given = parser.parse_args(arguments)

    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    folds = split_folds(cohort, given.k, given.split, given.seed)
    _report(cohort, folds, given.split, given.k)
    write_folds(given.out, folds)


if __name__ == "__main__":
    run_command(main)
