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
from msnmo.core.numbers import as_text, plain
from msnmo.evaluate.maps import AUROC, FLAT, METRICS, RANDOM
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.options import add_arguments
from msnmo.evaluate.statistics.summary import summarise, with_subjects
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
        A row per map and metric, in the order of `measured`: what
        `msnmo.evaluate.statistics.summary.summarise` returns, confidence, chance, beats_chance (yes
        or no, of the AUROC alone: whether ci_low is above chance), n_maps (which a scan has of each
        seed), n_flat (of these, those that show no place).
    """
    flat = measured[measured["metric"] == FLAT].groupby("map")["value"].sum()
    rows = []
    for name in measured["map"].unique():
        of_map = measured[measured["map"] == name]
        rows += [
            {"method": measured["method"].iloc[0], "map": name, "metric": metric}
            | summarise(values := of_map[of_map["metric"] == metric], drawn, confidence)
            | {"confidence": confidence, "n_maps": len(values), "n_flat": int(flat[name])}
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
    *("method", "map", "metric", "mean", "sd", "sd_seeds", "ci_low", "ci_high", "interval"),
    *("confidence", "chance", "beats_chance", "n_folds", "n_undefined_folds"),
    *("n_scans", "n_undefined_scans", "n_subjects", "n_maps", "n_flat"),
)


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
    add_arguments(parser)
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    measured = with_subjects(read_measured(given.measured, given.untrained), folds, given.folds)
    seeds = measured["seed"].dropna().astype(int)
    drawn = Drawn.draw(folds, seeds, given.replicates, given.seed)
    judged = judge(measured, drawn, given.confidence)
    write_tsv(given.out, as_text(judged, NUMBERS))


if __name__ == "__main__":
    run_command(main)
