"""Scans of a cohort whose subjects a bundle's folds learned from: on them nothing can be tested."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from msnmo.bundle.contents import Bundle, read_bundle
from msnmo.check.findings import ScanReport
from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.names import path_of_scan

COLUMNS = {"scan": str, "reason": str}
COHORT_COLUMNS = {"scan": str, "subject": str, "flair": str}
NO_SEALS = (
    "made without seals of the scans that its folds learned from. Whether scans of this cohort are "
    "among them is not known. To be sure, make the bundle again"
)
"""What is said of a bundle of before there were seals: no overlap with it can be found."""
LEAVE_OUT = (
    "remove the subject from the table, or leave it out of the evaluation: --leave-out-overlap "
    "(in the workflow apply.leave_out_overlap)"
)
START_ELSEWHERE = (
    "start from weights of other subjects (train.start_from), or leave it empty: a fold would be "
    "tested on scans that its network has learned from"
)


def find_overlap(
    bundle: Bundle, cohort: pd.DataFrame, fingerprints: Mapping[str, str]
) -> pd.DataFrame:
    """Return the scans of subjects that the bundle's folds learned from, with the reason.

    A subject is known by any of its scans, also by one without truth: its other visits are left out
    with it.

    Parameters
    ----------
    bundle : Bundle
    cohort : DataFrame
        Columns scan, subject.
    fingerprints : mapping of str to str
        By scan, of `msnmo.core.fingerprint`.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`, in the cohort's order; no row for a bundle without seals.
    """
    seals = bundle.training_seals
    rows = []
    if seals is not None:
        known = {scan for scan, digest in fingerprints.items() if seals.know(digest)}
        first = cohort[cohort["scan"].isin(known)].groupby("subject")["scan"].first()
        for row in cohort.itertuples():
            if row.scan in known:
                rows.append((row.scan, "the very voxels of a scan that the folds learned from"))
            elif row.subject in first.index:
                other = first[row.subject]
                rows.append(
                    (row.scan, f"a visit of a subject whose {other} the folds learned from")
                )
    return pd.DataFrame(rows, columns=list(COLUMNS), dtype=object)


def findings_of(
    overlap: pd.DataFrame, cohort: pd.DataFrame, remedy: str = LEAVE_OUT
) -> list[Finding]:
    """Return what is wrong of each scan that overlaps.

    Parameters
    ----------
    overlap : DataFrame
        As `find_overlap` returns.
    cohort : DataFrame
        Columns scan, flair.
    remedy : str
    """
    flairs = dict(zip(cohort["scan"], cohort["flair"], strict=True))
    expected = "a scan of a subject that none of the bundle's folds learned from"
    return [
        Finding(f"{flairs[row.scan]} ({row.scan})", expected, row.reason, remedy)
        for row in overlap.itertuples()
    ]


def refuse_start(bundle: Bundle, cohort: pd.DataFrame, reports: str) -> str:
    """Refuse to start trainings from a bundle whose folds learned from subjects of the cohort.

    Parameters
    ----------
    bundle : Bundle
    cohort : DataFrame
        Columns scan, subject, flair.
    reports : str
        JSON of the check of a scan, with {scan} and {folder}.

    Returns
    -------
    str
        A warning, if it cannot be known.

    Raises
    ------
    InputError
        Names every scan of such a subject.
    """
    overlap = find_overlap(bundle, cohort, _fingerprints(reports, cohort))
    if len(overlap):
        raise InputError(findings_of(overlap, cohort, START_ELSEWHERE))
    return _unknown(bundle)


def _fingerprints(reports: str, cohort: pd.DataFrame) -> dict[str, str]:
    return fingerprints_of(
        [ScanReport.read(path_of_scan(reports, scan)) for scan in cohort["scan"]]
    )


def _unknown(bundle: Bundle) -> str:
    """Return a warning, if no overlap with a bundle could be found."""
    drawn = bundle.content.get("training_cohort", {}).get("simulated", {})
    # no scan of anybody: all were drawn
    if bundle.training_seals is not None or (drawn and drawn["scans"] == drawn["of"]):
        return ""
    return f"warning: {bundle.path}: {NO_SEALS}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the scans to leave out; refuse all of them at once, unless they are to be left out."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.apply.overlap", description=__doc__)
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument(
        "--reports", required=True, help="JSON of the check of a scan, with {scan} and {folder}"
    )
    parser.add_argument("--leave-out", action="store_true", help="do not refuse them")
    parser.add_argument("--out", type=Path, required=True, help="TSV: scan and reason")
    given = parser.parse_args(arguments)
    bundle = read_bundle(given.bundle)
    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    overlap = find_overlap(bundle, cohort, _fingerprints(given.reports, cohort))
    if unknown := _unknown(bundle):
        print(unknown)
    if len(overlap) and not given.leave_out:
        raise InputError(findings_of(overlap, cohort))
    print(f"{len(overlap)} of {len(cohort)} scans are of subjects that the folds learned from")
    write_tsv(given.out, overlap)


def fingerprints_of(reports: Sequence[ScanReport]) -> dict[str, str]:
    """Return the fingerprint of each scan that the check could read."""
    return {each.scan: each.facts["voxels"] for each in reports if "voxels" in each.facts}


if __name__ == "__main__":
    run_command(main)
