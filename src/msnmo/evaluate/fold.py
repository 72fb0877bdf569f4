"""All metrics of one method on the test scans of one fold."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

import pandas as pd

from msnmo.core.diagnoses import positive, probabilities, score
from msnmo.core.errors import Finding, InputError
from msnmo.core.files import PREDICT_AGAIN, read_tsv
from msnmo.evaluate.classification import classification_metrics, log_loss, predicted_nmosd
from msnmo.evaluate.inputs import (
    PREDICTION_TABLE,
    MaskPair,
    find_discrepancies,
    mask_pairs,
    prediction_columns,
)
from msnmo.evaluate.lesion_detection import (
    distance_metrics,
    lesion_metrics,
    volume_correlation,
    volume_metrics,
)
from msnmo.evaluate.metrics import METRICS, NOT_APPLICABLE
from msnmo.evaluate.segmentation import overlap_metrics
from msnmo.settings.methods import Task

COLUMNS = ["scan", "metric", "value", "space"]
Score = tuple[str, str, float, str]
"""The values of `COLUMNS` in one row."""


def evaluate_fold(
    directory: Path,
    manifest: pd.DataFrame,
    tests: pd.DataFrame,
    tasks: Collection[Task],
    smallest_mm3: float,
) -> pd.DataFrame:
    """Return the metrics of one fold's test scans, per scan and for the fold.

    Parameters
    ----------
    directory : Path
        Folder of the fold's predictions.
    manifest : DataFrame
        Columns scan, lesion, native_lesion (paths, or missing if readers drew no mask).
    tests : DataFrame
        The fold's test scans: columns scan, diagnosis.
    tasks : collection of {"segmentation", "classification"}
        What the method predicts.
    smallest_mm3 : float
        Smallest volume of a counted lesion.

    Returns
    -------
    DataFrame
        Columns scan, metric, value (fractions, mm or ml; NaN if undefined), space (model, native or
        n/a). First, sorted by scan, one row per scan: for DSC, PPV, TPR and VD in both spaces; for
        lesion-wise metrics, distances and volumes in native space; and for ACC (1 if the class is
        right, else 0), the probability of NMOSD and the log loss. Then one row per metric for the
        fold, with scan n/a: the mean over scans with a value; for SN, SP, AUC and VC, the value
        over all scans.

    Raises
    ------
    InputError
        Lists every discrepancy between predictions, manifest and fold.
    """
    tests = tests.sort_values("scan")
    predictions = read_tsv(directory / PREDICTION_TABLE, prediction_columns(), PREDICT_AGAIN)
    findings = find_discrepancies(directory, predictions, manifest, tests, tasks)
    scores: list[Score] = []
    fold_scores: list[Score] = []
    if "segmentation" in tasks:
        scores, unusable = _segmentation_rows(
            *(directory, manifest, pd.Index(tests["scan"]), smallest_mm3)
        )
        findings += unusable
        fold_scores = _fold_rows(scores)
    if findings:
        raise InputError(findings)
    if "classification" in tasks:
        by_scan, by_fold = classification_rows(tests, predictions)
        scores += by_scan
        fold_scores += by_fold
    ordered = pd.DataFrame(scores, columns=COLUMNS).sort_values("scan", kind="stable")
    return pd.concat([ordered, pd.DataFrame(fold_scores, columns=COLUMNS)], ignore_index=True)


def _segmentation_rows(
    directory: Path, manifest: pd.DataFrame, scans: pd.Index, smallest_mm3: float
) -> tuple[list[Score], list[Finding]]:
    rows: list[Score] = []
    findings: list[Finding] = []
    for pair in mask_pairs(directory, manifest, scans):
        try:
            metrics = mask_metrics(pair, smallest_mm3)
        except InputError as error:
            findings += error.findings
            continue
        rows += [(pair.scan, name, value, pair.space) for name, value in metrics.items()]
    return rows, findings


def mask_metrics(pair: MaskPair, smallest_mm3: float) -> dict[str, float]:
    """Return all measurements of the masks of one scan in one space.

    Parameters
    ----------
    pair : MaskPair
    smallest_mm3 : float
        Smallest volume of a counted lesion.

    Raises
    ------
    InputError
        As `MaskPair.load`.
    """
    prediction, truth, grid = pair.load()
    metrics = overlap_metrics(prediction, truth)
    if pair.space == "native":
        metrics |= lesion_metrics(prediction, truth, grid, smallest_mm3)
        metrics |= distance_metrics(prediction, truth, grid)
        metrics |= volume_metrics(prediction, truth, grid)
    return metrics


def _fold_rows(rows: list[Score]) -> list[Score]:
    """Return the means over scans, and the metrics defined for a whole fold."""
    table = pd.DataFrame(rows, columns=COLUMNS)
    judged = table[table["metric"].isin(METRICS)]
    means = judged.groupby(["space", "metric"], sort=False)["value"].mean()
    of_fold = [(NOT_APPLICABLE, metric, value, space) for (space, metric), value in means.items()]
    volumes = table.pivot_table(index="scan", columns="metric", values="value", sort=False)
    if {"V_TRUE", "V_PRED"} <= set(volumes):
        correlation = volume_correlation(volumes["V_TRUE"], volumes["V_PRED"])
        of_fold.append((NOT_APPLICABLE, "VC", correlation, "native"))
    return of_fold


def classification_rows(
    tests: pd.DataFrame, predictions: pd.DataFrame
) -> tuple[list[Score], list[Score]]:
    """Return the classification metrics of single scans, and of all of them together.

    Parameters
    ----------
    tests : DataFrame
        Columns scan, diagnosis (one of the two labels).
    predictions : DataFrame
        Columns scan, and the probability of class 1.
    """
    p_nmosd = predictions.set_index("scan").loc[tests["scan"], probabilities()[1]].to_numpy()
    nmosd = (tests["diagnosis"] == positive()).to_numpy()
    right = (predicted_nmosd(p_nmosd) == nmosd).astype(float)
    lost = log_loss(nmosd, p_nmosd)
    by_scan = [
        (scan, metric, value, NOT_APPLICABLE)
        for scan, *values in zip(tests["scan"], right, p_nmosd, lost, strict=True)
        for metric, value in zip(("ACC", score(), "LL"), values, strict=True)
    ]
    metrics = classification_metrics(nmosd, p_nmosd) | {"LL": float(lost.mean())}
    by_fold = [(NOT_APPLICABLE, name, value, NOT_APPLICABLE) for name, value in metrics.items()]
    return by_scan, by_fold
