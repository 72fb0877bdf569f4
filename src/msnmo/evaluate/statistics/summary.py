"""Mean, spread and interval over folds and seeds of what each scan has a value of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.core.files import MAKE_AGAIN
from msnmo.evaluate.aggregate import fold_of
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    mean,
    over_seeds,
    replicate,
    share_interval,
)


def with_subjects(measured: pd.DataFrame, folds: pd.DataFrame, path: Path) -> pd.DataFrame:
    """Return what was measured of scans with a column subject.

    Parameters
    ----------
    measured : DataFrame
        With a column scan.
    folds : DataFrame
        Columns scan, subject.
    path : Path
        Where the folds were read.

    Raises
    ------
    InputError
        Naming the scans that are in no fold.
    """
    if stray := sorted(set(measured["scan"]) - set(folds["scan"])):
        found = f"also {', '.join(stray)}"
        raise bad_input("--measured", f"the scans of {path}", found, MAKE_AGAIN)
    return measured.merge(folds[["scan", "subject"]], on="scan", validate="m:1")


def over_trainings(values: pd.DataFrame, drawn: Drawn) -> np.ndarray:
    """Return the mean over folds and seeds in the cohort (first) and in each replicate, (R + 1,).

    Parameters
    ----------
    values : DataFrame
        Columns fold, seed (NaN of what no network made), subject, value (NaN where undefined), a
        row per scan and seed.
    drawn : Drawn
    """
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
    # of what only one training made, or none, no seed is drawn
    return over_seeds(of_seeds, drawn.seeds) if len(of_seeds) > 1 else next(iter(of_seeds.values()))


def summarise(
    values: pd.DataFrame, drawn: Drawn, confidence: float, fold: Sequence[str] = ()
) -> dict[str, float | str | None]:
    """Return the number of a table, how it spreads, and what it is made of.

    Parameters
    ----------
    values : DataFrame
        As of `over_trainings`, with a column scan; values are in [0, 1].
    drawn : Drawn
    confidence : float
        Of the interval, within 0 and 1.
    fold : sequence of str, optional
        The columns that tell a fold from every other, where the values alone may not say it.

    Returns
    -------
    dict
        mean (of the folds' means over seeds of means over scans), sd (sample standard deviation of
        the folds', as `msnmo.evaluate.aggregate.across_folds` counts them, NaN for one fold),
        sd_seeds (the same of the seeds' means over folds, NaN for one seed), ci_low, ci_high,
        interval (bootstrap or exact, None for none), n_folds, n_undefined_folds, n_scans,
        n_undefined_scans (without a value in some seed), n_subjects (of the scans with one).
    """
    replicates = over_trainings(values, drawn)
    of_trainings = values.groupby(["fold", "seed"], dropna=False)["value"].mean()
    of_folds, of_seeds = (
        of_trainings.groupby(each, dropna=False).mean()
        for each in ([*fold] or fold_of(values), "seed")
    )
    subjects = values.dropna(subset=["value"])["subject"].nunique()
    low, high, made = share_interval(replicates[1:], subjects, confidence, whole=1)
    return {
        "mean": float(replicates[0]),
        "sd": float(of_folds.std()),
        "sd_seeds": float(of_seeds.std()),
        "ci_low": low,
        "ci_high": high,
        "interval": made,
        "n_folds": int(of_folds.notna().sum()),
        "n_undefined_folds": int(of_folds.isna().sum()),
        "n_scans": values["scan"].nunique(),
        "n_undefined_scans": values.loc[values["value"].isna(), "scan"].nunique(),
        "n_subjects": subjects,
    }
