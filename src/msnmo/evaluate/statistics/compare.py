"""Every method of a table beside the joint model: estimate, interval, difference, test."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import wilcoxon
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

from msnmo.core.diagnoses import diagnoses, positive, score
from msnmo.evaluate.metrics import (
    METRICS,
    NOT_APPLICABLE,
    TABLE_METRICS,
    Space,
    is_row,
    space_of,
)
from msnmo.evaluate.statistics import summary
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
)
from msnmo.settings.methods import JOINT, METHODS

PROPORTIONS: Mapping[str, tuple[int, ...]] = {"ACC": (0, 1), "SN": (1,), "SP": (0,)}
"""Metrics that are the share of scans classified right, and the classes whose scans they count."""
DECIMALS = 4
P_DECIMALS = 6


KEY = ["scan", "seed"]


@dataclass(frozen=True)
class Measured:
    """What was measured of one method's scans.

    Parameters
    ----------
    about : DataFrame
        A row per scan and seed, by both; columns fold, subject, diagnosis.
    values : mapping of (str, str) to Series of float
        By metric and space, the values of the scans that have such a row, by scan and seed.
    """

    about: pd.DataFrame
    values: Mapping[tuple[str, str], pd.Series]


def by_method(scans: pd.DataFrame) -> dict[str, Measured]:
    """Return what was measured of each method.

    Parameters
    ----------
    scans : DataFrame
        Columns method, fold, seed, scan, metric, value, space, subject, diagnosis: a row per scan
        and seed.
    """
    return {
        str(name): Measured(
            rows.drop_duplicates(KEY).set_index(KEY)[["fold", "subject", "diagnosis"]],
            {
                place: part.set_index(KEY)["value"].rename(place[0])
                for place, part in rows.groupby(["metric", "space"])
            },
        )
        for name, rows in scans.groupby("method")
    }


@dataclass(frozen=True)
class Comparison:
    """One metric of one method.

    Parameters
    ----------
    scans : DataFrame
        A row per scan and seed, by both; columns fold, subject, diagnosis and what the metric is
        made of.
    replicates : (R + 1,) ndarray
        The table's number in the cohort (first) and in each bootstrap replicate.
    """

    scans: pd.DataFrame
    replicates: np.ndarray

    @property
    def estimate(self) -> float:
        """The table's number: mean over folds and seeds."""
        return float(self.replicates[0])

    @property
    def seeds(self) -> int:
        """How many trainings there are of each fold."""
        return int(self.scans.index.get_level_values("seed").nunique())


def compare_tables(
    tables: Sequence[str],
    scans: pd.DataFrame,
    drawn: Drawn,
    *,
    confidence: float,
    space: Space,
) -> pd.DataFrame:
    """Return the statistics of tables: a row per table, metric and method that was run.

    Parameters
    ----------
    tables : sequence of str
        Their numbers.
    scans : DataFrame
        As of `by_method`.
    drawn : Drawn
    confidence : float
        Of the intervals, within 0 and 1.
    space : {"model", "native"}
        Where masks are compared.
    """
    measured = by_method(scans)
    run = [name for name in METHODS if name in measured]
    rows = []
    for table in tables:
        for metric in TABLE_METRICS[table]:
            shown = [name for name in run if is_row(METHODS[name], table)]
            where = space_of(metric, space)
            place = {"table": table, "metric": metric, "space": where}
            rows += [
                place | row
                for row in compare_metric(
                    *(metric, shown, measured, drawn), confidence=confidence, space=where
                )
            ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


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
        name: comparison(metric, measured[name], space, drawn)
        for name in methods
        if METRICS[metric].task in METHODS[name].tasks
    }
    return _holm([_row(metric, name, compared, confidence) for name in compared])


COLUMNS = (
    "table",
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
    "difference",
    "difference_low",
    "difference_high",
    "test",
    "p",
    "p_holm",
    "family_size",
)
NUMBERS = ("estimate", "ci_low", "ci_high", "difference", "difference_low", "difference_high")


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
        return Comparison(table, np.full(drawn.subjects.shape[1], np.nan))
    return Comparison(table, METRICS[metric].scale * over_seeds(of_seeds, drawn.seeds))


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
    metric: str, method: str, compared: Mapping[str, Comparison], confidence: float
) -> dict[str, object]:
    own, joint = compared[method], compared.get(JOINT)
    low, high = interval(own.replicates[1:], confidence)
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
    }
    if joint is None or method == JOINT:
        return row
    differences = own.replicates - joint.replicates
    low, high = interval(differences[1:], confidence)
    test, p = _test(metric, own, joint, differences[1:])
    return row | {
        "difference": differences[0],
        "difference_low": low,
        "difference_high": high,
        "test": test,
        "p": p,
    }


def _test(
    metric: str, own: Comparison, joint: Comparison, differences: np.ndarray
) -> tuple[str, float]:
    """Return the name and the two-sided p of the paired test of a metric.

    The tests of scans know nothing of seeds: of several trainings a difference is the bootstrap's.
    """
    if (METRICS[metric].of_fold and metric not in PROPORTIONS) or own.seeds > 1:
        return "bootstrap", p_value(differences)
    name = "ACC" if metric in PROPORTIONS else metric
    pairs = own.scans[[name]].join(joint.scans[[name]], rsuffix="_joint", how="inner").dropna()
    first, second = (pairs[column].to_numpy() for column in pairs)
    if metric in PROPORTIONS:
        table = pd.crosstab(first == 1, second == 1)
        table = table.reindex(index=[True, False], columns=[True, False], fill_value=0)
        return "mcnemar", float(mcnemar(table.to_numpy(), exact=True).pvalue)
    if not len(pairs):
        return "wilcoxon", np.nan
    # scipy's statistic is undefined without any difference, where nothing speaks against equality
    same = np.array_equal(first, second)
    return "wilcoxon", 1.0 if same else float(wilcoxon(first, second).pvalue)


def _holm(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Correct the p of the methods that were compared with the joint model on one metric."""
    tested = [row for row in rows if not np.isnan(row.get("p", np.nan))]
    if tested:
        corrected = multipletests([row["p"] for row in tested], method="holm")[1]
        for row, p in zip(tested, corrected, strict=True):
            row |= {"p_holm": float(p), "family_size": len(tested)}
    return rows


def as_text(statistics: pd.DataFrame) -> pd.DataFrame:
    """Return the table with numbers of fixed decimals, so that equal results give equal bytes."""
    counts = ("n_scans", "n_subjects", "n_folds", "n_seeds", "family_size")
    decimals = dict.fromkeys(NUMBERS, DECIMALS) | dict.fromkeys(("p", "p_holm"), P_DECIMALS)
    return summary.as_text(statistics, decimals | dict.fromkeys(counts, 0))
