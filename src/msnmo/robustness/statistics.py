"""How much perturbations change a method's results, over folds and subjects.

Each condition is compared with the same scans without perturbation, by the same networks. DSC is in
native space: the mean over the scans of a fold, then over folds. The interval of its difference is
bootstrapped over subjects, as in the other tables. A class flips if the more likely class changes.
The share of flips is that of all scans together, with Wilson's interval.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.core.diagnoses import score
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.numbers import as_text
from msnmo.evaluate.aggregate import read_metrics
from msnmo.evaluate.classification import predicted_nmosd
from msnmo.evaluate.metrics import NOT_APPLICABLE
from msnmo.evaluate.statistics.bootstrap import Drawn, interval
from msnmo.evaluate.statistics.options import add_arguments
from msnmo.evaluate.statistics.summary import over_trainings, summarise, with_subjects
from msnmo.robustness.conditions import UNPERTURBED

MEASURED_COLUMNS = {
    **{"method": str, "fold": int, "seed": int, "scan": str, "perturbation": str, "severity": str},
    **{"dsc": float, "p_nmosd": float, "left_out": str},
}
"""Columns of the tables of msnmo.robustness.predict."""
COUNTS = ("n_scans", "n_left_out", "n_dsc", "n_subjects", "n_classified", "n_flips")
NUMBERS = (
    *("dsc", "dsc_low", "dsc_high", "difference", "difference_low", "difference_high"),
    *("flips", "flips_low", "flips_high"),
)
COLUMNS = {
    **dict.fromkeys(("method", "perturbation", "severity"), str),
    **dict.fromkeys(COUNTS, int),
    **dict.fromkeys((*NUMBERS, "confidence"), float),
    **{"seed": int, "left_out": str},
}
"""Columns of the written table, one row per condition, with unperturbed scans first."""
NO_WIDTH = 1e-9
"""A narrower interval has no real width, only the last digits of sums."""


def _evaluated() -> dict[str, str]:
    """Return the metrics of unperturbed scans, and their names here.

    p_nmosd is the probability of class 1, whatever its label is.
    """
    return {"DSC": "dsc_evaluated", score(): "p_nmosd_evaluated"}


def judge(measured: pd.DataFrame, drawn: Drawn, confidence: float) -> pd.DataFrame:
    """Return what one method loses in each condition.

    Parameters
    ----------
    measured : DataFrame
        As `read_measured` returns, with a column subject.
    drawn : Drawn
    confidence : float
        Confidence of the intervals, between 0 and 1.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`. n_scans counts the scans that the condition could be made of. n_left_out
        counts the others, and left_out has the reasons with their numbers. dsc is NaN if the method
        does not segment, flips if it does not classify.
    """
    key = ["perturbation", "severity"]
    conditions = [
        (perturbation, severity, rows)
        for (perturbation, severity), rows in measured.groupby(key, sort=False)
    ]
    once = measured.drop_duplicates("scan")
    unperturbed = once.assign(
        dsc=once["dsc_evaluated"], p_nmosd=once["p_nmosd_evaluated"], left_out=None
    )
    conditions.insert(0, (UNPERTURBED, UNPERTURBED, unperturbed))
    rows = [
        {"perturbation": perturbation, "severity": severity, **_row(each, drawn, confidence)}
        for perturbation, severity, each in conditions
    ]
    table = pd.DataFrame(rows).assign(
        method=once["method"].iloc[0], seed=once["seed"].iloc[0], confidence=confidence
    )
    return table[list(COLUMNS)]


def _row(rows: pd.DataFrame, drawn: Drawn, confidence: float) -> dict[str, object]:
    made = rows[rows["left_out"].isna()]
    compared = made.dropna(subset=["dsc", "dsc_evaluated"])
    change = compared["dsc"] - compared["dsc_evaluated"]
    told = made.dropna(subset=["p_nmosd", "p_nmosd_evaluated"])
    flipped = predicted_nmosd(told["p_nmosd"]) != predicted_nmosd(told["p_nmosd_evaluated"])
    low, high = _wilson(int(flipped.sum()), len(told), confidence)
    return {
        "n_scans": len(made),
        "n_left_out": len(rows) - len(made),
        "n_dsc": len(compared),
        "n_subjects": made["subject"].nunique(),
        "n_classified": len(told),
        "n_flips": int(flipped.sum()),
        **_mean_dsc(compared, drawn, confidence),
        **_mean_difference(compared.assign(value=change), drawn, confidence),
        **{"flips": flipped.mean() if len(told) else np.nan, "flips_low": low, "flips_high": high},
        "left_out": "; ".join(_reasons(rows["left_out"].dropna())) or None,
    }


def _mean_dsc(rows: pd.DataFrame, drawn: Drawn, confidence: float) -> dict[str, object]:
    if rows.empty:
        return dict.fromkeys(("dsc", "dsc_low", "dsc_high"), np.nan)
    found = summarise(rows.assign(value=rows["dsc"]), drawn, confidence)
    return {"dsc": found["mean"], "dsc_low": found["ci_low"], "dsc_high": found["ci_high"]}


def _mean_difference(rows: pd.DataFrame, drawn: Drawn, confidence: float) -> dict[str, float]:
    """Return the mean difference. If all scans differ by the same amount, there is no interval."""
    names = ("difference", "difference_low", "difference_high")
    if rows.empty:
        return dict.fromkeys(names, np.nan)
    replicates = over_trainings(rows, drawn)
    low, high = interval(replicates[1:], confidence)
    if high - low < NO_WIDTH:
        low = high = np.nan
    return dict(zip(names, (float(replicates[0]), low, high), strict=True))


def _wilson(count: int, of: int, confidence: float) -> tuple[float, float]:
    # a second that all who only read the names of columns need not pay for
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415

    if not of:
        return np.nan, np.nan
    bounds = proportion_confint(count, of, alpha=1 - confidence, method="wilson")
    # of no flips the lower bound is 0 but for the last digit
    low, high = (round(float(each), 12) for each in bounds)
    return low, high


def _reasons(texts: pd.Series) -> Iterator[str]:
    for text, count in sorted(texts.value_counts().items()):
        yield f"{text} ({count})"


def read_measured(paths: Sequence[Path], metrics: Sequence[Path]) -> pd.DataFrame:
    """Read one method's results on perturbed scans, with its metrics on the unperturbed scans.

    Parameters
    ----------
    paths : sequence of Path
        As `msnmo.robustness.predict` writes, one a fold.
    metrics : sequence of Path
        As `msnmo.evaluate` writes, of the same trainings.

    Returns
    -------
    DataFrame
        Columns `MEASURED_COLUMNS`, dsc_evaluated (native space), p_nmosd_evaluated.

    Raises
    ------
    InputError
        If a file cannot be read, if files differ in method, seed or scans, or if a scan lacks a
        condition that others have.
    """
    where = ", ".join(map(str, paths))
    table = pd.concat([read_tsv(path, MEASURED_COLUMNS) for path in paths], ignore_index=True)
    runs = table[["method", "seed"]].drop_duplicates()
    if len(runs) != 1:
        raise bad_input(where, "one training of a method per fold", f"{len(runs)}", MAKE_AGAIN)
    scans, conditions = table["scan"].nunique(), ["perturbation", "severity"]
    if table.duplicated(["scan", *conditions]).any() or len(table) != scans * len(
        table[conditions].drop_duplicates()
    ):
        raise bad_input(where, "each condition of each scan once", "others", MAKE_AGAIN)

    known = pd.concat([read_metrics(path) for path in metrics], ignore_index=True)
    evaluated = _evaluated()
    chosen = known["metric"].isin(evaluated) & known["space"].isin(["native", NOT_APPLICABLE])
    known = known[chosen & (known["scan"] != NOT_APPLICABLE)]
    run = ["method", "seed", "fold", "scan"]
    wide = known.pivot(index=run, columns="metric", values="value").rename(columns=evaluated)
    wide = wide.reindex(columns=list(evaluated.values())).reset_index()
    listed = set(table[run].itertuples(index=False, name=None))
    if listed - set(wide[run].itertuples(index=False, name=None)):
        expected = f"the trainings and scans of {', '.join(map(str, metrics))}"
        raise bad_input(where, expected, "others", MAKE_AGAIN)
    return table.merge(wide, on=run, validate="m:1")


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what one method loses in each condition."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.robustness.statistics", description=__doc__
    )
    parser.add_argument(
        "--measured",
        type=Path,
        nargs="+",
        required=True,
        help="tables of msnmo.robustness.predict: the folds of a method",
    )
    parser.add_argument(
        "--metrics",
        type=Path,
        nargs="+",
        required=True,
        help="tables of msnmo.evaluate: the same folds, of scans as they are",
    )
    add_arguments(parser)
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    measured = with_subjects(read_measured(given.measured, given.metrics), folds, given.folds)
    drawn = Drawn.draw(folds, measured["seed"], given.replicates, given.seed)
    table = judge(measured, drawn, given.confidence)
    write_tsv(given.out, as_text(table, NUMBERS))


if __name__ == "__main__":
    run_command(main)
