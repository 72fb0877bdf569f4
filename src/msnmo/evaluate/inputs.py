"""Read the inputs of a fold's evaluation, and find all contradictions in them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd

from msnmo.core.diagnoses import probabilities
from msnmo.core.errors import Finding, InputError, bad_input
from msnmo.core.files import PREDICT_AGAIN, read_tsv
from msnmo.core.grid import Grid
from msnmo.core.volumes import load_mask
from msnmo.evaluate.metrics import Space
from msnmo.settings.methods import Task

PREDICTION_TABLE = "predictions.tsv"
# By space: the prediction of a scan, and the manifest's column of its true mask.
MASK_NAMES: dict[Space, str] = {
    "model": "{scan}_space-model_desc-lesion_mask.nii.gz",
    "native": "{scan}_desc-lesion_mask.nii.gz",
}
TRUTH_COLUMNS: dict[Space, str] = {"model": "lesion", "native": "native_lesion"}


def prediction_columns() -> dict[str, type]:
    """Return the columns of `PREDICTION_TABLE`: p_ms and p_nmosd, or named by the class labels."""
    return {"scan": str, "diagnosis": str, **dict.fromkeys(probabilities(), float)}


@dataclass(frozen=True)
class MaskPair:
    """The predicted and the true lesion mask of one scan in one space.

    Parameters
    ----------
    scan : str
    space : {"model", "native"}
    prediction, truth : Path
    """

    scan: str
    space: Space
    prediction: Path
    truth: Path

    def load(self) -> tuple[np.ndarray, np.ndarray, Grid]:
        """Return both masks as bool voxels, and their common grid.

        Raises
        ------
        InputError
            If a mask is missing, cannot be read, is not binary, or the grids differ.
        """
        if not self.prediction.is_file():
            expected, found = "the predicted lesion mask of a test scan", "no such file"
            raise bad_input(self.prediction, expected, found, PREDICT_AGAIN)
        prediction, truth = load_mask(self.prediction), load_mask(self.truth)
        if not prediction.grid.matches(truth.grid):
            expected = f"the grid of {self.truth}: {_describe(truth.grid)}"
            found = _describe(prediction.grid)
            raise bad_input(self.prediction, expected, found, PREDICT_AGAIN)
        return prediction.data, truth.data, truth.grid


def mask_pairs(directory: Path, manifest: pd.DataFrame, scans: pd.Index) -> list[MaskPair]:
    """Return the masks to compare, in both spaces, for each test scan with a lesion mask.

    Parameters
    ----------
    directory : Path
        Folder of one fold's predictions.
    manifest : DataFrame
        Columns scan, lesion, native_lesion.
    scans : Index of str
        The fold's test scans.
    """
    truths = manifest.set_index("scan")[list(TRUTH_COLUMNS.values())]
    return [
        MaskPair(scan, space, directory / MASK_NAMES[space].format(scan=scan), Path(truth))
        for scan in scans.intersection(truths.index)
        for space in get_args(Space)
        if not pd.isna(truth := truths.loc[scan, TRUTH_COLUMNS[space]])
    ]


def find_discrepancies(
    directory: Path,
    predictions: pd.DataFrame,
    manifest: pd.DataFrame,
    tests: pd.DataFrame,
    tasks: Collection[Task],
) -> list[Finding]:
    """Return all contradictions between a fold's predictions and the fold itself.

    Parameters
    ----------
    directory : Path
        Folder of the fold's predictions.
    predictions : DataFrame
        Its table, with `prediction_columns`.
    manifest : DataFrame
        Columns scan, lesion, native_lesion.
    tests : DataFrame
        The fold's test scans: columns scan, diagnosis.
    tasks : collection of {"segmentation", "classification"}
        What the method predicts: lesion masks, class probabilities or both.
    """
    tested = set(tests["scan"])
    findings = _table_findings(directory / PREDICTION_TABLE, predictions, tests)
    if "classification" in tasks:
        findings += _probability_findings(directory / PREDICTION_TABLE, predictions)
    if missing := sorted(tested - set(manifest["scan"])):
        remedy = "manifest and folds belong to different cohorts: delete both and run again"
        found = f"no row for {', '.join(missing)}"
        findings.append(Finding("manifest", "a row for each test scan", found, remedy))
    known = {name.format(scan=scan) for name in MASK_NAMES.values() for scan in tested}
    present = {path.name for path in directory.glob("*_desc-lesion_mask.nii.gz")}
    if surplus := sorted(present - known):
        expected, found = "masks of only the fold's test scans", f"also {', '.join(surplus)}"
        findings.append(Finding(str(directory), expected, found, PREDICT_AGAIN))
    return findings


def read_class_probabilities(directory: Path, tests: pd.DataFrame) -> pd.DataFrame:
    """Read the class probabilities of a fold's test scans.

    Parameters
    ----------
    directory : Path
        Folder of the fold's predictions.
    tests : DataFrame
        The fold's test scans: columns scan, diagnosis.

    Returns
    -------
    DataFrame
        With `prediction_columns`, sorted by scan.

    Raises
    ------
    InputError
        If the table cannot be read, is for other scans than the fold's, or if its numbers are not
        probabilities.
    """
    path = directory / PREDICTION_TABLE
    columns = prediction_columns()
    predictions = read_tsv(path, columns, PREDICT_AGAIN)[list(columns)]
    tests = tests[["scan", "diagnosis"]]
    findings = _table_findings(path, predictions, tests) + _probability_findings(path, predictions)
    if findings:
        raise InputError(findings)
    return predictions.sort_values("scan", ignore_index=True)


def _table_findings(path: Path, predictions: pd.DataFrame, tests: pd.DataFrame) -> list[Finding]:
    predicted, tested = set(predictions["scan"].astype(str)), set(tests["scan"])
    both = predictions.merge(tests, on="scan", suffixes=("", "_fold"))
    wrong = both.loc[both["diagnosis"] != both["diagnosis_fold"], "scan"]
    problems = {
        "no row for": tested - predicted,
        "a row for what this fold does not test:": predicted - tested,
        "more than one row for": repeated(predictions["scan"]),
        "another diagnosis than the table of folds for": wrong,
    }
    return [
        Finding(
            str(path),
            "one row for each test scan of the fold, with its diagnosis",
            f"{problem} {', '.join(sorted(set(scans)))}",
            PREDICT_AGAIN,
        )
        for problem, scans in problems.items()
        if len(scans)
    ]


def _probability_findings(path: Path, predictions: pd.DataFrame) -> list[Finding]:
    names = probabilities()
    pair = predictions[list(names)]
    valid = pair.ge(0).all(axis=1) & pair.sum(axis=1, skipna=False).sub(1).abs().lt(1e-3)
    if valid.all():
        return []
    found = f"other values for {', '.join(predictions.loc[~valid, 'scan'].astype(str))}"
    expected = f"probabilities {' and '.join(names)}, which sum to 1"
    return [Finding(str(path), expected, found, PREDICT_AGAIN)]


def repeated(scans: pd.Series) -> list[str]:
    """Return the scans that are listed more than once, sorted."""
    return sorted(set(scans[scans.duplicated()].astype(str)))


def _describe(grid: Grid) -> str:
    return f"shape {grid.shape}, affine {np.round(grid.affine[:3], 4).tolist()}"
