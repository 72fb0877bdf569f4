"""Cross-validation folds: by default no subject is ever on both sides of a split."""

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
"""The column of the file that tells whether it was edited: the same in each row."""
MOST_NAMED = 10
"""A message names no more scans than these."""


def split_folds(cohort: pd.DataFrame, k: int, split: Split, seed: int) -> pd.DataFrame:
    """Return the fold in which each scan to learn from is tested.

    ``grouped`` keeps all scans of a subject in one fold and balances the scans of each class and
    site over the folds (scikit-learn's `StratifiedGroupKFold` of `strata`). As every subject is of
    one stratum, that algorithm hands out each stratum's subjects, those of most scans first, to the
    fold with fewest scans of the stratum: so each fold has each class as soon as the class has `k`
    subjects. It is preferred to a stratified split of subjects, which balances subjects and leaves
    scans uneven. Of a cohort of one class, or of none, sites alone are balanced.
    ``site`` leaves one site out: all its scans are a fold (scikit-learn's `LeaveOneGroupOut`). A
    subject with scans of several sites is of that of most scans, as in `strata`.
    ``random`` splits scans regardless of subject and class, as the paper does (section 4.1).

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, diagnosis (the label of a class, or missing) and, where there are
        any, site and lesion_mask. The order of its rows is of no consequence. Scans without a
        diagnosis and a lesion mask are left out.
    k : int
        Number of folds, at least 2; of no meaning to ``site``.
    split : {"grouped", "site", "random"}
    seed : int
        The same seed and scans give the same folds; of no meaning to ``site``.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis (`NO_DIAGNOSIS` where there is a mask alone), fold (from 0
        on), sorted by scan. Of ``site``, folds are numbered in the order in which their sites come
        then: the name of a site moves no fold.

    Raises
    ------
    InputError
        If a class that there is, or a cohort of one class or none, has fewer than `k` subjects
        (``grouped``) or scans (``random``), or for ``site`` a scan has no site, or there are fewer
        than two sites; or scans with a diagnosis lack a lesion mask.
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
    """Return of each fold the rows that are trained on and those that are tested."""
    # a second that all who only read folds need not pay for
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
        # it warns of strata of fewer subjects than folds, which `told_of_balance` names
        warnings.filterwarnings("ignore", "The least populated class", UserWarning)
        return list(splitter.split(scans["scan"], strata(scans, k), scans["subject"]))


def count_folds(cohort: pd.DataFrame, k: int, split: Split) -> int:
    """Return how many folds `split_folds` makes, whether or not it can: `k`, or one for each site.

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
    """Return what scans of a class have, and those of a cohort without two classes."""
    if name not in diagnoses():
        return "with a lesion mask"
    return f"with diagnosis {name}" if named else "with this diagnosis"


def _check_sites(folds: pd.DataFrame) -> None:
    findings = []
    named = named_sites(folds["site"])
    without = folds.loc[named == NO_SITE, "scan"]
    if len(without):
        # it may be one of the others', which then would be on both sides
        expected = "the site of every scan with a lesion mask, as folds.split is site"
        found = f"none of {_some(list(without))}"
        remedy = "fill the column site of the scan table, or set folds.split: grouped"
        findings.append(Finding("cohort, column site", expected, found, remedy))
    elif (sites := main_site(folds)).nunique() < 2:
        expected = "at least two sites, as folds.split is site: one is tested, others are learned"
        found = f"one: {', '.join(sites.unique())}" if len(folds) else "none"
        remedy = "correct the column site of the scan table, or set folds.split: grouped"
        findings.append(Finding("cohort, column site", expected, found, remedy))
    if findings:
        raise InputError(findings)


def _some(names: list[str]) -> str:
    more = len(names) - MOST_NAMED
    return ", ".join(names[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def refuse_one_class(folds: pd.DataFrame, fold: int, cohort: pd.DataFrame) -> None:
    """Stop if all training scans of a fold are of one class: nobody learns to tell two from one.

    Parameters
    ----------
    folds : DataFrame
        As `split_folds` returns.
    fold : int
        The test fold.
    cohort : DataFrame
        As of `split_folds`.

    Raises
    ------
    InputError
        Naming the site that is tested.
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
        f"training scans of {' and '.join(diagnoses())}, as a method of the config names the class",
        f"{' and '.join(classes)} alone: all others are of site {where}",
        "leave the fold out (folds.only), give sites that share a centre or scanner one name, set "
        "folds.split: grouped, or train methods that segment alone",
    )


def leaking_subjects(folds: pd.DataFrame, fold: int) -> list[str]:
    """Return the subjects of the test fold who have scans in the training folds too, sorted."""
    tested = folds["fold"] == fold
    if not tested.any():
        raise ValueError(f"there is no fold {fold}: folds are {sorted(folds['fold'].unique())}")
    both = set(folds.loc[tested, "subject"]) & set(folds.loc[~tested, "subject"])
    return sorted(both)


def refuse_leak(folds: pd.DataFrame, fold: int, allow: bool) -> None:
    """Stop if a subject is on both sides of a split.

    Parameters
    ----------
    folds : DataFrame
        As `split_folds` returns.
    fold : int
        The test fold.
    allow : bool
        True where the user chose the random split: the leak is then printed, not refused.

    Raises
    ------
    DataLeakageError
        Naming every such subject, unless allowed.
    """
    leaking = leaking_subjects(folds, fold)
    if not leaking:
        return
    found = f"{named_subjects(leaking)} in the test and in the training scans of fold {fold}"
    if not allow:
        raise DataLeakageError(
            f"{found}. Test figures would be too good. Keep the default split `grouped`, or choose "
            "`random` in the config to repeat the paper's split knowingly."
        )
    print(f"data leak: {found}", flush=True)


def write_folds(path: Path | str, folds: pd.DataFrame) -> None:
    """Write a table of folds with a digest of its rows, so that `read_folds` knows an edited one.

    Networks are trained on the cohort's own folds, which are drawn again for them; what is then
    counted by an edited table would be of other folds or classes than they were trained for.
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
        As `split_folds` returns.

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
    """Refuse what no split makes, and rows that are not those that were written."""
    # a stray quotation mark makes one cell of several rows
    odd = [scan for scan in table["scan"] if CONTROL.search(scan)]
    if odd:
        raise bad_input(path, "each scan in one line", f"{odd[0]!r}", MAKE_AGAIN)
    several = table[table["diagnosis"] != NO_DIAGNOSIS].groupby("subject")["diagnosis"].nunique()
    if len(both := several.index[several > 1]):
        found = f"several of {named_subjects(list(both))}"
        raise bad_input(path, "one diagnosis a subject", found, MAKE_AGAIN)
    if SEAL in table and set(table[SEAL]) != {_digest(table)}:
        expected = "the rows that the workflow wrote (column digest)"
        remedy = f"{MAKE_AGAIN}; a diagnosis or site is corrected in the scan table"
        raise bad_input(path, expected, "rows that were edited, added or removed", remedy)


def _refuse_without_mask(cohort: pd.DataFrame) -> None:
    """Refuse scans that a bundle may be judged by, and that nothing can be learned from."""
    if "lesion_mask" not in cohort:
        return
    without = cohort["lesion_mask"].isna() | (cohort["lesion_mask"] == "")
    if names := sorted(cohort.loc[without & cohort["diagnosis"].isin(diagnoses()), "scan"]):
        remedy = "give the masks, or empty these diagnoses to have the scans predicted only"
        expected = "a lesion mask of each scan with a diagnosis (training needs both)"
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
    print(f"data leak: {named_subjects(leaking)} on both sides" if leaking else "no data leak")
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
        help="grouped: no subject on both sides, classes and sites balanced; site: one site left "
        "out, whatever --k; random: scan by scan, as the paper",
    )
    parser.add_argument("--seed", type=int, required=True, help="of the random order")
    parser.add_argument("--out", type=Path, required=True, help="folds.tsv")
    given = parser.parse_args(arguments)

    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    folds = split_folds(cohort, given.k, given.split, given.seed)
    _report(cohort, folds, given.split, given.k)
    write_folds(given.out, folds)


if __name__ == "__main__":
    run_command(main)
