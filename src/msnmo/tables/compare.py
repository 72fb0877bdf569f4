"""Our means over folds and seeds beside the reported numbers, independent of any format."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from msnmo.core.numbers import rounded
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE, Space, space_of
from msnmo.tables.layout import Layout

DECIMALS = 2
SITE_ALONE = "Site alone"
"""The label of the row without a method."""


@dataclass(frozen=True)
class Ours:
    """Our results for one metric of one method.

    Parameters
    ----------
    mean, sd : float
        Over the folds' values, in the metric's unit; NaN if undefined (sd: also with one fold).
    sd_seeds : float
        Over the seeds' values, in the metric's unit; NaN with one seed.
    n_folds, n_undefined_folds : int
        Folds with and without a value.
    n_seeds : int
        Trainings of each fold.
    n_scans, n_undefined_scans : int
        Number of evaluated scans, and of those left out because their value is undefined.
    n_penalised_scans : int
        Scans with the worst value of the metric, as one mask is empty.
    """

    mean: float
    sd: float
    sd_seeds: float
    n_folds: int
    n_undefined_folds: int
    n_seeds: int
    n_scans: int
    n_undefined_scans: int
    n_penalised_scans: int = 0


@dataclass(frozen=True)
class Sureness:
    """The uncertainty of a number, and of its difference to the joint model.

    Parameters
    ----------
    low, high : float
        Confidence interval, in the metric's unit; NaN where undefined.
    p, p_holm : float
        Raw and corrected p of the paired test against the joint model; NaN if not tested.
    test : str or None
        The test's name.
    n_scans, n_subjects : int
        Counted in the number; for sensitivity and specificity, only those of their class.
    interval : str or None
        The method of the interval: bootstrap or exact; None if there is none.
    """

    low: float
    high: float
    p: float
    p_holm: float
    test: str | None
    n_scans: int
    n_subjects: int
    interval: str | None = "bootstrap"


@dataclass(frozen=True)
class ComparedCell:
    """One metric of one method: ours and the reported number.

    Parameters
    ----------
    metric : str
    space : {"model", "native", "n/a"}
        Where masks were compared; n/a for classification.
    ours : Ours or None
        None if the method was not run.
    reported : float or None
        Percent; None if the paper has no such row.
    rank : int or None
        1 for the best and 2 for the second best of our methods in this table, else None.
    sureness : Sureness or None
        None if the method was not run.
    """

    metric: str
    space: str
    ours: Ours | None
    reported: float | None
    rank: int | None = None
    sureness: Sureness | None = None

    @property
    def n_scans(self) -> int | None:
        """Number of scans behind the number; None if the method was not run."""
        if self.sureness is not None:
            return self.sureness.n_scans
        return None if self.ours is None else self.ours.n_scans

    @property
    def difference(self) -> float | None:
        """Our shown number minus the reported one, in percentage points."""
        if self.ours is None or self.reported is None or math.isnan(self.ours.mean):
            return None
        return rounded(rounded(self.ours.mean, DECIMALS) - self.reported, DECIMALS)


@dataclass(frozen=True)
class ComparedRow:
    """One method of a table and its cells, in the order of the table's metrics.

    A row of ours without a method (None) is a reference for the others.
    """

    label: str
    method: str | None
    cells: tuple[ComparedCell, ...]


def compare(
    table: Layout, summary: pd.DataFrame, statistics: pd.DataFrame, space: Space
) -> list[ComparedRow]:
    """Return the rows of a table: all of the paper's, run or not, and others that were run.

    Parameters
    ----------
    table : Layout
    summary : DataFrame
        As returned by `msnmo.evaluate.aggregate.across_folds`.
    statistics : DataFrame
        As written by `msnmo.evaluate.statistics`: one row per method and metric of this table,
        among others.
    space : {"model", "native"}
        Where the paper's metrics compare masks.
    """
    results = {(row.method, row.metric, row.space): row for row in summary.itertuples()}
    of_table = statistics[statistics["table"] == table.number]
    sureness = {(row.method, row.metric, row.space): row for row in of_table.itertuples()}
    run = set(summary["method"])
    rows = [row for row in table.rows if row.reported or row.method in run]
    columns = []
    for metric in table.metrics:
        where = space_of(metric, space)
        ours = [ours_of(results.get((row.method, metric, where))) for row in rows]
        means = [None if result is None else result.mean for result in ours]
        sure = [_sureness(sureness.get((row.method, metric, where))) for row in rows]
        places = ranks(means, METRICS[metric].best)
        columns.append(
            [
                ComparedCell(metric, where, result, row.reported.get(metric), rank, how_sure)
                for row, result, rank, how_sure in zip(rows, ours, places, sure, strict=True)
            ]
        )
    return [
        ComparedRow(row.label, row.method, cells)
        for row, cells in zip(rows, zip(*columns, strict=True), strict=True)
    ]


def reference_row(table: Layout, judged: pd.DataFrame) -> ComparedRow:
    """Return the row for the site alone. It is no method and is neither ranked nor tested.

    Parameters
    ----------
    table : Layout
    judged : DataFrame
        As written by `msnmo.evaluate.statistics.site_alone`: one row per metric.
    """
    by_metric = {row.metric: row for row in judged.itertuples()}
    cells = (_reference_cell(by_metric[metric]) for metric in table.metrics)
    return ComparedRow(SITE_ALONE, None, tuple(cells))


def _reference_cell(row: Any) -> ComparedCell:
    scans, folds = int(row.n_scans), (int(row.n_folds), int(row.n_undefined_folds))
    tested = (math.nan, math.nan, None)
    ours = Ours(float(row.mean), float(row.sd), math.nan, *folds, 1, scans, 0)
    made = None if pd.isna(row.interval) else str(row.interval)
    sure = Sureness(
        float(row.ci_low), float(row.ci_high), *tested, scans, int(row.n_subjects), made
    )
    return ComparedCell(row.metric, NOT_APPLICABLE, ours, None, None, sure)


def _sureness(row: Any) -> Sureness | None:
    if row is None:
        return None
    test = None if pd.isna(row.test) else str(row.test)
    low, high, p, p_holm = map(float, (row.ci_low, row.ci_high, row.p, row.p_holm))
    made = None if pd.isna(row.interval) else str(row.interval)
    return Sureness(low, high, p, p_holm, test, int(row.n_scans), int(row.n_subjects), made)


def ours_of(row: Any) -> Ours | None:
    """Return a row of `across_folds` (a named tuple) in the metric's unit; None for None."""
    if row is None:
        return None
    scale = METRICS[row.metric].scale
    numbers = (scale * each for each in (row.mean, row.sd, row.sd_seeds))
    counts = (row.n_folds, row.n_undefined_folds, row.n_seeds)
    scans = (row.n_scans, row.n_undefined_scans, row.n_penalised_scans)
    return Ours(*numbers, *(int(count) for count in (*counts, *scans)))


def ranks(means: Sequence[float | None], best: str) -> list[int | None]:
    """Return 1 for the best and 2 for the second best value, None for the others.

    Values are compared as shown, with two decimals, so equal numbers share a rank. A single value
    is not ranked.

    Parameters
    ----------
    means : sequence of float or None
        None or NaN where there is no value.
    best : {"highest", "lowest"}
    """
    shown = [
        None if mean is None or math.isnan(mean) else rounded(mean, DECIMALS) for mean in means
    ]
    values = [value for value in shown if value is not None]
    if len(values) < 2:
        return [None] * len(shown)
    ordered = sorted(set(values), reverse=best == "highest")
    places = {value: place for place, value in enumerate(ordered[:2], start=1)}
    return [None if value is None else places.get(value) for value in shown]
