"""Compare scans: one image under two names, and sites that reveal the class."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator

import pandas as pd

from msnmo.check.findings import Reported, ScanReport
from msnmo.check.sites import COHORT, telling_sites
from msnmo.core.errors import Finding
from msnmo.core.lesion_labels import in_words


def compare_scans(opened: pd.DataFrame, reports: Iterable[ScanReport]) -> list[Reported]:
    """Return the findings that show only when scans are compared.

    Parameters
    ----------
    opened : DataFrame
        Columns scan, told_as, usable, subject, diagnosis, flair, site, as in
        `msnmo.cohort.table.Survey.opened`. For rows that cannot be used, only voxels are compared.
    reports : iterable of ScanReport
        The reports of these scans.
    """
    flairs = dict(zip(opened["scan"], opened["flair"], strict=True))
    told_as = dict(zip(opened["scan"], opened["told_as"], strict=True))
    cohort = opened[opened["usable"]]
    reports = list(reports)
    return [
        *_same_scans(flairs, told_as, reports),
        *_same_masks(told_as, reports),
        *_labels_nowhere(reports),
        *_several_sites(cohort),
        *telling_sites(cohort),
    ]


def _same_scans(
    flairs: dict[str, str], told_as: dict[str, str], reports: list[ScanReport]
) -> Iterator[Reported]:
    names = defaultdict(list)
    for report in reports:
        if "voxels" in report.facts:
            names[report.facts["voxels"]].append(report.scan)
    for same in names.values():
        for name in same:
            # the table check reports one file in two rows
            others = [other for other in same if flairs[other] != flairs[name]]
            if not others:
                continue
            named = ", ".join(f"{told_as[other]} ({flairs[other]})" for other in others)
            remedy = "find out whose scan it is and remove the other row"
            finding = Finding(
                flairs[name], "each image once", f"the same voxels as {named}", remedy
            )
            yield Reported("error", name, finding)


def _same_masks(told_as: dict[str, str], reports: list[ScanReport]) -> Iterator[Reported]:
    seen: dict[str, tuple[str, str]] = {}
    for report in reports:
        for file, mask in report.facts.get("lesion_masks", {}).items():
            if not mask["ml"]:
                continue
            name, other = seen.setdefault(mask["voxels"], (report.scan, file))
            if name != report.scan and other != file:
                remedy = "check whether one scan's mask was copied for the other"
                found = f"the same voxels as {other}, a mask of {told_as[name]}"
                finding = Finding(file, "a mask drawn on this scan", found, remedy)
                yield Reported("warning", report.scan, finding)


def _labels_nowhere(reports: list[ScanReport]) -> Iterator[Reported]:
    """Yield the labels that the config names but no mask has."""
    lacking = [
        mask.get("labels_lacking", [])
        for report in reports
        for mask in report.facts.get("lesion_masks", {}).values()
    ]
    if not lacking:
        return
    if nowhere := sorted(set(lacking[0]).intersection(*lacking[1:])):
        many = "the one mask" if len(lacking) == 1 else f"any of {len(lacking)} masks"
        found = f"{in_words(nowhere)} not in {many}"
        remedy = "look up which labels the masks have and correct the list"
        finding = Finding("lesion_masks.labels", "labels that masks have", found, remedy)
        yield Reported("warning", COHORT, finding)


def _several_sites(cohort: pd.DataFrame) -> Iterator[Reported]:
    for subject, rows in cohort.groupby("subject"):
        sites = sorted(set(rows["site"]))
        if len(sites) > 1:
            found = f"subject {subject} at the sites {', '.join(site or 'none' for site in sites)}"
            remedy = (
                "nothing to do if this is one person; if not, give them two ids "
                "(msnmo cohort merge keeps the ids of several tables apart)"
            )
            for row in rows.itertuples():
                finding = Finding(row.flair, "one site per subject", found, remedy)
                yield Reported("warning", row.scan, finding)
