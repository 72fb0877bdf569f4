"""What folds balance: classes within sites. And what a table of results says of it."""

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
    """Return the scans to learn from: those of a class, and those with a lesion mask alone.

    Parameters
    ----------
    cohort : DataFrame
        As of `msnmo.cohort.folds.split_folds`.

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, site; the diagnosis is `NO_DIAGNOSIS` of a mask alone.
    """
    known = cohort["diagnosis"].isin(diagnoses())
    masks = cohort.get("lesion_mask", pd.Series("", cohort.index)).fillna("")
    named = cohort.assign(diagnosis=cohort["diagnosis"].where(known, NO_DIAGNOSIS))
    return named[known | (masks != "")].reindex(columns=list(COHORT_COLUMNS))


def classes_of(scans: pd.DataFrame) -> list[str]:
    """Return the classes that scans have, by their order; `NO_DIAGNOSIS` last.

    Parameters
    ----------
    scans : DataFrame
        Column diagnosis.
    """
    there = set(scans["diagnosis"])
    return [name for name in (*diagnoses(), NO_DIAGNOSIS) if name in there]


def named_sites(site: pd.Series) -> pd.Series:
    """Return sites with `NO_SITE` where none is given."""
    return site.replace("", None).fillna(NO_SITE)


def site_of_scans(cohort: pd.DataFrame) -> pd.Series:
    """Return the site of each scan, by scan; `NO_SITE` where none is given.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, site.
    """
    return named_sites(cohort.set_index("scan")["site"])


def main_site(scans: pd.DataFrame) -> pd.Series:
    """Return of each scan its subject's site: that of most of the subject's scans.

    The first by name if several have as many; `NO_SITE` where none is given.

    Parameters
    ----------
    scans : DataFrame
        Columns subject, site.
    """
    sites = named_sites(scans["site"]).groupby(scans["subject"])
    return scans["subject"].map(sites.agg(lambda each: each.mode().iloc[0]))


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
    about = scans.assign(site=main_site(scans), diagnosis=balanced(scans))
    subjects = about.groupby(["diagnosis", "site"])["subject"].transform("nunique")
    site = about["site"].where(subjects >= k, OTHER_SITES)
    return about["diagnosis"] + ", " + site


def balanced(scans: pd.DataFrame) -> pd.Series:
    """Return of each scan the class that is balanced; one name for all where there are not two."""
    there = classes_of(scans)
    if set(diagnoses()) <= set(there):
        return scans["diagnosis"]
    return pd.Series(" or ".join(there), scans.index, name="diagnosis", dtype=object)


def told_of_balance(cohort: pd.DataFrame, k: int, split: Split = "grouped") -> list[str]:
    """Return what folds balance and what they cannot, a line each.

    Parameters
    ----------
    cohort : DataFrame
        As of `msnmo.cohort.folds.split_folds`.
    k : int
        Number of folds; of no meaning to ``site``.
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
            "sites of one class alone, whose folds have no AUC and no rate of the other class: "
            + "; ".join(alone)
        )
    moved = scans.loc[named_sites(scans["site"]) != site, "subject"]
    if len(moved):
        names = sorted(set(moved.astype(str)))
        yield f"with scans of several sites, in the fold of most: {named_subjects(names)}"


def _counted(scans: pd.Series) -> str:
    """Return how many scans there are of each class; of no class, how many there are."""
    if list(scans.index) == [NO_DIAGNOSIS]:
        return str(scans[NO_DIAGNOSIS])
    return ", ".join(f"{count} {name}" for name, count in scans.items())


def folds_note(cohort: pd.DataFrame, k: int, split: Split, repeats: int = 1) -> str:
    """Return what stands under a table of results: how folds were made and what they balance.

    Parameters are those of `told_of_balance`; `repeats` is how often all folds were drawn.
    """
    first, *others = told_of_balance(cohort, k, split)
    if repeats > 1:
        others.append(
            f"the cross-validation was repeated {repeats} times, each with a seed and {k} folds of "
            "its own: what is between seeds is between folds as well"
        )
    sentences = [first, *(each[0].upper() + each[1:] for each in others)]
    return f"Folds ({split}): {'. '.join(sentences)}."


def named_subjects(names: list[str]) -> str:
    """Return how many subjects there are, and who."""
    return f"{_number(len(names))} ({', '.join(names)})"


def _number(subjects: int) -> str:
    return f"{subjects} subject{'' if subjects == 1 else 's'}"
