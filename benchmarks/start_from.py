"""Print the DSC from random weights and from the starter's: the end of benchmarks/start_from.sh."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.evaluate.aggregate import across_folds, read_metrics

DRAWS = 2000


def main(folder: Path) -> None:
    """Print a row for each number of training scans."""
    rows = []
    for scans in (6, 12, 24):
        tables = [read_metrics(folder / f"{start}-{scans}.tsv") for start in ("random", "starter")]
        low, high = _interval(*map(_by_scan, tables))
        (random, sd), (starter, sd_starter) = map(_mean_and_sd, tables)
        rows.append((random, sd, starter, sd_starter, starter - random, low, high))
    columns = ["random", "sd", "starter", "sd", "difference", "low", "high"]
    table = pd.DataFrame(rows, index=pd.Index([6, 12, 24], name="scans"), columns=columns)
    print((100 * table).round(1).to_string())


def _mean_and_sd(table: pd.DataFrame) -> tuple[float, float]:
    """Return the mean DSC and its standard deviation over seeds."""
    row = across_folds(table).set_index(["metric", "space"]).loc[("DSC", "model")]
    return row["mean"], row["sd_seeds"]


def _by_scan(table: pd.DataFrame) -> pd.DataFrame:
    """Return the DSC of each scan (rows) and seed (columns)."""
    kept = (table["metric"] == "DSC") & (table["space"] == "model") & (table["scan"] != "n/a")
    return table[kept].pivot(index="scan", columns="seed", values="value")


def _interval(random: pd.DataFrame, starter: pd.DataFrame) -> tuple[float, float]:
    """Return the 95 % interval of the mean paired difference; scans and seeds are resampled."""
    differences = (starter - random).to_numpy()
    rng = np.random.default_rng(0)
    scans, seeds = (rng.integers(size, size=(DRAWS, size)) for size in differences.shape)
    means = np.nanmean(differences[scans[:, :, None], seeds[:, None, :]], axis=(1, 2))
    low, high = np.quantile(means, (0.025, 0.975))
    return low, high


if __name__ == "__main__":
    main(Path(sys.argv[1]))
