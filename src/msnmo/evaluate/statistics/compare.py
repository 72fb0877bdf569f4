"""Every method of a table beside the joint model: estimate, interval, difference, test."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.proportion import proportion_confint

from msnmo.core.numbers import plain
from msnmo.evaluate.aggregate import across_folds
from msnmo.evaluate.metrics import (
    BOOTSTRAP,
    EXACT,
    METRICS,
    NOT_APPLICABLE,
    PROPORTIONS,
    TABLE_METRICS,
    Space,
    is_row,
    primary_first,
    space_of,
)
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    auc,
    correlation,
    interval,
    mean,
    over_seeds,
    p_value,
    replicate,
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
        By metric and space, the number that tables show, in the metric's unit.
    """

    about: pd.DataFrame
    values: Mapping[tuple[str, str], pd.Series]
    means: Mapping[tuple[str, str], float]


def by_method(metrics: pd.DataFrame, folds: pd.DataFrame) -> dict[str, Measured]:
    """Return what was measured of each method.

    Parameters
    ----------
    metrics : DataFrame
        As `msnmo.evaluate.aggregate.read_metrics` returns: scans and whole folds.
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
            means[str(name)],
        )
        for name, rows in scans.groupby("method")
    }


def _means(metrics: pd.DataFrame) -> dict[str, dict[tuple[str, str], float]]:
    """Return the tables' numbers as tables have them, to the last bit, by method."""
    means: dict[str, dict[tuple[str, str], float]] = {}
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
) -> list[dict[str, Any]]:
    """Return the statistics of one metric: a row of each of the methods that it judges.

    Parameters
    ----------
    metric : str
    methods : sequence of str
        Whose differences to the joint model are corrected together.
    measured : mapping of str to Measured
        As `by_method` returns.
    drawn, confidence
        As of `compare_tables`.
    space : {"model", "native", "n/a"}
        Of the metric's rows.
    """
    compared = {
        name: _comparison(metric, measured[name], space, drawn)
        for name in methods
        if METRICS[metric].task in METHODS[name].tasks
    }
    return _holm([_row(metric, name, compared, confidence) for name in compared])


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


def _comparison(metric: str, measured: Measured, space: str, drawn: Drawn) -> Comparison:
    none = measured.about["fold"].iloc[:0].astype(float)
    needed = _made_of(metric, space)
    parts = [measured.values.get(place, none).rename(place[0]) for place in needed]
    table = measured.about.join(parts, how="inner").sort_index()
    table = table[table["diagnosis"].isin(PROPORTIONS.get(metric, ("MS", "NMOSD")))]
    estimate = measured.means.get((metric, space), np.nan)
    of_seeds = {
        seed: _replicates(metric, rows, drawn.subjects) for seed, rows in table.groupby("seed")
    }
    if not of_seeds:
        return Comparison(table, estimate, np.full(drawn.subjects.shape[1] - 1, np.nan))
    # the first is the cohort's own, which is the estimate
    replicates = METRICS[metric].scale * over_seeds(of_seeds, drawn.seeds)[1:]
    return Comparison(table, estimate, replicates)


def _replicates(metric: str, scans: pd.DataFrame, subjects: pd.DataFrame) -> np.ndarray:
    """Return the mean over folds of one seed, in the cohort and in each replicate."""
    folds = [
        FoldStatistic(fold["subject"].to_numpy(), _statistic(metric, fold))
        for _, fold in scans.groupby("fold")
    ]
    return replicate(folds, subjects)


def _made_of(metric: str, space: str) -> list[tuple[str, str]]:
    """Return the rows of the metrics table, by metric and space, that a metric follows from."""
    if metric in PROPORTIONS:
        return [("ACC", NOT_APPLICABLE)]
    if metric == "AUC":
        return [("P_NMOSD", NOT_APPLICABLE)]
    if metric == "VC":
        return [("V_TRUE", "native"), ("V_PRED", "native")]
    return [(metric, space)]


def _statistic(metric: str, fold: pd.DataFrame) -> Callable[[np.ndarray], np.ndarray]:
    if metric in PROPORTIONS:
        return mean(fold["ACC"].to_numpy())
    if metric == "AUC":
        return auc((fold["diagnosis"] == "NMOSD").to_numpy(), fold["P_NMOSD"].to_numpy())
    if metric == "VC":
        return correlation(fold["V_TRUE"].to_numpy(), fold["V_PRED"].to_numpy())
    return mean(fold[metric].to_numpy())


def _row(
    metric: str, method: str, compared: Mapping[str, Comparison], confidence: float
) -> dict[str, object]:
    own, joint = compared[method], compared.get(JOINT)
    low, high, made = _interval(metric, own, confidence)
    row = {
        "method": method,
        "label": METHODS[method].label,
        "n_scans": own.scans.index.get_level_values("scan").nunique(),
        "n_subjects": own.scans["subject"].nunique(),
        "n_folds": own.scans["fold"].nunique(),
        "n_seeds": own.seeds,
        "estimate": own.estimate,
        "ci_low": low,
        "ci_high": high,
        "interval": made,
    }
    if joint is None or method == JOINT:
        return row
    differences = own.replicates - joint.replicates
    low, high = (np.nan, np.nan)
    if not (_never_varies(metric, own) and _never_varies(metric, joint)):
        low, high = interval(differences, confidence)
    test, p = _test(metric, own, joint, differences)
    return row | {
        "difference": own.estimate - joint.estimate,
        "difference_low": low,
        "difference_high": high,
        "test": test,
        "p": p,
    }


def _interval(metric: str, own: Comparison, confidence: float) -> tuple[float, float, str | None]:
    """Return the interval of a number and how it is made.

    Where all scans are right, or none is, so they are in every replicate, and the bootstrap's
    interval has no width: a share then has the exact one (Clopper and Pearson 1934) of as many
    subjects. An AUC of 0 or 100 has none.
    """
    if not _never_varies(metric, own):
        low, high = interval(own.replicates, confidence)
        return low, high, None if np.isnan(low) else BOOTSTRAP
    if metric not in PROPORTIONS:
        return np.nan, np.nan, None
    subjects = own.scans["subject"].nunique()
    right = subjects if own.replicates.max() > 0 else 0
    low, high = proportion_confint(right, subjects, alpha=1 - confidence, method="beta")
    return float(100 * low), float(100 * high), EXACT


def _never_varies(metric: str, own: Comparison) -> bool:
    """Return whether a share, or an AUC, is 0 in every replicate or 100 in every one."""
    if metric not in (*PROPORTIONS, "AUC"):
        return False
    defined = set(own.replicates[~np.isnan(own.replicates)])
    return defined in ({0.0}, {100.0})


def _test(
    metric: str, own: Comparison, joint: Comparison, differences: np.ndarray
) -> tuple[str, float]:
    """Return the name and the two-sided p of the paired test of a metric.

    The tests of subjects know nothing of seeds: of several trainings a difference is the
    bootstrap's.
    """
    if (METRICS[metric].of_fold and metric not in PROPORTIONS) or own.seeds > 1:
        return "bootstrap", p_value(differences)
    name = "ACC" if metric in PROPORTIONS else metric
    pairs = own.scans[["subject", name]].join(joint.scans[[name]], rsuffix="_joint", how="inner")
    pairs = pairs.dropna()
    of_scans = pairs[name] - pairs[f"{name}_joint"]
    if metric in PROPORTIONS:
        return "sign_flip", sign_flip(of_scans, pairs["subject"])
    return "signed_rank", signed_rank(of_scans, pairs["subject"])


def _holm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the p of the methods that were compared with the joint model on one metric."""
    tested = [row for row in rows if not np.isnan(row.get("p", np.nan))]
    if tested:
        corrected = multipletests([row["p"] for row in tested], method="holm")[1]
        for row, p in zip(tested, corrected, strict=True):
            row |= {"p_holm": float(p), "family_size": len(tested)}
    return rows


def as_text(statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the table as it is written: nothing is rounded that somebody will round to show."""
    text = statistics.astype(object)
    for name in (*NUMBERS, *COUNTS):
        text[name] = [None if pd.isna(value) else plain(value) for value in statistics[name]]
    return text
