"""Every method of a table beside the joint model: estimate, interval, difference, test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from msnmo.core.diagnoses import diagnoses, positive, score
from msnmo.evaluate.aggregate import across_folds, fold_of
from msnmo.evaluate.metrics import (
    BOOTSTRAP,
    METRICS,
    NOT_APPLICABLE,
    PROPORTIONS,
    SHARES,
    TABLE_METRICS,
    Space,
    is_row,
    primary_first,
    space_of,
)
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    Statistic,
    auc,
    correlation,
    interval,
    mean,
    over_seeds,
    p_value,
    replicate,
    share_interval,
)
from msnmo.evaluate.statistics.paired import sign_flip, signed_rank
from msnmo.settings.methods import JOINT, METHODS

KEY = ["scan", "seed"]


@dataclass(frozen=True)
class Measured:
    """What was measured of one method.

    Parameters
    ----------
    about : DataFrame
        A row per scan and seed, by both; columns fold, subject, diagnosis.
    values : mapping of (str, str) to Series of float
        By metric and space, the values of the scans that have such a row, by scan and seed.
    means : mapping of (str, str) to float
        By metric and space, the number that tables show, in the metric's unit; empty where none
        does.
    """

    about: pd.DataFrame
    values: Mapping[tuple[str, str], pd.Series]
    means: Mapping[tuple[str, str], float]


def by_method(metrics: pd.DataFrame, folds: pd.DataFrame) -> dict[str, Measured]:
    """Return what was measured of each method.

    Parameters
    ----------
    metrics : DataFrame
        As `msnmo.evaluate.aggregate.read_metrics` returns: scans and, if tables show their
        numbers, whole folds.
    folds : DataFrame
        Columns scan, subject, diagnosis.
    """
    of_scan = metrics[metrics["scan"] != NOT_APPLICABLE]
    scans = of_scan.merge(folds[["scan", "subject", "diagnosis"]], on="scan", validate="m:1")
    means = _means(metrics)
    return {
        str(name): Measured(
            rows.drop_duplicates(KEY).set_index(KEY)[["fold", "subject", "diagnosis"]],
            {
                place: part.set_index(KEY)["value"].rename(place[0])
                for place, part in rows.groupby(["metric", "space"])
            },
            means.get(str(name), {}),
        )
        for name, rows in scans.groupby("method")
    }


def _means(metrics: pd.DataFrame) -> dict[str, dict[tuple[str, str], float]]:
    """Return the tables' numbers as tables have them, to the last bit, by method."""
    means: dict[str, dict[tuple[str, str], float]] = {}
    if not (metrics["scan"] == NOT_APPLICABLE).any():
        return means
    for row in across_folds(metrics).itertuples():
        shown = METRICS[row.metric].scale * row.mean
        means.setdefault(row.method, {})[row.metric, row.space] = shown
    return means


@dataclass(frozen=True)
class Comparison:
    """One metric of one method.

    Parameters
    ----------
    scans : DataFrame
        A row per scan and seed, by both; columns fold, subject, diagnosis and what the metric is
        made of.
    estimate : float
        The table's number: mean over folds and seeds.
    replicates : (R,) ndarray
        The same in each bootstrap replicate.
    """

    scans: pd.DataFrame
    estimate: float
    replicates: np.ndarray

    @property
    def seeds(self) -> int:
        """How many trainings there are of each fold."""
        return int(self.scans.index.get_level_values("seed").nunique())


def compare_tables(
    tables: Sequence[str],
    metrics: pd.DataFrame,
    folds: pd.DataFrame,
    drawn: Drawn,
    *,
    confidence: float,
    space: Space,
) -> pd.DataFrame:
    """Return the statistics of tables: a row per table, metric and method that was run.

    Primary endpoints stand first.

    Parameters
    ----------
    tables : sequence of str
        Their numbers.
    metrics, folds : DataFrame
        As of `by_method`.
    drawn : Drawn
    confidence : float
        Of the intervals, within 0 and 1.
    space : {"model", "native"}
        Where masks are compared.
    """
    measured = by_method(metrics, folds)
    run = [name for name in METHODS if name in measured]
    rows = []
    for table in tables:
        for metric in primary_first(TABLE_METRICS[table]):
            shown = [name for name in run if is_row(METHODS[name], table)]
            where = space_of(metric, space)
            place = {"table": table, "metric": metric, "space": where}
            place["endpoint"] = METRICS[metric].endpoint
            rows += [
                place | row
                for row in compare_metric(
                    *(metric, shown, measured, drawn), confidence=confidence, space=where
                )
            ]
    return in_order(pd.DataFrame(rows, columns=list(COLUMNS)))


def in_order(statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of primary endpoints, then the others, each in the order they have."""
    secondary = statistics["endpoint"] != "primary"
    return pd.concat([statistics[~secondary], statistics[secondary]], ignore_index=True)


def compare_metric(
    metric: str,
    methods: Sequence[str],
    measured: Mapping[str, Measured],
    drawn: Drawn,
    *,
    confidence: float,
    space: str,
    against: str = JOINT,
) -> list[dict[str, Any]]:
    """Return the statistics of one metric: a row of each of the methods that it judges.

    Parameters
    ----------
    metric : str
    methods : sequence of str
        Whose differences to that one are corrected together.
    measured : mapping of str to Measured
        As `by_method` returns.
    drawn, confidence
        As of `compare_tables`.
    space : {"model", "native", "n/a"}
        Of the metric's rows.
    against : str
        The method that the others are compared with: the joint model, unless said otherwise.
    """
    compared = {
        name: comparison(metric, measured[name], space, drawn)
        for name in methods
        if METRICS[metric].task in METHODS[name].tasks
    }
    return _holm([_row(metric, name, compared, confidence, against) for name in compared])


COLUMNS = (
    "table",
    "endpoint",
    "metric",
    "space",
    "method",
    "label",
    "n_scans",
    "n_subjects",
    "n_folds",
    "n_seeds",
    "estimate",
    "ci_low",
    "ci_high",
    "interval",
    "difference",
    "difference_low",
    "difference_high",
    "test",
    "p",
    "p_holm",
    "family_size",
)
NUMBERS = (
    *("estimate", "ci_low", "ci_high", "difference", "difference_low", "difference_high"),
    *("p", "p_holm"),
)
COUNTS = ("n_scans", "n_subjects", "n_folds", "n_seeds", "family_size")


def comparison(metric: str, measured: Measured, space: str, drawn: Drawn) -> Comparison:
    """Return one metric of one method, in the cohort and in each replicate, in the metric's unit.

    Parameters
    ----------
    metric : str
    measured : Measured
    space : {"model", "native", "n/a"}
        Of the metric's rows.
    drawn : Drawn
    """
    table = scans_of_metric(metric, measured, space)
    of_seeds = {
        seed: _replicates(metric, rows, drawn.subjects) for seed, rows in table.groupby("seed")
    }
    if not of_seeds:
        return Comparison(table, np.nan, np.full(drawn.subjects.shape[1] - 1, np.nan))
    # the first is the cohort's own: but for the last bit what tables show
    own, *replicates = METRICS[metric].scale * over_seeds(of_seeds, drawn.seeds)
    return Comparison(table, measured.means.get((metric, space), own), np.array(replicates))


def scans_of_metric(metric: str, measured: Measured, space: str) -> pd.DataFrame:
    """Return what a metric is made of, of the scans that it counts.

    Parameters
    ----------
    metric : str
    measured : Measured
    space : {"model", "native", "n/a"}
        Of the metric's rows.

    Returns
    -------
    DataFrame
        A row per scan and seed, by both; columns fold, subject, diagnosis and those of the metric.
    """
    none = measured.about["fold"].iloc[:0].astype(float)
    needed = _made_of(metric, space)
    parts = [measured.values.get(place, none).rename(place[0]) for place in needed]
    table = measured.about.join(parts, how="inner").sort_index()
    if metric not in PROPORTIONS:
        return table
    return table[table["diagnosis"].isin([diagnoses()[each] for each in PROPORTIONS[metric]])]


def _replicates(metric: str, scans: pd.DataFrame, subjects: pd.DataFrame) -> np.ndarray:
    """Return the mean over folds of one seed, in the cohort and in each replicate."""
    folds = [
        FoldStatistic(fold["subject"].to_numpy(), statistic_of(metric, fold))
        for _, fold in scans.groupby("fold")
    ]
    return replicate(folds, subjects)


def _made_of(metric: str, space: str) -> list[tuple[str, str]]:
    """Return the rows of the metrics table, by metric and space, that a metric follows from."""
    if metric in PROPORTIONS:
        return [("ACC", NOT_APPLICABLE)]
    if metric == "AUC":
        return [(score(), NOT_APPLICABLE)]
    if metric == "VC":
        return [("V_TRUE", "native"), ("V_PRED", "native")]
    return [(metric, space)]


def statistic_of(metric: str, scans: pd.DataFrame, group: np.ndarray | None = None) -> Statistic:
    """Return how a metric follows from scans of one seed.

    Parameters
    ----------
    metric : str
    scans : DataFrame
        As `scans_of_metric` returns.
    group : (N,) ndarray, optional
        Of each scan, for the AUC: only two scans of the same group are a pair.
    """
    if metric in PROPORTIONS:
        return mean(scans["ACC"].to_numpy())
    if metric == "AUC":
        nmosd = (scans["diagnosis"] == positive()).to_numpy()
        return auc(nmosd, scans[score()].to_numpy(), group)
    if metric == "VC":
        return correlation(scans["V_TRUE"].to_numpy(), scans["V_PRED"].to_numpy())
    return mean(scans[metric].to_numpy())


def _row(
    metric: str,
    method: str,
    compared: Mapping[str, Comparison],
    confidence: float,
    against: str = JOINT,
) -> dict[str, object]:
    own, other = compared[method], compared.get(against)
    subjects = own.scans.dropna()["subject"].nunique()
    low, high, made = interval_of(metric, own.replicates, subjects, confidence)
    row = {
        "method": method,
        "label": METHODS[method].label,
        "n_scans": own.scans.index.get_level_values("scan").nunique(),
        "n_subjects": subjects,
        "n_folds": _count_folds(own.scans.reset_index()),
        "n_seeds": own.seeds,
        "estimate": own.estimate,
        "ci_low": low,
        "ci_high": high,
        "interval": made,
    }
    if other is None or method == against:
        return row
    differences = own.replicates - other.replicates
    low, high = (np.nan, np.nan)
    if not all(_never_varies(metric, each.replicates) for each in (own, other)):
        low, high = interval(differences, confidence)
    test, p = _test(metric, own, other, differences)
    return row | {
        "difference": own.estimate - other.estimate,
        "difference_low": low,
        "difference_high": high,
        "test": test,
        "p": p,
    }


def interval_of(
    metric: str, replicates: np.ndarray, subjects: int, confidence: float
) -> tuple[float, float, str | None]:
    """Return the interval of a number and how it is made.

    An AUC that is 0, or 100, in every replicate has none: the bootstrap's has no width.

    Parameters
    ----------
    metric : str
    replicates : (R,) ndarray
        In the metric's unit.
    subjects : int
        That the number is of.
    confidence : float
        Within 0 and 1.
    """
    if metric in SHARES:
        return share_interval(replicates, subjects, confidence, METRICS[metric].scale)
    if _never_varies(metric, replicates):
        return np.nan, np.nan, None
    low, high = interval(replicates, confidence)
    return low, high, None if np.isnan(low) else BOOTSTRAP


def _never_varies(metric: str, replicates: np.ndarray) -> bool:
    """Return whether a share, or an AUC, is 0 in every replicate or 100 in every one."""
    if metric not in (*SHARES, "AUC"):
        return False
    return set(replicates[~np.isnan(replicates)]) in ({0.0}, {100.0})


def _count_folds(scans: pd.DataFrame) -> int:
    return len(scans[fold_of(scans)].drop_duplicates())


def _test(
    metric: str, own: Comparison, other: Comparison, differences: np.ndarray
) -> tuple[str, float]:
    """Return the name and the two-sided p of the paired test of a metric.

    The tests of subjects know nothing of seeds: of several trainings a difference is the
    bootstrap's.
    """
    if (METRICS[metric].of_fold and metric not in PROPORTIONS) or own.seeds > 1:
        return "bootstrap", p_value(differences)
    name = "ACC" if metric in PROPORTIONS else metric
    pairs = own.scans[["subject", name]].join(other.scans[[name]], rsuffix="_other", how="inner")
    pairs = pairs.dropna()
    of_scans = pairs[name] - pairs[f"{name}_other"]
    if metric in PROPORTIONS:
        return "sign_flip", sign_flip(of_scans, pairs["subject"])
    return "signed_rank", signed_rank(of_scans, pairs["subject"])


def _holm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the p of the methods that were compared with another on one metric."""
    # a second that all who only read the names of numbers need not pay for
    from statsmodels.stats.multitest import multipletests  # noqa: PLC0415

    tested = [row for row in rows if not np.isnan(row.get("p", np.nan))]
    if tested:
        corrected = multipletests([row["p"] for row in tested], method="holm")[1]
        for row, p in zip(tested, corrected, strict=True):
            row |= {"p_holm": float(p), "family_size": len(tested)}
    return rows
