"""Whether the maps of one method find lesions better than chance, over folds, seeds and subjects.

Chance is an AUROC of one half. For peak and energy, which depend on how much of a brain is lesion,
it is the random map's value on the same scans.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.numbers import plain
from msnmo.evaluate.localisation import AUROC, FLAT, METRICS, RANDOM
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    interval,
    mean,
    over_seeds,
    replicate,
)
from msnmo.evaluate.verdict import CHANCE

UNTRAINED_COLUMNS = {**dict.fromkeys(("scan", "map", "metric"), str), "fold": int, "value": float}
MEASURED_COLUMNS = {"method": str, "seed": int} | UNTRAINED_COLUMNS


def judge(measured: pd.DataFrame, drawn: Drawn, confidence: float) -> pd.DataFrame:
    """Return each metric of each map over all folds and seeds of one method.

    Parameters
    ----------
    measured : DataFrame
        Columns method, fold, seed (NaN of maps that no network made), scan, map, metric, value (NaN
        where a scan has none), subject.
    drawn : Drawn
    confidence : float
        Of the intervals, within 0 and 1.

    Returns
    -------
    DataFrame
        A row per map and metric, in the order of `measured`: mean (of the folds' means over seeds
        of means over scans), sd (sample standard deviation of the folds', NaN for one fold),
        sd_seeds (the same of the seeds' means over folds, NaN for one seed), ci_low, ci_high,
        confidence,
        chance, beats_chance (yes or no, of the AUROC alone: whether ci_low is above chance),
        n_folds, n_undefined_folds, n_maps, n_scans, n_undefined_scans (scans without a value, in no
        mean), n_subjects (of the scans with one), n_flat (of n_maps, which a scan has of each seed:
        those that show no place).
    """
    flat = measured[measured["metric"] == FLAT].groupby("map")["value"].sum()
    rows = []
    for name in measured["map"].unique():
        of_map = measured[measured["map"] == name]
        rows += [
            {"method": measured["method"].iloc[0], "map": name, "metric": metric}
            | _row(of_map[of_map["metric"] == metric], drawn, confidence)
            | {"confidence": confidence, "n_flat": int(flat[name])}
            for metric in METRICS
        ]
    table = pd.DataFrame(rows)
    chance = {**table[table["map"] == RANDOM].set_index("metric")["mean"], AUROC: CHANCE}
    table["chance"] = table["metric"].map(chance)
    table["beats_chance"] = None
    judged = (table["metric"] == AUROC) & table["ci_low"].notna()
    # as written: whoever reads the interval comes to the same verdict
    better = np.where(table["ci_low"].map(plain).astype(float) > CHANCE, "yes", "no")
    table["beats_chance"] = table["beats_chance"].where(~judged, pd.Series(better, table.index))
    return table[list(COLUMNS)]


NUMBERS = ("mean", "sd", "sd_seeds", "ci_low", "ci_high", "chance")
COLUMNS = (
    *("method", "map", "metric", "mean", "sd", "sd_seeds", "ci_low", "ci_high", "confidence"),
    *("chance", "beats_chance", "n_folds", "n_undefined_folds"),
    *("n_scans", "n_undefined_scans", "n_subjects", "n_maps", "n_flat"),
)


def _replicates(values: pd.DataFrame, drawn: Drawn) -> np.ndarray:
    """Return the mean over folds and seeds in the cohort (first) and in each replicate."""
    of_seeds = {
        seed: replicate(
            [
                FoldStatistic(fold["subject"].to_numpy(), mean(fold["value"].to_numpy()))
                for _, fold in of_seed.groupby("fold")
            ],
            drawn.subjects,
        )
        for seed, of_seed in values.groupby("seed", dropna=False)
    }
    # of maps that only one training made, or none, no seed is drawn
    return over_seeds(of_seeds, drawn.seeds) if len(of_seeds) > 1 else next(iter(of_seeds.values()))


def _row(values: pd.DataFrame, drawn: Drawn, confidence: float) -> dict[str, float]:
    replicates = _replicates(values, drawn)
    low, high = interval(replicates[1:], confidence)
    of_trainings = values.groupby(["fold", "seed"], dropna=False)["value"].mean()
    of_folds, of_seeds = (
        of_trainings.groupby(each, dropna=False).mean() for each in ("fold", "seed")
    )
    defined = values.dropna(subset=["value"])
    return {
        "mean": float(replicates[0]),
        "sd": float(of_folds.std()),
        "sd_seeds": float(of_seeds.std()),
        "ci_low": low,
        "ci_high": high,
        "n_folds": int(of_folds.notna().sum()),
        "n_undefined_folds": int(of_folds.isna().sum()),
        "n_scans": values["scan"].nunique(),
        "n_undefined_scans": values.loc[values["value"].isna(), "scan"].nunique(),
        "n_subjects": defined["subject"].nunique(),
        "n_maps": len(values),
    }


def read_measured(trained: Sequence[Path], untrained: Sequence[Path]) -> pd.DataFrame:
    """Read what `msnmo.evaluate.localisation` wrote of the folds and seeds of one method.

    Parameters
    ----------
    trained : sequence of Path
        Of the method's trainings, one each.
    untrained : sequence of Path
        Of the maps that no network made, one a fold.

    Raises
    ------
    InputError
        If a file cannot be read, methods differ, a scan is measured twice, or a map lacks a scan.
    """
    tables = [read_tsv(path, MEASURED_COLUMNS) for path in trained]
    where = ", ".join(map(str, (*trained, *untrained)))
    if len(methods := sorted(set(pd.concat(tables)["method"]))) != 1:
        found = ", ".join(methods) or "none"
        raise bad_input(where, "the trainings of one method", found, MAKE_AGAIN)
    tables += [read_tsv(path, UNTRAINED_COLUMNS).assign(method=methods[0]) for path in untrained]
    table = pd.concat(tables, ignore_index=True)
    key = ["seed", "scan", "map", "metric"]
    if table.duplicated(key).any():
        raise bad_input(where, "each scan of a training once", "some repeatedly", MAKE_AGAIN)
    counts = table.groupby(["map", "seed", "metric"], dropna=False).size().unstack()
    metrics = {*METRICS, FLAT}
    if set(counts) != metrics or (counts != table["scan"].nunique()).any(axis=None):
        expected = f"{', '.join(sorted(metrics))} of each map of each scan"
        raise bad_input(where, expected, "not all of them", MAKE_AGAIN)
    return table


def as_text(table: pd.DataFrame) -> pd.DataFrame:
    """Return the table as it is written: nothing is rounded that somebody will round to show."""
    text = table.astype(object)
    for name in NUMBERS:
        text[name] = [None if pd.isna(value) else plain(value) for value in table[name]]
    return text


def main(arguments: Sequence[str] | None = None) -> None:
    """Write how well the maps of a method find lesions, and whether better than chance."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.statistics.maps", description=__doc__
    )
    parser.add_argument(
        "--measured",
        type=Path,
        nargs="+",
        required=True,
        help="tables of msnmo.evaluate.localisation: the trainings of one method",
    )
    parser.add_argument(
        "--untrained",
        type=Path,
        nargs="+",
        required=True,
        help="tables of the same: the folds, of maps that no network made",
    )
    parser.add_argument("--folds", type=Path, required=True, help="folds.tsv")
    parser.add_argument("--seed", type=int, required=True, help="of the bootstrap")
    parser.add_argument("--replicates", type=int, default=2000, help="bootstrap samples")
    parser.add_argument("--confidence", type=float, default=0.95, help="of the intervals")
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    measured = read_measured(given.measured, given.untrained)
    if stray := sorted(set(measured["scan"]) - set(folds["scan"])):
        expected = f"the scans of {given.folds}"
        raise bad_input("--measured", expected, f"also {', '.join(stray)}", MAKE_AGAIN)
    measured = measured.merge(folds[["scan", "subject"]], on="scan", validate="m:1")
    seeds = measured["seed"].dropna().astype(int)
    drawn = Drawn.draw(folds, seeds, given.replicates, given.seed)
    write_tsv(given.out, as_text(judge(measured, drawn, given.confidence)))


if __name__ == "__main__":
    run_command(main)
