"""What folds balance: classes within sites; and the note on it under a table of results."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pandas as pd

from msnmo.core.diagnoses import NO_DIAGNOSIS, diagnoses

Split = Literal["grouped", "site", "random"]
COHORT_COLUMNS = {"scan": str, "subject": str, "diagnosis": str, "site": str}
NO_SITE = "no site given"
OTHER_SITES = "other sites"


def learned(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the scans to learn from: those with a class, and those with only a lesion mask.

    Parameters
    ----------
    cohort : DataFrame
        As in `msnmo.cohort.folds.split_folds`.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, site; the diagnosis is `NO_DIAGNOSIS` for a scan with only
        a mask.
    """
    known = cohort["diagnosis"].isin(diagnoses())
    masks = cohort.get("lesion_mask", pd.Series("", cohort.index)).fillna("")
    named = cohort.assign(diagnosis=cohort["diagnosis"].where(known, NO_DIAGNOSIS))
    return named[known | (masks != "")].reindex(columns=list(COHORT_COLUMNS))


def classes_of(scans: pd.DataFrame) -> list[str]:
    """Return the classes of scans, in their order. `NO_DIAGNOSIS` comes last.

    Parameters
    ----------
    scans : DataFrame
        Column diagnosis.
    """
    there = set(scans["diagnosis"])
    return [name for name in (*diagnoses(), NO_DIAGNOSIS) if name in there]


def named_sites(site: pd.Series) -> pd.Series:
    """Return sites, with `NO_SITE` for scans without one."""
    return site.replace("", None).fillna(NO_SITE)


def site_of_scans(cohort: pd.DataFrame) -> pd.Series:
    """Return the site of each scan, by scan; `NO_SITE` if none is given.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, site.
    """
    return named_sites(cohort.set_index("scan")["site"])


def main_site(scans: pd.DataFrame) -> pd.Series:
    """Return for each scan its subject's site: the site of most of the subject's scans.

    In a tie, it is the first by name. It is `NO_SITE` if none is given.

    Parameters
    ----------
    scans : DataFrame
        Columns subject, site.
    """
    sites = named_sites(scans["site"]).groupby(scans["subject"])
    return scans["subject"].map(sites.agg(lambda each: each.mode().iloc[0]))


def strata(scans: pd.DataFrame, k: int) -> pd.Series:
    """Return for each scan the stratum that folds balance: its class and its subject's site.

    A site with fewer than `k` subjects of a class cannot have one in each fold. Within the class,
    such sites are pooled. A subject with scans from several sites counts for the site with most of
    them; in a tie, for the first by name.

    Parameters
    ----------
    scans : DataFrame
        Columns subject, diagnosis, site (missing if not given).
    k : int
        Number of folds.

    Returns
    -------
    Series of str
        As ``MS, site A``; on the index of `scans`.
    """
    about = scans.assign(site=main_site(scans), diagnosis=balanced(scans))
    subjects = about.groupby(["diagnosis", "site"])["subject"].transform("nunique")
    site = about["site"].where(subjects >= k, OTHER_SITES)
    return about["diagnosis"] + ", " + site


def balanced(scans: pd.DataFrame) -> pd.Series:
    """Return for each scan the class to balance. If there are not two classes, all get one name."""
    there = classes_of(scans)
    if set(diagnoses()) <= set(there):
        return scans["diagnosis"]
    return pd.Series(" or ".join(there), scans.index, name="diagnosis", dtype=object)


def told_of_balance(cohort: pd.DataFrame, k: int, split: Split = "grouped") -> list[str]:
    """Return lines on what the folds balance and what they cannot balance.

    Parameters
    ----------
    cohort : DataFrame
        As in `msnmo.cohort.folds.split_folds`.
    k : int
        Number of folds; ``site`` does not use it.
    split : {"grouped", "site", "random"}
    """
    known = learned(cohort)
    if split == "random":
        return ["nothing is balanced over folds: scans are drawn at random"]
    return list(_told_of_sites(known) if split == "site" else _told_of_strata(known, k))


def _told_of_strata(known: pd.DataFrame, k: int) -> Iterator[str]:
    known = known.assign(site=named_sites(known["site"]), stratum=strata(known, k))
    pooled = known["stratum"].str.endswith(f", {OTHER_SITES}") & (known["site"] != OTHER_SITES)
    counts = known.groupby("stratum")["subject"].nunique()
    each = "; ".join(f"{name} ({_number(count)})" for name, count in counts.items())
    yield f"balanced over folds: {each}"
    few = known[pooled].assign(diagnosis=balanced(known)).groupby(["diagnosis", "site"])
    few = few["subject"].nunique()
    if len(few):
        named = "; ".join(f"{name}, {site} ({count})" for (name, site), count in few.items())
        yield f"fewer than {k} subjects, balanced within {OTHER_SITES} only: {named}"


def _told_of_sites(known: pd.DataFrame) -> Iterator[str]:
    scans = known.sort_values("scan", ignore_index=True)
    site = main_site(scans)
    classes = classes_of(scans)
    counts = pd.crosstab(site, scans["diagnosis"]).reindex(
        index=site.unique(), columns=classes, fill_value=0
    )
    each = "; ".join(
        f"{fold}: {name} ({_counted(row)} scans)"
        for fold, (name, row) in enumerate(counts.iterrows())
    )
    yield f"each fold tests a site that its networks have not seen, and nothing is balanced: {each}"
    alone = [f"{name} ({row.idxmax()})" for name, row in counts.iterrows() if not row.all()]
    if alone and len(classes) > 1:
        yield (
            "sites with only one class; their folds have no AUC and no rate for the other class: "
            + "; ".join(alone)
        )
    moved = scans.loc[named_sites(scans["site"]) != site, "subject"]
    if len(moved):
        names = sorted(set(moved.astype(str)))
        yield f"with scans from several sites, in the fold of most: {named_subjects(names)}"


def _counted(scans: pd.Series) -> str:
    """Return the number of scans per class, or of all scans if there are no classes."""
    if list(scans.index) == [NO_DIAGNOSIS]:
        return str(scans[NO_DIAGNOSIS])
    return ", ".join(f"{count} {name}" for name, count in scans.items())


def folds_note(cohort: pd.DataFrame, k: int, split: Split, repeats: int = 1) -> str:
    """Return the note under a table of results: how folds were made and what they balance.

    Parameters are those of `told_of_balance`; `repeats` is how often all folds were drawn.
    """
    first, *others = told_of_balance(cohort, k, split)
    if repeats > 1:
        others.append(
            f"the cross-validation was repeated {repeats} times, each time with its own seed and "
            f"{k} new folds, so that the spread between seeds includes that between folds"
        )
    sentences = [first, *(each[0].upper() + each[1:] for each in others)]
    return f"Folds ({split}): {'. '.join(sentences)}."


def named_subjects(names: list[str]) -> str:
    """Return the number of subjects and their ids."""
    return f"{_number(len(names))} ({', '.join(names)})"


def _number(subjects: int) -> str:
    return f"{subjects} subject{'' if subjects == 1 else 's'}"
