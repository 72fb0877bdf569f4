"""The manifest: the paths of every scan's preprocessed files, checked to exist."""

from __future__ import annotations

import argparse
import hashlib
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.derivative import DESCRIPTION, describe_derivative
from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.files import read_tsv, sha256, write_tsv
from msnmo.core.names import folder_of

COHORT_COLUMNS = {
    "scan": str,
    "subject": str,
    "session": str,
    "diagnosis": str,
    "lesion_mask": str,
}
PATTERNS = ("image", "lesion", "sidecar", "native_lesion", "native_brain")
"""A scan's files in the manifest."""
KNOWN = (*PATTERNS, "brain")
"""All files that a fold's list may name. brain is the brain mask in model space."""
LESION_PATTERNS = ("lesion", "native_lesion")
NAME = "T2-FLAIR scans preprocessed by msnmo"
SPACES = (
    "Without space- in a file's name, the grid of the scan as it arrived; with space-model, the "
    "grid of the networks, to which the brain's bounding box was resized (geometry in the JSON of "
    "the image)."
)
OF_ALL: Mapping[str, Mapping[str, Any]] = {
    "FLAIR": {"SkullStripped": True, "SpatialReference": SPACES},
    "mask": {"SpatialReference": SPACES},
}
"""What BIDS asks of all images and masks of the derivatives."""
DESCRIBING_DERIVATIVES = (DESCRIPTION, *(f"{ending}.json" for ending in OF_ALL))
"""The files that describe them."""


def build_manifest(cohort: pd.DataFrame, patterns: Mapping[str, str]) -> pd.DataFrame:
    """Return the preprocessed files of every scan.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, session, diagnosis, lesion_mask.
    patterns : mapping
        For each of image, lesion, sidecar, native_lesion and native_brain a path with ``{scan}``
        and, if needed, ``{subject}`` (the bare id) and ``{folder}`` (``sub-X`` or ``sub-X/ses-Y``).

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, the five paths and content, one row per scan in the
        cohort's order. Lesion columns are missing if the scan has no lesion mask. content is a
        digest of the files' bytes, so that the manifest changes only when a scan does.

    Raises
    ------
    InputError
        Lists every missing file.
    """
    return add_files(cohort[["scan", "subject", "diagnosis"]], cohort, patterns)


def add_files(
    table: pd.DataFrame, cohort: pd.DataFrame, patterns: Mapping[str, str]
) -> pd.DataFrame:
    """Return a table of scans with columns of files added, and a digest of the files' bytes.

    Parameters
    ----------
    table : DataFrame
        One row per scan.
    cohort : DataFrame
        Columns scan, subject, session, lesion_mask; the same rows as `table`.
    patterns : mapping
        As for `build_manifest`, some or all of them, or brain.

    Raises
    ------
    InputError
        Lists every missing file.
    """
    added, names = table.copy(), list(patterns)
    for name in names:
        filled = [
            patterns[name].format(scan=row.scan, subject=row.subject, folder=folder_of(row.scan))
            for row in cohort.itertuples()
        ]
        added[name] = pd.Series(filled, index=cohort.index, dtype=object)
    of_lesions = [name for name in LESION_PATTERNS if name in patterns]
    added.loc[cohort["lesion_mask"].isna(), of_lesions] = None
    findings = [
        Finding(path, f"the {name} of scan {row['scan']}", "no such file", "run the workflow again")
        for _, row in added.iterrows()
        for name, path in row[names].dropna().items()
        if not Path(path).is_file()
    ]
    if findings:
        raise InputError(findings)
    added["content"] = [_digest(row.dropna()) for _, row in added[names].iterrows()]
    return added


def relative_to(table: pd.DataFrame, names: Sequence[str], folder: Path) -> pd.DataFrame:
    """Return a table with some columns' paths relative to a folder, as results may be moved."""
    moved = table.copy()
    for name in names:
        paths = table[name]
        moved[name] = paths.map(lambda path: os.path.relpath(path, folder), na_action="ignore")
    return moved


def _digest(paths: pd.Series) -> str:
    return hashlib.sha256("".join(sha256(path) for path in paths).encode()).hexdigest()[:16]


def parse_patterns(arguments: list[str]) -> dict[str, str]:
    """Return the patterns in ``NAME=PATH`` arguments.

    Raises
    ------
    ValueError
        If one is unknown, given twice, lacks ``{scan}`` or has another placeholder.
    """
    pairs = [argument.partition("=")[::2] for argument in arguments]
    names = [name for name, _ in pairs]
    if len(set(names)) < len(names) or not set(names) <= set(KNOWN):
        raise ValueError(f"--pattern NAME=PATH takes each of {', '.join(KNOWN)} once")
    for name, pattern in pairs:
        try:
            distinct = len({pattern.format(scan=i, subject="", folder="") for i in "ab"}) == 2
        except (KeyError, IndexError, ValueError) as error:
            known = "{scan}, {subject} or {folder}"
            raise ValueError(f"pattern {name}={pattern}: {error} is not {known}") from error
        if not distinct:
            raise ValueError(f"pattern {name}={pattern} needs {{scan}}: each scan has its own file")
    return dict(pairs)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the manifest of a preprocessed cohort."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.cohort.manifest", description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument(
        "--pattern",
        action="append",
        required=True,
        metavar="NAME=PATH",
        help=f"path of a scan's file, with {{scan}}, {{subject}}, {{folder}}; once for each of "
        f"{', '.join(PATTERNS)}",
    )
    parser.add_argument(
        "--derivatives", type=Path, help="folder of the scans, to be described as BIDS asks"
    )
    parser.add_argument("--out", type=Path, required=True, help="manifest.tsv")
    given = parser.parse_args(arguments)
    try:
        patterns = parse_patterns(given.pattern)
    except ValueError as error:
        parser.error(str(error))
    if missing := [name for name in PATTERNS if name not in patterns]:
        parser.error(f"--pattern is missing for {', '.join(missing)}")
    if beyond := [name for name in patterns if name not in PATTERNS]:
        parser.error(f"the manifest has no {', '.join(beyond)}")
    if given.derivatives:
        describe_derivative(given.derivatives, NAME, OF_ALL)
    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    manifest = relative_to(build_manifest(cohort, patterns), PATTERNS, given.out.parent)
    write_tsv(given.out, manifest)


if __name__ == "__main__":
    run_command(main)
