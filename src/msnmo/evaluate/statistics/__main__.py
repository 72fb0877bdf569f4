"""Compare the methods of tables with the joint model: intervals, paired tests, Holm's correction.

The units are subjects. Intervals are bootstrapped over subjects and, if there are several, over the
seeds of the trainings. In that case the bootstrap tests every difference. With one seed, a metric
of single scans is tested by Wilcoxon's signed rank test of the subjects' mean differences, and the
shares of scans classified right (ACC, SN, SP) by permutation of the subjects' signs. AUC and volume
correlation are not defined for a scan. They are tested by the bootstrap of their difference. A
share of 0 or 100 % has an exact interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import get_args

import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.core.arguments import between_0_and_1
from msnmo.core.errors import run_command
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.numbers import as_text
from msnmo.evaluate.aggregate import read_metrics
from msnmo.evaluate.metrics import TABLE_METRICS, Space
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.compare import (
    COLUMNS,
    COUNTS,
    NUMBERS,
    compare_tables,
    in_order,
)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the statistics of tables, or join tables written before."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.statistics", description=__doc__
    )
    parser.add_argument("--metrics", type=Path, help="table of metrics")
    parser.add_argument("--folds", type=Path, help="folds.tsv")
    parser.add_argument("--tables", nargs="+", choices=TABLE_METRICS, help="their numbers")
    parser.add_argument("--seed", type=int, help="seed of the bootstrap")
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--confidence", type=between_0_and_1, default=0.95, help="confidence level")
    parser.add_argument(
        "--space", choices=get_args(Space), default="model", help="where masks are compared"
    )
    parser.add_argument(
        "--combine", nargs="+", type=Path, help="join these tables instead of computing them"
    )
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)
    if given.combine:
        text = dict.fromkeys(COLUMNS, str)
        parts = [read_tsv(path, text).astype(object) for path in given.combine]
        write_tsv(given.out, in_order(pd.concat(parts)))
        return
    if missing := [n for n in ("metrics", "folds", "tables", "seed") if getattr(given, n) is None]:
        parser.error(f"without --combine, --{', --'.join(missing)} must be given")

    folds = read_folds(given.folds)
    metrics = read_metrics(given.metrics)
    drawn = Drawn.draw(folds, metrics["seed"], given.replicates, given.seed)
    compared = compare_tables(
        *(given.tables, metrics, folds, drawn),
        confidence=given.confidence,
        space=given.space,
    )
    write_tsv(given.out, as_text(compared, (*NUMBERS, *COUNTS)))


if __name__ == "__main__":
    run_command(main)
