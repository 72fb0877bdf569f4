"""Every metric of every method by site, and the AUC of pairs within sites.

A site's number is the mean over its scans, and over seeds: each scan is tested once by a network of
each seed. It is no mean over folds, which of a small site have a scan or none. An AUC counts pairs
of one NMOSD and one MS scan that the same network scored, so of one fold and seed: scores of
different networks are not comparable. Within sites it counts those of one site alone: a network
that knows the scanner, and nothing of the disease, has one half there.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pandas as pd

from msnmo.cohort.balance import COHORT_COLUMNS, site_of_scans
from msnmo.cohort.folds import read_folds
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import bad_input, run_command
from msnmo.core.files import MAKE_AGAIN, read_tsv, write_tsv
from msnmo.core.numbers import as_text
from msnmo.evaluate.aggregate import read_metrics
from msnmo.evaluate.metrics import METRICS, Space, space_of
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    over_seeds,
    replicate,
)
from msnmo.evaluate.statistics.compare import (
    Measured,
    by_method,
    interval_of,
    scans_of_metric,
    statistic_of,
)
from msnmo.evaluate.statistics.options import add_arguments
from msnmo.settings.methods import METHODS

Scope = Literal["all", "within", "site"]
"""All scans; pairs within sites; one site's scans."""
NUMBERS = ("value", "ci_low", "ci_high", "confidence")
PLACE = ("method", "metric", "space", "scope", "site")


def of_classes() -> tuple[str, str]:
    """Return the columns of how many scans of a class there are: n_ms and n_nmosd."""
    first, second = (f"n_{label.lower()}" for label in diagnoses())
    return first, second


def counts() -> tuple[str, ...]:
    """Return the columns of counts."""
    return ("n_scans", "n_undefined_scans", "n_subjects", *of_classes(), "n_pairs", "n_seeds")


def columns() -> tuple[str, ...]:
    """Return the columns of the table."""
    return (*PLACE, *NUMBERS, "interval", *counts())


def by_site(
    metrics: pd.DataFrame,
    folds: pd.DataFrame,
    sites: pd.Series,
    drawn: Drawn,
    *,
    confidence: float,
    space: Space,
) -> pd.DataFrame:
    """Return each metric of each method of all scans and of each site's, the AUC within sites too.

    Parameters
    ----------
    metrics, folds : DataFrame
        As of `msnmo.evaluate.statistics.compare.by_method`.
    sites : Series of str
        Of each scan, by scan.
    drawn : Drawn
    confidence : float
        Of the intervals, within 0 and 1.
    space : {"model", "native"}
        Where masks are compared.

    Returns
    -------
    DataFrame
        Of `columns`. By method, metric (those of its tasks) and scope: all, within (of the AUC
        alone), and a row of each site, sorted. Values are in the metric's unit; NaN where undefined
        (an AUC without a pair, a VC of fewer than three scans). n_scans have a value,
        n_undefined_scans have none and are in no mean; those of `of_classes` are of n_scans;
        n_pairs (of one seed) is missing but for the AUC.
    """
    measured = by_method(metrics, folds)
    rows = [
        {"method": name, "metric": metric, "space": space_of(metric, space)} | row
        for name in METHODS
        if name in measured
        for metric in METRICS
        if METRICS[metric].task in METHODS[name].tasks
        for row in _rows(
            (metric, space_of(metric, space)), measured[name], sites, drawn, confidence
        )
    ]
    return pd.DataFrame(rows, columns=list(columns()))


def _rows(
    place: tuple[str, str],
    measured: Measured,
    sites: pd.Series,
    drawn: Drawn,
    confidence: float,
) -> Iterator[dict[str, Any]]:
    metric, space = place
    table = scans_of_metric(metric, measured, space)
    if table.empty:
        return
    site = sites.loc[table.index.get_level_values("scan")].to_numpy()
    fold = table["fold"].astype(str)
    same = {"all": fold, "within": fold + "/" + site}
    for scope in ("all", "within") if metric == "AUC" else ("all",):
        scored = _row(metric, table.assign(group=same[scope]), drawn, confidence)
        yield {"scope": scope, "site": None} | scored
    known = measured.about.index.get_level_values("scan")
    for name in sorted(set(sites.loc[known])):
        of_site = table.assign(group=fold)[site == name]
        yield {"scope": "site", "site": name} | _row(metric, of_site, drawn, confidence)


def _row(metric: str, scans: pd.DataFrame, drawn: Drawn, confidence: float) -> dict[str, Any]:
    values = scans.drop(columns=["fold", "subject", "diagnosis", "group"])
    defined = scans[values.notna().all(axis=1)]
    once = defined[~defined.index.get_level_values("scan").duplicated()]
    of_class = [int((once["diagnosis"] == name).sum()) for name in diagnoses()]
    replicates = _replicates(metric, scans, drawn)
    subjects = once["subject"].nunique()
    low, high, made = interval_of(metric, replicates[1:], subjects, confidence)
    return {
        "value": float(replicates[0]),
        "ci_low": low,
        "ci_high": high,
        "interval": made,
        "confidence": confidence,
        "n_scans": len(once),
        "n_undefined_scans": scans.index.get_level_values("scan").nunique() - len(once),
        "n_subjects": subjects,
        **dict(zip(of_classes(), of_class, strict=True)),
        "n_pairs": _pairs(once) if metric == "AUC" else None,
        "n_seeds": scans.index.get_level_values("seed").nunique(),
    }


def _pairs(scans: pd.DataFrame) -> int:
    counts = pd.crosstab(scans["group"], scans["diagnosis"])
    return int(counts.reindex(columns=list(diagnoses()), fill_value=0).prod(axis=1).sum())


def _replicates(metric: str, scans: pd.DataFrame, drawn: Drawn) -> np.ndarray:
    """Return the mean over seeds in the cohort (first) and in each replicate."""
    of_seeds = {}
    for seed, rows in scans.groupby("seed"):
        group, _ = pd.factorize(rows["group"])
        made_of = FoldStatistic(rows["subject"].to_numpy(), statistic_of(metric, rows, group))
        of_seeds[seed] = replicate([made_of], drawn.subjects)
    if not of_seeds:
        return np.full(drawn.subjects.shape[1], np.nan)
    return METRICS[metric].scale * over_seeds(of_seeds, drawn.seeds)


def read_sites(cohort: Path, folds: pd.DataFrame) -> pd.Series:
    """Read the site of each scan, by scan.

    Raises
    ------
    InputError
        If the cohort's table cannot be read, or lacks a scan of the folds.
    """
    sites = site_of_scans(read_tsv(cohort, COHORT_COLUMNS))
    if lacking := sorted(set(folds["scan"]) - set(sites.index)):
        found = f"none of {', '.join(lacking)}"
        raise bad_input(cohort, "every scan that is in a fold", found, MAKE_AGAIN)
    return sites


def main(arguments: Sequence[str] | None = None) -> None:
    """Write every metric of every method by site."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.statistics.sites", description=__doc__
    )
    parser.add_argument("--metrics", type=Path, required=True, help="table of metrics")
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv, with sites")
    parser.add_argument(
        "--space", choices=get_args(Space), default="model", help="where masks are compared"
    )
    add_arguments(parser)
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    metrics = read_metrics(given.metrics)
    sites = read_sites(given.cohort, folds)
    drawn = Drawn.draw(folds, metrics["seed"], given.replicates, given.seed)
    table = by_site(metrics, folds, sites, drawn, confidence=given.confidence, space=given.space)
    write_tsv(given.out, as_text(table, (*NUMBERS, "n_pairs")))


if __name__ == "__main__":
    run_command(main)
