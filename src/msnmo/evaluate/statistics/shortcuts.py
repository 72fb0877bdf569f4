"""Whether a classifier tells classes without lesions, over folds, seeds and subjects.

Its AUC as evaluated and with the lesions filled are of the same scans: those with a lesion mask.
Beside them stands a logistic regression on image features, which no seed changes. Chance is an AUC
of one half.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.core.diagnoses import positive, score
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.numbers import as_text, plain
from msnmo.evaluate.aggregate import fold_of, read_metrics
from msnmo.evaluate.metrics import NOT_APPLICABLE
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    auc,
    interval,
    over_seeds,
    replicate,
)
from msnmo.evaluate.statistics.options import add_arguments
from msnmo.evaluate.verdict import CHANCE

EVALUATED, FILLED, DIFFERENCE, FEATURES = "evaluated", "filled", "difference", "features"
"""What an AUC is of: scans as they are, with lesions filled, the difference, features."""
FILLED_COLUMNS = {"method": str, "fold": int, "seed": int, "scan": str, "p_nmosd": float}
FEATURES_COLUMNS = {"fold": int, "scan": str, "p_nmosd": float}
COLUMNS = (
    *("method", "images", "auc", "sd_seeds", "ci_low", "ci_high", "confidence", "above_chance"),
    *("n_folds", "n_undefined_folds", "n_seeds", "n_scans", "n_without_mask", "n_subjects"),
)
NUMBERS = ("auc", "sd_seeds", "ci_low", "ci_high")


def judge(
    images: dict[str, pd.DataFrame], n_without_mask: int, drawn: Drawn, confidence: float
) -> pd.DataFrame:
    """Return the AUC of one method on each kind of images.

    Parameters
    ----------
    images : dict of str to DataFrame
        `EVALUATED`, `FILLED` and `FEATURES`, of the same scans: columns fold, seed, subject,
        diagnosis, p_nmosd; the seed of the features is of no account.
    n_without_mask : int
        Test scans that are in none of them.
    drawn : Drawn
    confidence : float
        Of the intervals, within 0 and 1.

    Returns
    -------
    DataFrame
        A row for each of them and for the difference, `COLUMNS` but for the method. auc: mean over
        folds and seeds; sd_seeds: sample standard deviation of the seeds' values, NaN for one.
        above_chance: yes or no where lesions are filled or unseen: whether the interval is above
        chance; of an AUC of 0 or 1, which has no interval, whether it is.
    """
    of_seeds = {name: _of_seeds(table, drawn) for name, table in images.items()}
    evaluated, filled = of_seeds[EVALUATED], of_seeds[FILLED]
    of_seeds[DIFFERENCE] = {seed: evaluated[seed] - filled[seed] for seed in evaluated}
    rows = []
    for name in (EVALUATED, FILLED, DIFFERENCE, FEATURES):
        table = images[EVALUATED if name == DIFFERENCE else name]
        numbers = _numbers(of_seeds[name], drawn, confidence)
        classes = table.groupby(fold_of(table))["diagnosis"].nunique()
        undefined = int((classes < 2).sum())
        counts = {
            "n_folds": len(classes) - undefined,
            "n_undefined_folds": undefined,
            "n_seeds": len(of_seeds[name]),
            "n_scans": table["scan"].nunique(),
            "n_without_mask": n_without_mask,
            "n_subjects": table["subject"].nunique(),
        }
        row: dict[str, Any] = {"images": name, "confidence": confidence, "above_chance": None}
        row |= numbers | counts
        # as written: whoever reads the interval comes to the same verdict
        if name in (FILLED, FEATURES) and not np.isnan(row["ci_low"]):
            row["above_chance"] = "yes" if float(plain(row["ci_low"])) > CHANCE else "no"
        # an AUC of 0 or 1 is so in every replicate: it has a verdict and no interval
        if row["ci_low"] == row["ci_high"]:
            row |= {"ci_low": np.nan, "ci_high": np.nan}
        rows.append(row)
    return pd.DataFrame(rows)


def _of_seeds(table: pd.DataFrame, drawn: Drawn) -> dict[int, np.ndarray]:
    """Return the mean over folds of each seed, in the cohort (first) and in each replicate."""
    return {
        seed: replicate(
            [
                FoldStatistic(
                    fold["subject"].to_numpy(),
                    auc((fold["diagnosis"] == positive()).to_numpy(), fold["p_nmosd"].to_numpy()),
                )
                for _, fold in of_seed.groupby("fold")
            ],
            drawn.subjects,
        )
        for seed, of_seed in table.groupby("seed")
    }


def _numbers(of_seeds: dict[int, np.ndarray], drawn: Drawn, confidence: float) -> dict[str, float]:
    if not of_seeds:
        return dict.fromkeys(NUMBERS, np.nan)
    # of what no training made, or one alone, no seed is drawn
    one = next(iter(of_seeds.values()))
    replicates = over_seeds(of_seeds, drawn.seeds) if len(of_seeds) > 1 else one
    low, high = interval(replicates[1:], confidence)
    spread = float(pd.Series([each[0] for each in of_seeds.values()]).std())
    return {"auc": float(replicates[0]), "sd_seeds": spread, "ci_low": low, "ci_high": high}


def read_images(
    metrics: Path, filled: Sequence[Path], features: Path, method: str
) -> tuple[dict[str, pd.DataFrame], int]:
    """Read the probabilities of one method, of the scans whose lesions were filled.

    Parameters
    ----------
    metrics : Path
        Table of metrics of this method, among others, as evaluated.
    filled : sequence of Path
        As `msnmo.predict.filled` writes, one a training.
    features : Path
        As `msnmo.evaluate.feature_classifier` writes.
    method : str

    Returns
    -------
    tables : dict of str to DataFrame
        `EVALUATED`, `FILLED` and `FEATURES`: columns fold, seed, scan, p_nmosd, by seed and scan.
    n_without_mask : int
        Test scans that are evaluated and have no mask to fill.

    Raises
    ------
    InputError
        If a file cannot be read, is of another method, or they are not of the same scans.
    """
    parts = [read_tsv(path, FILLED_COLUMNS) for path in filled]
    where = ", ".join(map(str, filled))
    of_filled = pd.concat(parts, ignore_index=True)
    if odd := sorted(set(of_filled["method"]) - {method}):
        raise bad_input(where, f"predictions of {method}", ", ".join(odd), MAKE_AGAIN)
    evaluated = read_metrics(metrics)
    evaluated = evaluated[
        (evaluated["method"] == method)
        & (evaluated["metric"] == score())
        & (evaluated["scan"] != NOT_APPLICABLE)
    ].rename(columns={"value": "p_nmosd"})
    if evaluated.empty:
        raise bad_input(metrics, f"{score()} of {method}", "none", MAKE_AGAIN)
    of_features = read_tsv(features, FEATURES_COLUMNS).assign(seed=0)

    scans = set(of_filled["scan"])
    with_mask = evaluated[evaluated["scan"].isin(scans)]
    key = ["fold", "seed", "scan"]
    if _keys(of_filled, key) != _keys(with_mask, key) or len(of_filled) != len(with_mask):
        expected = f"each scan once in each training of {metrics} that it is tested in"
        raise bad_input(where, expected, "other scans, folds or seeds", MAKE_AGAIN)
    # of several repeats of the cross-validation features have the folds of the first
    first = of_filled[of_filled["seed"] == of_filled["seed"].min()]
    if _keys(of_features, key[::2]) != _keys(first, key[::2]):
        raise bad_input(features, f"the scans and folds of {where}", "others", MAKE_AGAIN)
    tables = {EVALUATED: with_mask, FILLED: of_filled, FEATURES: of_features}
    ordered = {
        name: table.sort_values(["seed", "scan"], ignore_index=True)[[*key, "p_nmosd"]]
        for name, table in tables.items()
    }
    return ordered, evaluated["scan"].nunique() - len(scans)


def _keys(table: pd.DataFrame, columns: list[str]) -> set[tuple[object, ...]]:
    return set(table[columns].itertuples(index=False, name=None))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write how well a method tells classes with lesions, without them, and features do."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.statistics.shortcuts", description=__doc__
    )
    parser.add_argument("--method", required=True, help="the method's name in the config")
    parser.add_argument("--metrics", type=Path, required=True, help="table of metrics")
    parser.add_argument(
        "--filled",
        type=Path,
        nargs="+",
        required=True,
        help="tables of msnmo.predict.filled: the trainings of the method",
    )
    parser.add_argument(
        "--features", type=Path, required=True, help="table of msnmo.evaluate.feature_classifier"
    )
    add_arguments(parser)
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    images, without = read_images(given.metrics, given.filled, given.features, given.method)
    if stray := sorted(set(images[EVALUATED]["scan"]) - set(folds["scan"])):
        expected = f"the scans of {given.folds}"
        raise bad_input(given.metrics, expected, f"also {', '.join(stray)}", MAKE_AGAIN)
    about = folds[["scan", "subject", "diagnosis"]]
    images = {name: each.merge(about, on="scan", validate="m:1") for name, each in images.items()}
    seeds = [int(seed) for seed in images[EVALUATED]["seed"].unique()]
    # where no scan has a mask there is nothing to draw a seed for
    drawn = Drawn.draw(folds, seeds or [0], given.replicates, given.seed)
    table = judge(images, without, drawn, given.confidence)
    table.insert(0, "method", given.method)
    write_tsv(given.out, as_text(table[list(COLUMNS)], NUMBERS))


if __name__ == "__main__":
    run_command(main)
