"""One long table of the metrics of all methods, folds and seeds, and the means that tables show."""

from __future__ import annotations

import argparse
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from pathlib import Path

import pandas as pd

from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE, descriptors
from msnmo.settings.methods import get_method

COLUMNS = {
    "method": str,
    "fold": int,
    "seed": int,
    "scan": str,
    "metric": str,
    "value": float,
    "space": str,
}
RUN = ["method", "fold", "seed"]
"""Columns that identify a training."""
Run = tuple[str, int, int]
Gap = tuple[Run, str, str]
"""A training with missing rows, what was expected, and what was found."""


def read_metrics(path: Path | str) -> pd.DataFrame:
    """Read a long table of metrics of one or more trainings.

    Returns
    -------
    DataFrame
        Columns method, fold, seed, scan (n/a in the rows of a whole fold), metric, value (NaN where
        undefined), space (model, native or n/a).

    Raises
    ------
    InputError
        If a column is missing, a value has another type, a metric is unknown, or rows are missing.
    """
    table = read_tsv(path, COLUMNS)[list(COLUMNS)]
    known = [*METRICS, *descriptors()]
    if unknown := sorted(set(table["metric"].astype(str)) - set(known)):
        expected = f"metrics {', '.join(known)}"
        raise bad_input(path, expected, ", ".join(unknown), MAKE_AGAIN)
    table = table.fillna({"scan": NOT_APPLICABLE, "space": NOT_APPLICABLE})
    gaps = [*_gaps_within_folds(table), *_gaps_between_folds(table)]
    if findings := [Finding(str(path), expected, found, MAKE_AGAIN) for _, expected, found in gaps]:
        raise InputError(findings)
    return table


def of_first_seed(table: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of the first seed in a table of metrics.

    Where only one training per fold is shown, such as in pictures of scans, this seed is used.
    """
    return table[table["seed"] == table["seed"].iloc[0]] if len(table) else table


def _gaps_within_folds(table: pd.DataFrame) -> Iterator[Gap]:
    """Yield what a fold lacks, judged by its own other rows.

    A table that lost its last lines, or any others, is still a readable table. The remaining rows
    show what was in it.
    """
    rows = _with_names(table)
    of_fold = rows["scan"] == NOT_APPLICABLE
    of_scan = rows[~of_fold]
    scans = of_scan.groupby([*RUN, "space"])["scan"].transform("nunique")
    counted = of_scan.groupby([*RUN, "name"])["scan"].transform("nunique")
    yield from _named("each metric of each scan", of_scan[counted < scans])

    judged = of_scan.loc[of_scan["metric"].isin(METRICS), [*RUN, "name"]].drop_duplicates()
    means = judged.merge(rows.loc[of_fold, [*RUN, "name"]], how="left", indicator=True)
    yield from _named("each metric of the whole fold", means[means["_merge"] == "left_only"])


def _gaps_between_folds(table: pd.DataFrame) -> Iterator[Gap]:
    """Yield what a fold of a seed lacks although another fold of the method has it."""
    of_fold = _with_names(table[table["scan"] == NOT_APPLICABLE])
    there = of_fold.groupby(["method", "name", "fold", "seed"]).size()
    runs = ["fold", "seed"]
    counts = there.unstack(runs, fill_value=0).stack(runs, future_stack=True)
    yield from _named("each metric of each fold", counts[counts == 0].reset_index())


def _with_names(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(name=table["metric"] + " in space " + table["space"])


def _named(expected: str, rows: pd.DataFrame) -> Iterator[Gap]:
    for run, part in rows.groupby(RUN, sort=False):
        names = ", ".join(part["name"].unique())
        yield run, expected, f"not all of {_called(run)}: {names}"


def _called(run: Run) -> str:
    method, fold, seed = run
    return f"fold {fold} of method {method}, seed {seed}"


def combine_folds(
    tables: Mapping[str, pd.DataFrame],
    methods: Sequence[str],
    folds: Sequence[int],
    seeds: Sequence[int],
) -> pd.DataFrame:
    """Return one table of every fold and seed of every method.

    Parameters
    ----------
    tables : mapping of str to DataFrame
        By file name, a table from `read_metrics` with one training.
    methods : sequence of str
        The required methods, in the wanted order.
    folds, seeds : sequence of int
        The folds that each method must have, each with every seed, once.

    Returns
    -------
    DataFrame
        All rows, by method, fold and seed. The order of `tables` does not matter.

    Raises
    ------
    InputError
        Lists every missing, repeated or unknown method, fold or seed; else every repeated or
        missing row, and every scan that only some methods were evaluated on.
    """
    wanted = list(product(dict.fromkeys(methods), folds, seeds))
    places = defaultdict(list)
    for name, table in tables.items():
        for place in table[RUN].drop_duplicates().itertuples(index=False, name=None):
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


def _fold_findings(places: Mapping[Run, list[str]], wanted: list[Run]) -> list[Finding]:
    findings = [
        Finding(
            _called(run),
            "metrics in one of the files",
            "none",
            "run the workflow again; it evaluates the missing ones",
        )
        for run in wanted
        if run not in places
    ]
    for run, files in places.items():
        found = _called(run)
        if run not in wanted:
            expected = "methods, folds and seeds of the config"
            findings += [Finding(file, expected, found, MAKE_AGAIN) for file in files]
        elif len(files) > 1:
            remedy = "give each fold's metrics once"
            findings.append(Finding(", ".join(files), f"{found} once", "it repeatedly", remedy))
    return findings


def _repeated_rows(table: pd.DataFrame) -> list[Finding]:
    """Find scans tested more than once by a method, and folds with a repeated metric."""
    of_fold = table["scan"] == NOT_APPLICABLE
    place = table["scan"].where(~of_fold, "fold " + table["fold"].astype(str))
    keys = table[["method", "seed", "metric", "space"]].assign(place=place)
    repeated = keys[keys.duplicated()].groupby(["method", "place"], sort=False)["metric"].unique()
    return [
        Finding(
            f"metrics of {place}, method {method}",
            "one value of each metric and space over all folds",
            f"several of {', '.join(metrics)}",
            "delete the table of folds and all results made from it, and run the workflow again",
        )
        for (method, place), metrics in repeated.items()
    ]


def _differing_scans(table: pd.DataFrame) -> list[Finding]:
    """Find scans that only some methods with the same metric were tested on, by fold and seed."""
    of_scan = table[table["scan"] != NOT_APPLICABLE]
    differing: defaultdict[tuple[str, str], set[tuple[int, int, str]]] = defaultdict(set)
    for _, rows in of_scan.groupby(["metric", "space"], sort=False):
        scans = {
            method: set(part[["fold", "seed", "scan"]].itertuples(index=False, name=None))
            for method, part in rows.groupby("method", sort=False)
        }
        first, *others = scans
        for other in others:
            differing[first, other] |= scans[first] ^ scans[other]
    return [
        Finding(
            f"methods {first} and {other}",
            "the same scans in the same folds",
            "only one has "
            + ", ".join(f"{scan} (fold {fold}, seed {seed})" for fold, seed, scan in sorted(odd)),
            "delete the metrics and predictions of both and run the workflow again",
        )
        for (first, other), odd in differing.items()
        if odd
    ]


def drawn_anew(scans: pd.DataFrame) -> bool:
    """Return whether each seed has its own folds, as in repeated cross-validation.

    Parameters
    ----------
    scans : DataFrame
        Columns fold and scan, of all seeds.
    """
    return bool((scans.groupby("scan")["fold"].nunique() > 1).any())


def fold_of(scans: pd.DataFrame) -> list[str]:
    """Return the columns that identify a fold (see `drawn_anew`)."""
    return ["fold", "seed"] if drawn_anew(scans) else ["fold"]


def across_folds(table: pd.DataFrame) -> pd.DataFrame:
    """Return the mean and spread over folds and seeds of every metric.

    Parameters
    ----------
    table : DataFrame
        As returned by `combine_folds`.

    Returns
    -------
    DataFrame
        One row per method, metric and space, in the order of `table`. Columns: mean (of the folds'
        values, as in the paper's section 4.1; with several seeds, a fold's value is the mean over
        its seeds, unless each seed has its own folds); sd (sample standard deviation of the folds'
        values, ddof = 1; NaN for one fold); sd_seeds (the same for the seeds' values, each a mean
        over folds; NaN for one seed); n_folds (folds with a value); n_undefined_folds; n_seeds;
        n_scans (scans evaluated for the metric's task); n_undefined_scans (of these, scans without
        a value in some seed, which enter no mean).
    """
    key = ["method", "metric", "space"]
    of_fold = table["scan"] == NOT_APPLICABLE
    values = table[of_fold]
    folds = [*key, *fold_of(table[~of_fold])]
    by_fold = values.groupby(folds, sort=False)["value"].mean().groupby(key, sort=False)
    by_seed = values.groupby([*key, "seed"], sort=False)["value"].mean().groupby(key, sort=False)
    summary = by_fold.agg(mean="mean", sd="std", n_folds="count", size="size")
    summary["n_undefined_folds"] = summary.pop("size") - summary["n_folds"]
    summary = summary.join(by_seed.agg(sd_seeds="std", n_seeds="size")).reset_index()

    of_scans = table[~of_fold]
    of_scan = of_scans[of_scans["metric"].isin(METRICS)]
    of_scan = of_scan.assign(
        task=of_scan["metric"].map(lambda name: METRICS[name].task),
        undefined=of_scan["value"].isna(),
    )
    scans = of_scan.groupby(["method", "task"])["scan"].nunique().rename("n_scans")
    undefined = of_scan.groupby([*key, "scan"])["undefined"].any().groupby(key).sum()
    undefined = undefined.rename("n_undefined_scans")
    summary["task"] = summary["metric"].map(lambda name: METRICS[name].task)
    summary = summary.join(scans, on=["method", "task"]).join(undefined, on=key)
    penalised = summary["metric"].map(lambda name: METRICS[name].penalised).astype(bool)
    summary["n_penalised_scans"] = summary["method"].map(_one_mask_empty(of_scans)).where(penalised)
    counts = dict.fromkeys(("n_undefined_scans", "n_penalised_scans"), 0)
    return summary.fillna(counts).astype(dict.fromkeys(counts, int))


def _one_mask_empty(of_scans: pd.DataFrame) -> pd.Series:
    """Return, by method, the number of scans with one empty mask (predicted or true) in a seed."""
    volumes = of_scans[of_scans["metric"].isin(("V_TRUE", "V_PRED"))]
    key = ["method", "scan", "seed"]
    empty = volumes.assign(empty=volumes["value"] == 0).groupby(key)["empty"].sum()
    return (empty == 1).groupby(["method", "scan"]).any().groupby("method").sum()


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the metrics of all methods, folds and seeds as one table."""
    parser = argparse.ArgumentParser(prog="python -m msnmo.evaluate.aggregate", description=__doc__)
    parser.add_argument("--methods", nargs="+", required=True, help="in the wanted order")
    parser.add_argument("--folds", nargs="+", type=int, required=True, help="in that order")
    parser.add_argument("--seeds", nargs="+", type=int, required=True, help="in that order")
    parser.add_argument("--metrics", nargs="+", required=True, help="tables, one per training")
    parser.add_argument("--out", type=Path, required=True, help="table of all")
    given = parser.parse_args(arguments)

    methods = [get_method(name).name for name in given.methods]
    tables = {name: read_metrics(name) for name in given.metrics}
    combined = combine_folds(tables, methods, given.folds, given.seeds)
    scans = combined.loc[combined["scan"] != NOT_APPLICABLE, "scan"].nunique()
    print(
        f"{len(methods)} methods, {len(given.folds)} folds, {len(given.seeds)} seeds, {scans} scans"
    )
    write_tsv(given.out, combined)


if __name__ == "__main__":
    run_command(main)
