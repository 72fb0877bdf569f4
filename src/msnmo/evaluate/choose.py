"""Choose the scans of a picture by a rule stated in advance, never by how they look."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pandas as pd

from msnmo.core.errors import bad_input
from msnmo.evaluate.metrics import NOT_APPLICABLE

MEDIAN = (0.5,)
QUARTILES = (0.25, 0.75)
LOW_MEDIAN_HIGH = (0.25, 0.5, 0.75)


def dsc_by_scan(metrics: pd.DataFrame, method: str) -> pd.DataFrame:
    """Return the DSC in model space of a method's scans, from the worst to the best.

    Parameters
    ----------
    metrics : DataFrame
        As returned by `msnmo.evaluate.aggregate.read_metrics`.
    method : str

    Returns
    -------
    DataFrame
        Columns scan, dsc; equal values are ordered by scan id.

    Raises
    ------
    InputError
        If the method has no DSC.
    """
    kept = (
        (metrics["method"] == method) & (metrics["metric"] == "DSC") & (metrics["space"] == "model")
    )
    kept &= metrics["scan"] != NOT_APPLICABLE
    rows = metrics.loc[kept, ["scan", "value"]].dropna()
    if rows.empty:
        raise bad_input("metrics", f"DSC per scan of {method}", "none", "evaluate the method first")
    return rows.rename(columns={"value": "dsc"}).sort_values(["dsc", "scan"], ignore_index=True)


def at_fractions(ordered: pd.DataFrame, fractions: Sequence[float]) -> pd.DataFrame:
    """Return the rows at fractions of the way from the first to the last.

    A fraction between two rows gives the row before: for an even number, the median is the lower
    middle. In a short table, a row that several fractions give is returned once.

    Parameters
    ----------
    ordered : DataFrame
        At least one row.
    fractions : sequence of float
        From 0, the first row, to 1, the last; rising.
    """
    # add a tiny amount: 0.7 * 10 is a little less than 7 in floating point
    places = [math.floor(fraction * (len(ordered) - 1) + 1e-9) for fraction in fractions]
    return ordered.iloc[list(dict.fromkeys(places))].reset_index(drop=True)


def choose_scan(metrics: pd.DataFrame, method: str) -> str:
    """Return the scan with the median DSC in model space, neither the best nor the worst."""
    return str(at_fractions(dsc_by_scan(metrics, method), MEDIAN)["scan"].iloc[0])


def choose_scans(
    metrics: pd.DataFrame, folds: pd.DataFrame, method: str, fractions: Sequence[float]
) -> pd.DataFrame:
    """Return scans at fractions of the order of a method's DSC in model space.

    Parameters
    ----------
    metrics : DataFrame
        As for `dsc_by_scan`.
    folds : DataFrame
        Columns scan, diagnosis, fold.
    method : str
    fractions : sequence of float
        As for `at_fractions`.

    Returns
    -------
    DataFrame
        Columns scan, diagnosis, fold, dsc.
    """
    return at_fractions(_with_diagnosis(metrics, folds, method), fractions)


def choose_in_each_class(
    metrics: pd.DataFrame, folds: pd.DataFrame, method: str, fractions: Sequence[float]
) -> pd.DataFrame:
    """Return scans as `choose_scans` does, within each class that has scans, by label."""
    ordered = _with_diagnosis(metrics, folds, method)
    classes = [rows for _, rows in ordered.groupby("diagnosis")]
    return pd.concat([at_fractions(rows, fractions) for rows in classes], ignore_index=True)


def _with_diagnosis(metrics: pd.DataFrame, folds: pd.DataFrame, method: str) -> pd.DataFrame:
    ordered = dsc_by_scan(metrics, method)
    if stray := sorted(set(ordered["scan"]) - set(folds["scan"])):
        expected = f"scans of {method} that are in a fold"
        raise bad_input("metrics", expected, ", ".join(stray), "run the workflow again")
    # a left join keeps the order
    return ordered.merge(folds[["scan", "diagnosis", "fold"]], on="scan", how="left")[
        ["scan", "diagnosis", "fold", "dsc"]
    ]
