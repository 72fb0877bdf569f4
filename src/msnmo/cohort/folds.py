"""Cross-validation folds: by default no subject is ever on both sides of a split."""

from __future__ import annotations

import argparse
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import pandas as pd

from msnmo.core.errors import DataLeakageError, Finding, InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.seeds import derive_seed

Split = Literal["grouped", "random"]
DIAGNOSES = ("MS", "NMOSD")
FOLD_COLUMNS = {"scan": str, "subject": str, "diagnosis": str, "fold": int}
COHORT_COLUMNS = {"scan": str, "subject": str, "diagnosis": str, "site": str}
NO_SITE = "no site given"
OTHER_SITES = "other sites"


def split_folds(cohort: pd.DataFrame, k: int, split: Split, seed: int) -> pd.DataFrame:
    """Return the fold in which each scan with a diagnosis is tested.

    ``grouped`` keeps all scans of a subject in one fold and balances the scans of each class and
    site over the folds (scikit-learn's `StratifiedGroupKFold` of `strata`). As every subject is of
    one stratum, that algorithm hands out each stratum's subjects, those of most scans first, to the
    fold with fewest scans of the stratum: so each fold has each class as soon as the class has `k`
    subjects. It is preferred to a stratified split of subjects, which balances subjects and leaves
    scans uneven.
    ``random`` splits scans regardless of subject and class, as the paper does (section 4.1).

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, diagnosis (MS, NMOSD or missing) and, where there is one, site. The
        order of its rows is of no consequence. Scans without a diagnosis are left out.
    k : int
        Number of folds, at least 2.
    split : {"grouped", "random"}
    seed : int
        The same seed and scans give the same folds.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, fold (0 to k-1), sorted by scan.

    Raises
    ------
    InputError
        If a class has fewer than `k` subjects (``grouped``) or scans (``random``), or scans with a
        diagnosis lack a lesion mask.
    """
    # a second that all who only read folds need not pay for
    from sklearn.model_selection import KFold, StratifiedGroupKFold  # noqa: PLC0415

    _refuse_without_mask(cohort)
    known = cohort[cohort["diagnosis"].isin(DIAGNOSES)].reindex(columns=list(COHORT_COLUMNS))
    folds = known.sort_values("scan", ignore_index=True)
    unit = "subject" if split == "grouped" else "scan"
    _check_enough(folds, k, unit)

    options = {"n_splits": k, "shuffle": True, "random_state": derive_seed(seed, "folds", split, k)}
    if split == "grouped":
        splitter = StratifiedGroupKFold(**options)
        with warnings.catch_warnings():
            # it warns of strata of fewer subjects than folds, which `told_of_balance` names
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            sides = list(splitter.split(folds["scan"], strata(folds, k), folds["subject"]))
    else:
        sides = KFold(**options).split(folds["scan"])
    folds["fold"] = -1
    for fold, (_, test) in enumerate(sides):
        folds.loc[test, "fold"] = fold
    return folds[list(FOLD_COLUMNS)]


def strata(scans: pd.DataFrame, k: int) -> pd.Series:
    """Return of each scan what is balanced over folds: its class and its subject's site.

    Sites with fewer than `k` subjects of a class cannot have one in each fold: within the class
    they are taken together. A subject with scans of several sites counts for that of most scans,
    the first by name if several have as many.

    Parameters
    ----------
    scans : DataFrame
        Columns subject, diagnosis, site (missing where none is given).
    k : int
        Number of folds.

    Returns
    -------
    Series of str
        As ``MS, site A``; on the index of `scans`.
    """
    about = scans.assign(site=_named(scans["site"]))
    main_site = about.groupby("subject")["site"].agg(lambda sites: sites.mode().iloc[0])
    about["site"] = about["subject"].map(main_site)
    subjects = about.groupby(["diagnosis", "site"])["subject"].transform("nunique")
    site = about["site"].where(subjects >= k, OTHER_SITES)
    return about["diagnosis"] + ", " + site


def _check_enough(folds: pd.DataFrame, k: int, unit: str) -> None:
    if k < 2:
        raise bad_input("config key folds", "at least 2 folds", f"{k}", "set folds to 2 or more")
    counts = {name: folds.loc[folds["diagnosis"] == name, unit].nunique() for name in DIAGNOSES}
    most = min(counts.values())
    lower = f" or set folds to at most {most}" if most >= 2 else ""
    findings = [
        Finding(
            f"cohort, class {name}",
            f"at least {k} {unit}s for {k} folds",
            f"{count} {unit}{'' if count == 1 else 's'} with this diagnosis",
            f"add {unit}s with diagnosis {name}{lower}",
        )
        for name, count in counts.items()
        if count < k
    ]
    if findings:
        raise InputError(findings)


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
    found = f"{_subjects(leaking)} in the test and in the training scans of fold {fold}"
    if not allow:
        raise DataLeakageError(
            f"{found}. Test figures would be too good. Keep the default split `grouped`, or choose "
            "`random` in the config to repeat the paper's split knowingly."
        )
    print(f"data leak: {found}", flush=True)


def _subjects(names: list[str]) -> str:
    return f"{_number(len(names))} ({', '.join(names)})"


def _number(subjects: int) -> str:
    return f"{subjects} subject{'' if subjects == 1 else 's'}"


def read_folds(path: Path | str) -> pd.DataFrame:
    """Read a table of folds.

    Returns
    -------
    DataFrame
        As `split_folds` returns.

    Raises
    ------
    InputError
        If a column is missing, a scan is listed twice, a value is missing, or the folds are not
        0 to k-1.
    """
    folds = read_tsv(path, FOLD_COLUMNS)[list(FOLD_COLUMNS)]
    unknown = folds.loc[~folds["diagnosis"].isin(DIAGNOSES), "scan"].astype(str)
    if len(unknown):
        found = f"another diagnosis for {', '.join(unknown)}"
        raise bad_input(path, f"diagnosis {' or '.join(DIAGNOSES)}", found, MAKE_AGAIN)
    if folds[["scan", "subject"]].isna().any(axis=None):
        raise bad_input(path, "a scan and a subject in every row", "an empty cell", MAKE_AGAIN)
    twice = folds.loc[folds["scan"].duplicated(), "scan"]
    if len(twice):
        raise bad_input(path, "each scan once", f"{', '.join(twice)} more than once", MAKE_AGAIN)
    present = sorted(folds["fold"].unique())
    if len(present) < 2 or present != list(range(len(present))):
        numbers = ", ".join(map(str, present)) or "none"
        raise bad_input(path, "folds numbered 0 to k-1, at least two", numbers, MAKE_AGAIN)
    return folds


def _named(site: pd.Series) -> pd.Series:
    return site.replace("", None).fillna(NO_SITE)


def _refuse_without_mask(cohort: pd.DataFrame) -> None:
    """Refuse scans that a bundle may be judged by, and that nothing can be learned from."""
    if "lesion_mask" not in cohort:
        return
    without = cohort["lesion_mask"].isna() | (cohort["lesion_mask"] == "")
    if names := sorted(cohort.loc[without & cohort["diagnosis"].isin(DIAGNOSES), "scan"]):
        remedy = "give the masks, or empty these diagnoses to have the scans predicted only"
        expected = "a lesion mask of each scan with a diagnosis (training needs both)"
        raise bad_input("scan table", expected, f"none of {', '.join(names)}", remedy)


def told_of_balance(cohort: pd.DataFrame, k: int) -> list[str]:
    """Return what ``grouped`` folds balance and what they cannot, a line each.

    Parameters
    ----------
    cohort : DataFrame
        As of `split_folds`.
    k : int
        Number of folds.
    """
    known = cohort[cohort["diagnosis"].isin(DIAGNOSES)].reindex(columns=list(COHORT_COLUMNS))
    known = known.assign(site=_named(known["site"]), stratum=strata(known, k))
    pooled = known["stratum"].str.endswith(f", {OTHER_SITES}") & (known["site"] != OTHER_SITES)
    counts = known.groupby("stratum")["subject"].nunique()
    each = "; ".join(f"{name} ({_number(count)})" for name, count in counts.items())
    lines = [f"balanced over folds: {each}"]
    few = known[pooled].groupby(["diagnosis", "site"])["subject"].nunique()
    if len(few):
        named = "; ".join(f"{name}, {site} ({count})" for (name, site), count in few.items())
        lines.append(f"fewer than {k} subjects, balanced within {OTHER_SITES} only: {named}")
    return lines


def _report(cohort: pd.DataFrame, folds: pd.DataFrame, split: Split, k: int) -> None:
    without = len(cohort) - len(folds)
    if without:
        print(f"{without} scans without a diagnosis are in no fold (prediction only)")
    counts = folds.pivot_table(
        index="fold", columns="diagnosis", values="scan", aggfunc="count", fill_value=0
    )
    print(counts.to_string())
    if split == "grouped":
        print("\n".join(told_of_balance(cohort, k)))
    else:
        print("nothing is balanced over folds: scans are drawn at random")
    leaking = sorted({name for fold in counts.index for name in leaking_subjects(folds, fold)})
    print(f"data leak: {_subjects(leaking)} on both sides" if leaking else "no data leak")
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
        help="grouped: no subject on both sides, classes and sites balanced; random: scan by scan, "
        "as the paper",
    )
    parser.add_argument("--seed", type=int, required=True, help="of the random order")
    parser.add_argument("--out", type=Path, required=True, help="folds.tsv")
    given = parser.parse_args(arguments)

    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    folds = split_folds(cohort, given.k, given.split, given.seed)
    _report(cohort, folds, given.split, given.k)
    write_tsv(given.out, folds)


if __name__ == "__main__":
    run_command(main)
