"""Evaluate one method on one fold: every metric of each scan and of the fold."""

from __future__ import annotations

import argparse
import math
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.parts import read_part
from msnmo.core.arguments import finite
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import write_tsv
from msnmo.core.numbers import fixed
from msnmo.evaluate.fold import evaluate_fold
from msnmo.evaluate.inputs import TRUTH_COLUMNS
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE
from msnmo.settings.methods import get_method

RATES = ("SP", "SN")
"""The rates of class 0 and class 1: the share of its scans that are classified right."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the metrics of one training on the test scans of its fold."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.evaluate", description=__doc__)
    parser.add_argument("--predictions", type=Path, required=True, help="folder of the fold")
    parser.add_argument(
        "--scans", type=Path, required=True, help="the test scans, from msnmo.cohort.parts (TSV)"
    )
    parser.add_argument("--method", required=True, help="the method's name in the config")
    parser.add_argument("--fold", type=int, required=True, help="the test fold, from 0")
    parser.add_argument("--seed", type=int, required=True, help="seed of the training")
    parser.add_argument(
        "--smallest-lesion-mm3", type=finite, required=True, help="smallest counted lesion"
    )
    parser.add_argument("--out", type=Path, required=True, help="table of metrics")
    given = parser.parse_args(arguments)

    method, fold = get_method(given.method), given.fold
    manifest = read_part(given.scans, tuple(TRUTH_COLUMNS.values()))
    if others := sorted(set(manifest["fold"]) - {fold}):
        found = f"scans of fold {', '.join(map(str, others))}"
        raise bad_input(given.scans, f"only scans of fold {fold}", found, "correct --fold")
    tests = manifest[["scan", "diagnosis"]]
    metrics = evaluate_fold(
        *(given.predictions, manifest, tests, method.tasks, given.smallest_lesion_mm3)
    )
    _report(metrics, tests)
    _warn(metrics, tests, manifest)
    metrics.insert(0, "method", method.name)
    metrics.insert(1, "fold", fold)
    metrics.insert(2, "seed", given.seed)
    write_tsv(given.out, metrics)


def _report(metrics: pd.DataFrame, tests: pd.DataFrame) -> None:
    print(f"{len(tests)} test scans")
    of_fold = metrics[metrics["scan"] == NOT_APPLICABLE]
    for space, rows in of_fold.groupby("space", sort=False):
        values = "  ".join(
            f"{row.metric} {NOT_APPLICABLE if math.isnan(row.value) else fixed(row.value, 4)}"
            for row in rows.itertuples()
        )
        print(f"  {values}" + ("" if space == NOT_APPLICABLE else f"  ({space} space)"))


def _warn(metrics: pd.DataFrame, tests: pd.DataFrame, manifest: pd.DataFrame) -> None:
    """Warn about what the numbers leave out. Nothing is left out silently."""
    if "ACC" in set(metrics["metric"]):
        for name, rate in zip(diagnoses(), RATES, strict=True):
            if name not in set(tests["diagnosis"]):
                print(f"warning: no test scan of class {name}: {rate} and AUC are n/a")
    unread = manifest.loc[manifest["lesion"].isna(), "scan"]
    if without := sorted(set(tests["scan"]) & set(unread)):
        print(f"warning: no lesion mask, so masks are not compared: {', '.join(without)}")
    undefined = metrics[(metrics["scan"] != NOT_APPLICABLE) & metrics["value"].isna()]
    for (scan, space), rows in undefined.groupby(["scan", "space"]):
        names = ", ".join(rows["metric"])
        print(f"warning: {scan}: an empty lesion mask in {space} space: {names} are n/a")
    volumes = metrics[metrics["metric"].isin(("V_TRUE", "V_PRED"))]
    empty = (volumes["value"] == 0).groupby(volumes["scan"]).sum()
    worst = " and ".join(each.name for each in METRICS.values() if each.penalised)
    for scan in empty.index[empty == 1]:
        print(f"warning: {scan}: one mask is empty: {worst} are set to the diagonal of its grid")


if __name__ == "__main__":
    run_command(main)
