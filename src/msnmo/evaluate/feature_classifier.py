"""A logistic regression that predicts the class from image features outside lesions, fold by fold.

It knows nothing about lesions. If it can tell the classes apart, a network could too, by scanner or
site.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from msnmo.cohort.folds import read_folds
from msnmo.core.diagnoses import positive
from msnmo.core.errors import Finding, InputError, run_command
from msnmo.core.files import MAKE_AGAIN, read_json, read_tsv, write_tsv
from msnmo.core.names import path_of_scan
from msnmo.evaluate.image_features import FEATURES

COHORT_COLUMNS = dict.fromkeys(("scan", "lesion_mask"), str)
COLUMNS = {"fold": int, "scan": str, "diagnosis": str, "p_nmosd": float}
"""Columns of the written table, which has one row per scan."""
DECIMALS = 6


def read_features(pattern: str, scans: Sequence[str]) -> pd.DataFrame:
    """Read the features of scans, a row per scan (index).

    Parameters
    ----------
    pattern : str
        Path with {folder} and {scan} of a scan's output of `msnmo.evaluate.image_features`.
    scans : sequence of str

    Raises
    ------
    InputError
        Lists every file that cannot be read or lacks a feature.
    """
    rows: list[list[float]] = []
    findings: list[Finding] = []
    for scan in scans:
        path = path_of_scan(pattern, scan)
        try:
            content = read_json(path)
        except InputError as error:
            findings += error.findings
            continue
        values = [content[name] for name in FEATURES if isinstance(content.get(name), int | float)]
        if len(values) < len(FEATURES):
            found = f"{', '.join(content) or 'nothing'}"
            findings.append(Finding(str(path), f"numbers {', '.join(FEATURES)}", found, MAKE_AGAIN))
            continue
        rows.append(values)
    if findings:
        raise InputError(findings)
    return pd.DataFrame(rows, index=pd.Index(scans, name="scan"), columns=list(FEATURES))


def predict_folds(
    features: pd.DataFrame, folds: pd.DataFrame, tested: Sequence[int]
) -> pd.DataFrame:
    """Return the probability of NMOSD of each scan, by a regression of the other folds' scans.

    Parameters
    ----------
    features : DataFrame
        A row per scan (index).
    folds : DataFrame
        Columns scan, diagnosis, fold, for scans in `features`.
    tested : sequence of int
        The folds to predict.

    Returns
    -------
    DataFrame
        Columns fold, scan, diagnosis, p_nmosd. If the other folds have only scans of one class, or
        none, the probability is the class's share, or one half.
    """
    nmosd = (folds["diagnosis"] == positive()).to_numpy()
    values = features.loc[folds["scan"]].to_numpy()
    parts = []
    for fold in tested:
        test = (folds["fold"] == fold).to_numpy()
        p_nmosd = _regression(values[~test], nmosd[~test], values[test])
        parts.append(folds.loc[test, ["fold", "scan", "diagnosis"]].assign(p_nmosd=p_nmosd))
    return pd.concat(parts, ignore_index=True)


def _regression(known: np.ndarray, nmosd: np.ndarray, asked: np.ndarray) -> np.ndarray:
    """Return the (N,) probabilities of NMOSD for the requested scans."""
    if len(np.unique(nmosd)) < 2 or not len(asked):
        return np.full(len(asked), nmosd.mean() if len(nmosd) else 0.5)
    model = make_pipeline(StandardScaler(), LogisticRegression(max_iter=1000))
    model.fit(known, nmosd)
    weights = zip(FEATURES, model[-1].coef_[0], strict=True)
    print("weights: " + ", ".join(f"{name} {weight:+.2f}" for name, weight in weights))
    return model.predict_proba(asked)[:, 1]


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the probability of NMOSD of each test scan that has a lesion mask."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.feature_classifier", description=__doc__
    )
    parser.add_argument(
        "--features",
        required=True,
        help="path of a scan's msnmo.evaluate.image_features, with {folder} and {scan}",
    )
    parser.add_argument("--cohort", type=Path, required=True, help="cohort.tsv, for who has a mask")
    parser.add_argument("--folds", type=Path, required=True, help="folds.tsv")
    parser.add_argument("--tested", nargs="+", type=int, required=True, help="the folds predicted")
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    cohort = read_tsv(given.cohort, COHORT_COLUMNS)
    labelled = folds["scan"].isin(cohort.loc[cohort["lesion_mask"].notna(), "scan"])
    folds = folds[labelled].sort_values("scan", ignore_index=True)
    print(f"{len(folds)} scans with a lesion mask, {(~labelled).sum()} without")
    table = predict_folds(read_features(given.features, list(folds["scan"])), folds, given.tested)
    table["p_nmosd"] = [f"{value:.{DECIMALS}f}" for value in table["p_nmosd"]]
    write_tsv(given.out, table[list(COLUMNS)])


if __name__ == "__main__":
    run_command(main)
