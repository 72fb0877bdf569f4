"""The manifest: where the preprocessed files of every scan are, checked to be there."""

from __future__ import annotations

import argparse
import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.files import read_tsv, sha256, write_tsv

COHORT_COLUMNS = {
    "scan": str,
    "subject": str,
    "session": str,
    "diagnosis": str,
    "lesion_mask": str,
}
PATTERNS = ("image", "lesion", "sidecar", "native_lesion", "native_brain")
LESION_PATTERNS = ("lesion", "native_lesion")


def build_manifest(cohort: pd.DataFrame, patterns: Mapping[str, str]) -> pd.DataFrame:
    """Return the preprocessed files of every scan.

    Parameters
    ----------
    cohort : DataFrame
        Columns scan, subject, session, diagnosis, lesion_mask.
    patterns : mapping
        For each of image, lesion, sidecar, native_lesion and native_brain a path with
        ``{scan}`` and, as needed, ``{subject}`` (the bare id) and ``{folder}`` (``sub-X`` or
        ``sub-X/ses-Y``).

    Returns
    -------
    DataFrame
        Columns scan, subject, diagnosis, the five paths and content, a row a scan in the cohort's
        order. The lesion columns are missing where the scan has no lesion mask. The content is a
        digest of the files' bytes: the manifest changes when a scan does, and only then, and so
        do the trainings that read it.

    Raises
    ------
    InputError
        With every file that is not there.
    """
    manifest = cohort[["scan", "subject", "diagnosis"]].copy()
    for name in PATTERNS:
        filled = [
            patterns[name].format(scan=row.scan, subject=row.subject, folder=_folder(row))
            for row in cohort.itertuples()
        ]
        manifest[name] = pd.Series(filled, index=cohort.index, dtype=object)
    manifest.loc[cohort["lesion_mask"].isna(), list(LESION_PATTERNS)] = None
    findings = [
        Finding(path, f"the {name} of scan {row['scan']}", "no such file", "run the workflow again")
        for _, row in manifest.iterrows()
        for name, path in row[list(PATTERNS)].dropna().items()
        if not Path(path).is_file()
    ]
    if findings:
        raise InputError(findings)
    manifest["content"] = [_digest(row.dropna()) for _, row in manifest[list(PATTERNS)].iterrows()]
    return manifest


def _digest(paths: pd.Series) -> str:
    return hashlib.sha256("".join(sha256(path) for path in paths).encode()).hexdigest()[:16]


def _folder(row: Any) -> str:
    return f"sub-{row.subject}" + ("" if pd.isna(row.session) else f"/ses-{row.session}")


def parse_patterns(arguments: list[str]) -> dict[str, str]:
    """Return the patterns of ``NAME=PATH`` arguments.

    Raises
    ------
    ValueError
        If one is unknown, missing, given twice, without ``{scan}`` or with another placeholder.
    """
    pairs = [argument.partition("=")[::2] for argument in arguments]
    if sorted(name for name, _ in pairs) != sorted(PATTERNS):
        raise ValueError(f"--pattern NAME=PATH is needed once for each of {', '.join(PATTERNS)}")
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
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument(
        "--pattern",
        action="append",
        required=True,
        metavar="NAME=PATH",
        help=f"where a scan's file is, with {{scan}}, {{subject}}, {{folder}}; once for each of "
        f"{', '.join(PATTERNS)}",
    )
    parser.add_argument("--out", type=Path, required=True, help="manifest.tsv")
    given = parser.parse_args(arguments)
    try:
        patterns = parse_patterns(given.pattern)
    except ValueError as error:
        parser.error(str(error))
    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    write_tsv(given.out, build_manifest(cohort, patterns))


if __name__ == "__main__":
    run_command(main)
