"""What methods find of lesions by their size and by the load of scans, and how far raters agree.

Every number is a mean over the scans of a fold that have a value, then over folds and seeds, as in
the other tables; its interval is bootstrapped over subjects and seeds. Raters have the same folds
and one seed, so that their numbers and those of methods on the same scans are made alike.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.numbers import as_text, fixed
from msnmo.evaluate.aggregate import fold_of
from msnmo.evaluate.lesion_sizes import ALL, LOAD
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.options import add_arguments
from msnmo.evaluate.statistics.summary import summarise, with_subjects

SIZE, WHOLE, RATERS = "size", "all", "raters"
BY_LOAD = "load"
"""Kinds of groups: of lesions by size, of all, of scans by load, of scans of several raters."""
METRICS = ("DSC", "LTPR", "LFPR")
OF_RATERS = (*METRICS, "LF1")
RATER_COLUMNS = {**dict.fromkeys(("scan", "metric"), str), "value": float, "lesions": float}
MEASURED_COLUMNS = {
    **dict.fromkeys(("method", "size"), str),
    **dict.fromkeys(("fold", "seed"), int),
    **RATER_COLUMNS,
}
COLUMNS = (
    *("method", "kind", "group", "metric", "mean", "sd", "sd_seeds", "ci_low", "ci_high"),
    *("interval", "confidence", "n_folds", "n_undefined_folds", "n_seeds", "n_scans"),
    *("n_undefined_scans", "n_subjects", "n_lesions"),
)
NUMBERS = ("mean", "sd", "sd_seeds", "ci_low", "ci_high", "n_lesions")


@dataclass(frozen=True)
class Group:
    """What a number is of: lesions of a size, or scans.

    Parameters
    ----------
    kind : {"all", "size", "load", "raters"}
    name : str
        As people read it.
    size : str
        The lesions' class of size.
    scans : frozenset of str
    metrics : tuple of str
    """

    kind: str
    name: str
    size: str
    scans: frozenset[str]
    metrics: tuple[str, ...] = METRICS

    def of(self, measured: pd.DataFrame, metric: str) -> pd.DataFrame:
        """Return the rows of a metric that are of the group."""
        own = (measured["size"] == self.size) & measured["scan"].isin(self.scans)
        return measured[own & (measured["metric"] == metric)]


def groups_of(measured: pd.DataFrame, rated: frozenset[str]) -> Iterator[Group]:
    """Yield the groups, in the table's order; one without a scan is left out.

    Parameters
    ----------
    measured : DataFrame
        As `read_measured` returns.
    rated : frozenset of str
        The scans that have several raters.
    """
    every = frozenset(measured["scan"])
    yield Group(WHOLE, ALL, ALL, every)
    for size in measured["size"].unique():
        if size != ALL:
            yield Group(SIZE, size, size, every)
    for name, scans in terciles(loads_of(measured)).items():
        yield Group(BY_LOAD, name, ALL, scans)
    if rated & every:
        yield Group(RATERS, RATERS, ALL, rated & every, OF_RATERS)


def loads_of(measured: pd.DataFrame) -> pd.Series:
    """Return the true lesion volume of each scan in ml, by scan."""
    rows = measured[(measured["metric"] == LOAD) & (measured["size"] == ALL)]
    return rows.groupby("scan")["value"].first()


def terciles(loads: pd.Series) -> dict[str, frozenset[str]]:
    """Return the scans of low, middle and high load, by what bounds them.

    A scan at a bound is of the group below it. Where so many scans are of one load that a group
    has none, it is left out.

    Parameters
    ----------
    loads : Series of float
        In ml, by scan.
    """
    low, high = np.quantile(loads, [1 / 3, 2 / 3])
    first, second = (fixed(each, 2) for each in (low, high))
    parts = {
        f"up to {first} ml": loads <= low,
        f"over {first}, up to {second} ml": (loads > low) & (loads <= high),
        f"over {second} ml": loads > high,
    }
    return {name: frozenset(loads.index[part]) for name, part in parts.items() if part.any()}


def describe(
    measured: pd.DataFrame, raters: pd.DataFrame, drawn: Drawn, confidence: float
) -> pd.DataFrame:
    """Return each metric of each group of lesions or scans, of every method and of the raters.

    Parameters
    ----------
    measured : DataFrame
        As `read_measured` returns, with a column subject.
    raters : DataFrame
        Columns scan, metric, value, lesions, fold, subject: of the scans of several raters.
    drawn : Drawn
    confidence : float
        Of the intervals, within 0 and 1.

    Returns
    -------
    DataFrame
        Columns `COLUMNS`: what `msnmo.evaluate.statistics.summary.summarise` returns, but that
        n_undefined_folds are all that have no value, also for want of such a scan, and
        n_undefined_scans have no value in any seed; n_lesions are those that the scans of the
        group have, true ones, or predicted ones for LFPR (their mean over seeds); method is missing
        of raters.
    """
    rows: list[Mapping[str, object]] = []
    # raters have no seeds, so that their folds are those of one
    tested = measured.drop_duplicates("fold").drop(columns="seed")
    for group in groups_of(measured, frozenset(raters["scan"])):
        if group.kind == RATERS:
            agreed = raters.assign(seed=np.nan, size=ALL)
            rows += _rows(None, group, agreed, drawn, confidence, tested=tested)
        for method, of_method in measured.groupby("method", sort=False):
            rows += _rows(str(method), group, of_method, drawn, confidence, tested=of_method)
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _rows(
    method: str | None,
    group: Group,
    measured: pd.DataFrame,
    drawn: Drawn,
    confidence: float,
    *,
    tested: pd.DataFrame,
) -> Iterator[Mapping[str, object]]:
    fold = fold_of(tested)
    for metric in group.metrics:
        values = group.of(measured, metric)
        seeds, scans = values["seed"].nunique(dropna=False), values["scan"].nunique()
        defined = values.dropna(subset=["value"])
        yield (
            {"method": method, "kind": group.kind, "group": group.name, "metric": metric}
            | summarise(values, drawn, confidence, fold)
            | {
                "n_undefined_folds": _count(tested, fold) - _count(defined, fold),
                "confidence": confidence,
                "n_seeds": seeds,
                "n_undefined_scans": scans - defined["scan"].nunique(),
                "n_lesions": values["lesions"].sum() / seeds,
            }
        )


def _count(measured: pd.DataFrame, fold: Sequence[str]) -> int:
    return len(measured[list(fold)].drop_duplicates())


def read_measured(paths: Sequence[Path]) -> pd.DataFrame:
    """Read what `msnmo.evaluate.lesion_sizes` wrote of the trainings of methods.

    Parameters
    ----------
    paths : sequence of Path
        One a training, by methods in the order wanted.

    Raises
    ------
    InputError
        If a file cannot be read, no scan has a lesion mask, a scan is measured twice, or a training
        lacks a row that another has.
    """
    table = pd.concat([read_tsv(path, MEASURED_COLUMNS) for path in paths], ignore_index=True)
    where = ", ".join(map(str, paths))
    if table.empty:
        raise bad_input(where, "test scans with a lesion mask", "none", MAKE_AGAIN)
    row = ["scan", "size", "metric"]
    counts = table.groupby(["method", "seed", *row]).size()
    if (counts > 1).any():
        raise bad_input(where, "each scan of a training once", "some repeatedly", MAKE_AGAIN)
    trainings = table[["method", "seed"]].drop_duplicates()
    if len(counts) < len(trainings) * len(table[row].drop_duplicates()):
        expected = "every class of size and metric of every scan of every training"
        raise bad_input(where, expected, "not all of them", MAKE_AGAIN)
    return table


def read_raters(paths: Sequence[Path]) -> pd.DataFrame:
    """Read what `msnmo.evaluate.raters` wrote of scans of several raters, maybe of none.

    Raises
    ------
    InputError
        If a file cannot be read, or a scan has a metric twice or lacks one.
    """
    empty = pd.DataFrame(columns=list(RATER_COLUMNS)).astype(RATER_COLUMNS)
    tables = [read_tsv(path, RATER_COLUMNS) for path in paths]
    table = pd.concat(tables, ignore_index=True) if tables else empty
    counts = table.groupby(["scan", "metric"]).size().unstack(fill_value=0)
    if len(counts) and (set(counts) != set(OF_RATERS) or (counts != 1).any(axis=None)):
        where = ", ".join(map(str, paths))
        expected = f"{', '.join(OF_RATERS)} of each scan once"
        raise bad_input(where, expected, "others", MAKE_AGAIN)
    return table


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what methods find by size and load of lesions, and how far raters agree."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.statistics.lesions", description=__doc__
    )
    parser.add_argument(
        "--measured",
        type=Path,
        nargs="+",
        required=True,
        help="tables of msnmo.evaluate.lesion_sizes, by methods in the order wanted",
    )
    parser.add_argument(
        "--raters", type=Path, nargs="*", default=[], help="tables of msnmo.evaluate.raters"
    )
    add_arguments(parser)
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    measured = with_subjects(read_measured(given.measured), folds, given.folds)
    raters = read_raters(given.raters).merge(folds[["scan", "subject", "fold"]], on="scan")
    drawn = Drawn.draw(folds, measured["seed"], given.replicates, given.seed)
    described = describe(measured, raters, drawn, given.confidence)
    write_tsv(given.out, as_text(described, NUMBERS))


if __name__ == "__main__":
    run_command(main)
