"""Evaluate a bundle on an outside cohort that it was applied to: the workflow's rule."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from msnmo.apply.evaluation import COHORT_COLUMNS, Settings, evaluate
from msnmo.apply.evaluation_page import in_words, write_evaluation
from msnmo.apply.overlap import COLUMNS as OVERLAP_COLUMNS
from msnmo.bundle.contents import read_bundle
from msnmo.cohort.excluded import read_excluded
from msnmo.core.arguments import between_0_and_1, finite
from msnmo.core.errors import run_command
from msnmo.core.files import read_tsv


def main(arguments: Sequence[str] | None = None) -> None:
    """Write tables, page and figure."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.apply.evaluate_bundle", description=__doc__
    )
    parser.add_argument("--bundle", type=Path, required=True, help="folder of the bundle")
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv")
    parser.add_argument("--excluded", type=Path, required=True, help="excluded.tsv")
    parser.add_argument("--overlap", type=Path, required=True, help="of msnmo.apply.overlap")
    parser.add_argument("--applied", type=Path, required=True, help="folder that holds sub-*")
    parser.add_argument(
        "--truth", required=True, help="a scan's lesion mask, with {scan} and {folder}"
    )
    parser.add_argument("--seed", type=int, required=True, help="of the bootstrap")
    parser.add_argument("--replicates", type=int, required=True, help="bootstrap samples")
    parser.add_argument(
        "--confidence", type=between_0_and_1, required=True, help="of the intervals"
    )
    parser.add_argument("--combine", required=True, help="how raters' masks were combined")
    parser.add_argument(
        "--smallest-lesion-mm3", type=finite, required=True, help="from which a lesion is counted"
    )
    given = parser.parse_args(arguments)
    settings = Settings(
        *(given.seed, given.replicates, given.confidence, given.combine),
        smallest_mm3=given.smallest_lesion_mm3,
    )
    evaluation = evaluate(
        # its files were compared with their checksums when it was applied
        read_bundle(given.bundle, verify=False),
        read_tsv(given.cohort, COHORT_COLUMNS),
        read_tsv(given.overlap, OVERLAP_COLUMNS),
        applied=given.applied,
        truth=given.truth,
        settings=settings,
        excluded=read_excluded(given.excluded),
    )
    write_evaluation(given.applied, evaluation)
    print(in_words(evaluation))


if __name__ == "__main__":
    run_command(main)
