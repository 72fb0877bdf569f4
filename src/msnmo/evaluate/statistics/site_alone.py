"""What the site of a scan alone tells of its class: the row below which no network should be.

A scan's score is the share of NMOSD among the training scans of its site, in the fold that tests
it; of a site that is not among them it is the share among all training scans. It is judged as a
method's probability of NMOSD is, and compared with by nobody: no network, no seed.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from msnmo.cohort.folds import read_folds
from msnmo.core.diagnoses import positive, score
from msnmo.core.errors import run_command
from msnmo.core.files import write_tsv
from msnmo.core.numbers import as_text
from msnmo.evaluate.aggregate import COLUMNS as METRIC_COLUMNS
from msnmo.evaluate.aggregate import across_folds
from msnmo.evaluate.classification import classification_metrics, predicted_nmosd
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE, metrics_of
from msnmo.evaluate.statistics.bootstrap import Drawn
from msnmo.evaluate.statistics.compare import by_method, comparison, interval_of
from msnmo.evaluate.statistics.options import add_arguments
from msnmo.evaluate.statistics.sites import read_sites

SITE_ALONE = "site_alone"
"""In the column method; the registry has no such method."""
NO_SEED = 0
NUMBERS = ("mean", "sd", "ci_low", "ci_high")
COUNTS = ("n_folds", "n_undefined_folds", "n_scans", "n_subjects")
COLUMNS = ("metric", *NUMBERS, "interval", *COUNTS)


def score_scans(folds: pd.DataFrame, sites: pd.Series) -> pd.Series:
    """Return of each scan the share of class 1 (NMOSD) among its site's training scans.

    Parameters
    ----------
    folds : DataFrame
        Columns scan, diagnosis, fold.
    sites : Series of str
        Of each scan, by scan.
    """
    table = folds.assign(
        site=sites.loc[folds["scan"]].to_numpy(), nmosd=folds["diagnosis"] == positive()
    ).set_index("scan")
    parts = []
    for fold, tested in table.groupby("fold"):
        trained = table[table["fold"] != fold]
        shares = trained.groupby("site")["nmosd"].mean()
        parts.append(tested["site"].map(shares).fillna(trained["nmosd"].mean()))
    return pd.concat(parts).sort_index()


def metrics_of_sites(folds: pd.DataFrame, sites: pd.Series, tested: Sequence[int]) -> pd.DataFrame:
    """Return the scores as the metrics of a method, as `msnmo.evaluate` writes those of networks.

    Parameters
    ----------
    folds, sites
        As of `score_scans`.
    tested : sequence of int
        The folds that methods are tested on.
    """
    scores = score_scans(folds, sites)
    rows = [row for fold in tested for row in _of_fold(fold, folds[folds["fold"] == fold], scores)]
    return pd.DataFrame(rows, columns=list(METRIC_COLUMNS))


def _of_fold(fold: int, tests: pd.DataFrame, scores: pd.Series) -> Iterator[tuple[object, ...]]:
    nmosd = (tests["diagnosis"] == positive()).to_numpy()
    p_nmosd = scores.loc[tests["scan"]].to_numpy()
    right = (predicted_nmosd(p_nmosd) == nmosd).astype(float)
    values = {"ACC": right, score(): p_nmosd}
    own = [
        (scan, name, of[n]) for n, scan in enumerate(tests["scan"]) for name, of in values.items()
    ]
    own += [(NOT_APPLICABLE, *item) for item in classification_metrics(nmosd, p_nmosd).items()]
    for scan, name, value in own:
        yield SITE_ALONE, fold, NO_SEED, scan, name, value, NOT_APPLICABLE


def judge(
    metrics: pd.DataFrame, folds: pd.DataFrame, drawn: Drawn, confidence: float
) -> pd.DataFrame:
    """Return ACC, SN, SP and AUC over folds, with intervals, in percent; n_scans are those counted.

    Parameters
    ----------
    metrics : DataFrame
        As `metrics_of_sites` returns.
    folds : DataFrame
        Columns scan, subject, diagnosis.
    drawn : Drawn
        Subjects as they are drawn for methods; of seeds there is `NO_SEED`.
    confidence : float
        Of the interval, within 0 and 1.
    """
    summary = across_folds(metrics).set_index("metric")
    measured = by_method(metrics, folds)[SITE_ALONE]
    rows = []
    for metric in metrics_of("classification"):
        compared = comparison(metric, measured, NOT_APPLICABLE, drawn)
        subjects = compared.scans["subject"].nunique()
        low, high, made = interval_of(metric, compared.replicates, subjects, confidence)
        row, scale = summary.loc[metric], METRICS[metric].scale
        rows.append(
            {
                "metric": metric,
                "mean": scale * row["mean"],
                "sd": scale * row["sd"],
                "ci_low": low,
                "ci_high": high,
                "interval": made,
                "n_folds": int(row["n_folds"]),
                "n_undefined_folds": int(row["n_undefined_folds"]),
                "n_scans": compared.scans.index.get_level_values("scan").nunique(),
                "n_subjects": subjects,
            }
        )
    return pd.DataFrame(rows, columns=list(COLUMNS))


def main(arguments: Sequence[str] | None = None) -> None:
    """Write what sites alone tell of classes."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.statistics.site_alone", description=__doc__
    )
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv, with sites")
    parser.add_argument("--tested", nargs="+", type=int, required=True, help="the folds predicted")
    add_arguments(parser)
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    sites = read_sites(given.cohort, folds)
    drawn = Drawn.draw(folds, [NO_SEED], given.replicates, given.seed)
    metrics = metrics_of_sites(folds, sites, given.tested)
    judged = judge(metrics, folds, drawn, given.confidence)
    write_tsv(given.out, as_text(judged, NUMBERS))


if __name__ == "__main__":
    run_command(main)
