"""One long table of all methods' and folds' metrics, and the means over folds that tables show."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.evaluate.metrics import DESCRIPTORS, METRICS, NOT_APPLICABLE
from msnmo.settings.methods import get_method

COLUMNS = {"method": str, "fold": int, "scan": str, "metric": str, "value": float, "space": str}
Gap = tuple[tuple[str, int], str, str]
"""A method and fold of which rows are missing, what is expected of them, what is found."""


def read_metrics(path: Path | str) -> pd.DataFrame:
    """Read a long table of metrics, of one fold or of all.

    Returns
    -------
    DataFrame
        Columns method, fold, scan (n/a in the rows of a whole fold), metric, value (NaN where
        undefined), space (model, native or n/a).

    Raises
    ------
    InputError
        If a column is missing, a value has another type, a metric is unknown, or rows are missing.
    """
    table = read_tsv(path, COLUMNS)[list(COLUMNS)]
    known = [*METRICS, *DESCRIPTORS]
    if unknown := sorted(set(table["metric"].astype(str)) - set(known)):
        expected = f"metrics {', '.join(known)}"
        raise bad_input(path, expected, ", ".join(unknown), MAKE_AGAIN)
    table = table.fillna({"scan": NOT_APPLICABLE, "space": NOT_APPLICABLE})
    gaps = [*_gaps_within_folds(table), *_gaps_between_folds(table)]
    if findings := [Finding(str(path), expected, found, MAKE_AGAIN) for _, expected, found in gaps]:
        raise InputError(findings)
    return table


def _gaps_within_folds(table: pd.DataFrame) -> Iterator[Gap]:
    """Yield what a fold lacks by its own other rows.

    A table that lost its last lines, or any others, is still a table; what remains of it says what
    was in it.
    """
    rows = _with_names(table)
    of_fold = rows["scan"] == NOT_APPLICABLE
    key = ["method", "fold"]
    of_scan = rows[~of_fold]
    scans = of_scan.groupby([*key, "space"])["scan"].transform("nunique")
    counted = of_scan.groupby([*key, "name"])["scan"].transform("nunique")
    yield from _named("each metric of each scan", of_scan[counted < scans])

    judged = of_scan.loc[of_scan["metric"].isin(METRICS), [*key, "name"]].drop_duplicates()
    means = judged.merge(rows.loc[of_fold, [*key, "name"]], how="left", indicator=True)
    yield from _named("each metric of the whole fold", means[means["_merge"] == "left_only"])


def _gaps_between_folds(table: pd.DataFrame) -> Iterator[Gap]:
    """Yield what a fold lacks and another fold of the method has."""
    of_fold = _with_names(table[table["scan"] == NOT_APPLICABLE])
    counts = of_fold.groupby(["method", "name", "fold"]).size().unstack(fill_value=0).stack()
    yield from _named("each metric of each fold", counts[counts == 0].reset_index())


def _with_names(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(name=table["metric"] + " in space " + table["space"])


def _named(expected: str, rows: pd.DataFrame) -> Iterator[Gap]:
    for (method, fold), part in rows.groupby(["method", "fold"], sort=False):
        names = ", ".join(part["name"].unique())
        yield (method, fold), expected, f"not all of fold {fold} of method {method}: {names}"


def combine_folds(
    tables: Mapping[str, pd.DataFrame], methods: Sequence[str], folds: Sequence[int]
) -> pd.DataFrame:
    """Return one table of every fold of every method.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By file name, what `read_metrics` returned: one fold of one method each.
    methods : sequence of str
        The methods that must be there, in the order that is wanted.
    folds : sequence of int
        The folds that each method must have, once.

    Returns
    -------
    DataFrame
        All rows, by method and fold; the order of `tables` is of no consequence.

    Raises
    ------
    InputError
        With every missing, repeated or unknown method or fold; else with every repeated or missing
        row and every scan that one method was evaluated on and another was not.
    """
    wanted = list(product(dict.fromkeys(methods), folds))
    places = defaultdict(list)
    for name, table in tables.items():
        for place in table[["method", "fold"]].drop_duplicates().itertuples(index=False, name=None):
            places[place].append(name)
    if findings := _fold_findings(places, wanted):
        raise InputError(findings)
    parts = [tables[name] for place in wanted for name in places[place]]
    combined = pd.concat(parts, ignore_index=True)
    findings = [*_repeated_rows(combined), *_differing_scans(combined)]
    for place, expected, found in _gaps_between_folds(combined):
        findings += [Finding(name, expected, found, MAKE_AGAIN) for name in places[place]]
    if findings:
        raise InputError(findings)
    return combined


def _fold_findings(
    places: Mapping[tuple[str, int], list[str]], wanted: list[tuple[str, int]]
) -> list[Finding]:
    findings = [
        Finding(
            f"fold {fold} of method {method}",
            "metrics in one of the files",
            "none",
            "run the workflow again; it evaluates what is missing",
        )
        for method, fold in wanted
        if (method, fold) not in places
    ]
    for (method, fold), files in places.items():
        found = f"fold {fold} of method {method}"
        if (method, fold) not in wanted:
            expected = "methods and folds of the config"
            findings += [Finding(file, expected, found, MAKE_AGAIN) for file in files]
        elif len(files) > 1:
            remedy = "give each fold's metrics once"
            findings.append(Finding(", ".join(files), f"{found} once", "it repeatedly", remedy))
    return findings


def _repeated_rows(table: pd.DataFrame) -> list[Finding]:
    """Find scans that a method tests more than once, and folds that have a metric twice."""
    of_fold = table["scan"] == NOT_APPLICABLE
    place = table["scan"].where(~of_fold, "fold " + table["fold"].astype(str))
    keys = table[["method", "metric", "space"]].assign(place=place)
    repeated = keys[keys.duplicated()].groupby(["method", "place"], sort=False)["metric"].unique()
    return [
        Finding(
            f"metrics of {place}, method {method}",
            "one value of each metric and space over all folds",
            f"several of {', '.join(metrics)}",
            "delete the table of folds and all that was made from it, and run the workflow again",
        )
        for (method, place), metrics in repeated.items()
    ]


def _differing_scans(table: pd.DataFrame) -> list[Finding]:
    """Find scans that not every method with the same metric was evaluated on, in the same fold."""
    of_scan = table[table["scan"] != NOT_APPLICABLE]
    differing: defaultdict[tuple[str, str], set[tuple[int, str]]] = defaultdict(set)
    for _, rows in of_scan.groupby(["metric", "space"], sort=False):
        scans = {
            method: set(zip(part["fold"], part["scan"], strict=True))
            for method, part in rows.groupby("method", sort=False)
        }
        first, *others = scans
        for other in others:
            differing[first, other] |= scans[first] ^ scans[other]
    return [
        Finding(
            f"methods {first} and {other}",
            "the same scans in the same folds",
            "only one has " + ", ".join(f"{scan} (fold {fold})" for fold, scan in sorted(odd)),
            "delete the metrics and predictions of both and run the workflow again",
        )
        for (first, other), odd in differing.items()
        if odd
    ]


def across_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and spread over folds of every metric.

    Parameters
    ----------
    table : DataFrame
        As `combine_folds` returns.

    Returns
    -------
    DataFrame
        A row per method, metric and space, in the order of `table`. Columns mean (of the folds'
        values, as the paper's section 4.1), sd (sample standard deviation of the folds' values,
        ddof = 1; NaN for one fold), n_folds (folds with a value), n_undefined_folds, n_scans (scans
        the metric's task was evaluated on), n_undefined_scans (of these, scans without a value,
        which are in no mean).
    """
    key = ["method", "metric", "space"]
    of_fold = table["scan"] == NOT_APPLICABLE
    folds = table[of_fold].groupby(key, sort=False)["value"]
    summary = folds.agg(mean="mean", sd="std", n_folds="count", size="size").reset_index()
    summary["n_undefined_folds"] = summary.pop("size") - summary["n_folds"]

    of_scan = table[~of_fold & table["metric"].isin(METRICS)]
    of_scan = of_scan.assign(
        task=of_scan["metric"].map(lambda name: METRICS[name].task),
        undefined=of_scan["value"].isna(),
    )
    scans = of_scan.groupby(["method", "task"])["scan"].nunique().rename("n_scans")
    undefined = of_scan.groupby(key)["undefined"].sum().rename("n_undefined_scans")
    summary["task"] = summary["metric"].map(lambda name: METRICS[name].task)
    summary = summary.join(scans, on=["method", "task"]).join(undefined, on=key)
    return summary.fillna({"n_undefined_scans": 0}).astype({"n_undefined_scans": int})


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the metrics of all methods and folds as one table."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.evaluate.aggregate", description=__doc__)
    parser.add_argument("--methods", nargs="+", required=True, help="in the order wanted")
    parser.add_argument("--folds", nargs="+", type=int, required=True, help="in that order")
    parser.add_argument(
        "--metrics", nargs="+", required=True, help="tables of one fold of one method each"
    )
    parser.add_argument("--out", type=Path, required=True, help="table of all")
    given = parser.parse_args(arguments)

    methods = [get_method(name).name for name in given.methods]
    tables = {name: read_metrics(name) for name in given.metrics}
    combined = combine_folds(tables, methods, given.folds)
    scans = combined.loc[combined["scan"] != NOT_APPLICABLE, "scan"].nunique()
    print(f"{len(methods)} methods, {len(given.folds)} folds, {scans} scans")
    write_tsv(given.out, combined)


if __name__ == "__main__":
    run_command(main)
