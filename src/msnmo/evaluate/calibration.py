"""Test on held-out scans whether class probabilities are true; and temperature scaling.

A network is calibrated if, of the scans that it classifies with 80 % confidence, 80 % are right.
Temperature scaling (Guo et al. 2017, "On calibration of modern neural networks") divides logits by
one number, which changes confidences but neither order nor predicted class. A fold is scaled by the
temperature of the other folds: fitted on the scans that its network was trained on, each predicted
by the network that had not seen it, and never on the scans that test it.
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.optimize import minimize_scalar
from scipy.special import expit, logit
from sklearn.metrics import brier_score_loss

from msnmo.cohort.folds import read_folds
from msnmo.core.diagnoses import diagnoses, in_words, positive, probabilities
from msnmo.core.errors import Finding, InputError, bad_input, run_command
from msnmo.core.files import PREDICT_AGAIN, write_tsv
from msnmo.core.numbers import as_text
from msnmo.evaluate.classification import predicted_nmosd
from msnmo.evaluate.inputs import read_class_probabilities
from msnmo.settings.methods import get_method

BINS = 10
"""Bins of equal width from 0 to 1.

The likelier of two classes has at least 0.5: five stay empty.
"""
LEAST = 5e-7
"""Half of the last decimal of predictions.tsv. Before logits are computed, probabilities are
clipped to [LEAST, 1 - LEAST], because one written as 0 or 1 is no more certain than that."""
BOUNDS = (0.05, 20.0)
"""Lowest and highest temperature."""
NO_OTHER_FOLD = "no other fold to fit on"
ONE_CLASS = "1, as fitted on scans of one diagnosis"
SEPARATED = "1, not fitted, as every scan to fit on is classified right"
AT_BOUND = "at the limit of its range; the best value is beyond it"
DEPLOYED = "for new scans, fitted on all scans: no scan is left to test it"
POOLED, FOR_NEW_SCANS = "all", "deployed"
"""Entries of the column fold: all folds together; the temperature for new scans."""


def reliability(p_nmosd: np.ndarray, is_nmosd: np.ndarray) -> pd.DataFrame:
    """Return how often scans are classified right, by the network's confidence.

    `sklearn.calibration.calibration_curve` has the same bins, open on the left and closed on the
    right, but returns neither their counts nor their edges.

    Parameters
    ----------
    p_nmosd : (N,) ndarray of float
        Predicted probability of NMOSD, in [0, 1]; N >= 1.
    is_nmosd : (N,) ndarray of bool
        Whether the diagnosis is NMOSD.

    Returns
    -------
    DataFrame
        One row for each of the `BINS`. Columns low, high (its edges), scans (their number), right
        (the number classified right), confidence (mean probability of the predicted class, in [0.5,
        1]; NaN without scans).

    Raises
    ------
    ValueError
        If the arrays are empty, differ in shape, or a probability is not in [0, 1].
    """
    p_nmosd, is_nmosd = _checked(p_nmosd, is_nmosd)
    confidence = np.maximum(p_nmosd, 1 - p_nmosd)
    edges = np.arange(BINS + 1) / BINS
    # rounded, so that the last digit of a float moves no scan over an edge
    place = np.searchsorted(edges[1:-1], confidence.round(9))
    scans = np.bincount(place, minlength=BINS)
    right = np.bincount(place[predicted_nmosd(p_nmosd) == is_nmosd], minlength=BINS)
    total = np.bincount(place, weights=confidence, minlength=BINS)
    mean = np.divide(total, scans, out=np.full(BINS, np.nan), where=scans > 0)
    return pd.DataFrame(
        {"low": edges[:-1], "high": edges[1:], "scans": scans, "right": right, "confidence": mean}
    )


def expected_calibration_error(p_nmosd: np.ndarray, is_nmosd: np.ndarray) -> float:
    """Return the ECE (Guo et al. 2017, equation 3), in [0, 1]: 0 is calibrated.

    This is the distance between the share of scans classified right and their mean confidence,
    averaged over the bins of `reliability`, weighted by their scans. By chance it is above 0 even
    for calibrated networks, more so with fewer scans.

    Parameters and errors are those of `reliability`.
    """
    bins = reliability(p_nmosd, is_nmosd).query("scans > 0")
    distance = (bins["right"] - bins["scans"] * bins["confidence"]).abs()
    return float(distance.sum() / bins["scans"].sum())


def brier_score(p_nmosd: np.ndarray, is_nmosd: np.ndarray) -> float:
    """Return the mean squared distance of probability and diagnosis, in [0, 1]: 0 is best.

    Parameters and errors are those of `reliability`.
    """
    p_nmosd, is_nmosd = _checked(p_nmosd, is_nmosd)
    return float(brier_score_loss(is_nmosd, p_nmosd, pos_label=True))


def negative_log_likelihood(
    p_nmosd: np.ndarray, is_nmosd: np.ndarray, temperature: float | np.ndarray = 1.0
) -> float:
    """Return the mean negative log-likelihood of the diagnoses in nats, from 0: 0 is best.

    Parameters
    ----------
    p_nmosd, is_nmosd : (N,) ndarray
        As for `reliability`; clipped, see `LEAST`.
    temperature : float or (N,) ndarray
        The divisor of the logits, above 0.

    Raises
    ------
    ValueError
        As `reliability` and `scale`.
    """
    p_nmosd, is_nmosd = _checked(p_nmosd, is_nmosd)
    margin = np.where(is_nmosd, 1, -1) * _scaled_logits(p_nmosd, temperature)
    return float(np.logaddexp(0, -margin).mean())


def scale(p_nmosd: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Return probabilities whose logits are divided by a temperature.

    A temperature above 1 moves them towards 0.5, below 1 towards 0 and 1. With one temperature for
    all scans, order, AUC and predicted class stay, except that clipping or float64 may create ties.

    Parameters
    ----------
    p_nmosd : (N,) ndarray of float
        In [0, 1]; clipped, see `LEAST`.
    temperature : float or (N,) ndarray
        Above 0.

    Returns
    -------
    (N,) ndarray of float64
        In [0, 1].

    Raises
    ------
    ValueError
        If a temperature is not above 0.
    """
    return expit(_scaled_logits(np.asarray(p_nmosd, dtype=np.float64), temperature))


def _scaled_logits(p_nmosd: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    if not np.all(np.asarray(temperature) > 0):
        raise ValueError(f"temperatures must be above 0, not {temperature}")
    return logit(np.clip(p_nmosd, LEAST, 1 - LEAST)) / temperature


@dataclass(frozen=True)
class Fit:
    """A temperature and a note about it.

    Parameters
    ----------
    temperature : float
        Within `BOUNDS`; NaN if there was nothing to fit on.
    note : str
        Why it is not the optimum; empty if it is.
    """

    temperature: float
    note: str = ""


def fit(p_nmosd: np.ndarray, is_nmosd: np.ndarray) -> Fit:
    """Return the temperature with the smallest negative log-likelihood, with a note.

    Scans of one diagnosis do not show how certain the other can be. If every scan is classified
    right, the likelihood rises without end as the temperature falls, which only shows that there
    are few scans. In both cases the temperature is 1, so probabilities stay unchanged. An optimum
    beyond `BOUNDS` is set to the bound (the upper bound is reached if predictions are no better
    than chance).

    Parameters and errors are those of `reliability`; probabilities are clipped, see `LEAST`.
    """
    p_nmosd, is_nmosd = _checked(p_nmosd, is_nmosd)
    if is_nmosd.all() or not is_nmosd.any():
        return Fit(1.0, ONE_CLASS)
    if np.where(is_nmosd, p_nmosd >= 0.5, p_nmosd <= 0.5).all():
        return Fit(1.0, SEPARATED)

    def loss(log_temperature: float) -> float:
        return negative_log_likelihood(p_nmosd, is_nmosd, math.exp(log_temperature))

    # convex in 1 / T, so there is one minimum in log T
    within = tuple(math.log(bound) for bound in BOUNDS)
    found = minimize_scalar(loss, bounds=within, method="bounded", options={"xatol": 1e-6})
    # the search comes close to a bound but never reaches it
    for bound, log_bound in zip(BOUNDS, within, strict=True):
        if loss(log_bound) <= found.fun:
            return Fit(bound, AT_BOUND)
    return Fit(math.exp(found.x))


def fit_temperature(p_nmosd: np.ndarray, is_nmosd: np.ndarray) -> float:
    """Return the temperature with the smallest negative log-likelihood, by the rules of `fit`."""
    return fit(p_nmosd, is_nmosd).temperature


def deployed_fit(predictions: pd.DataFrame) -> Fit:
    """Return the temperature for scans of no fold: fitted on all held-out predictions.

    It fits the probabilities of single networks. For an ensemble, scale each network's
    probabilities and then take the mean. The mean of networks is less confident than they are, and
    would be scaled too far.

    Parameters
    ----------
    predictions : DataFrame
        Predictions of one method, one row per scan, by a network that has not seen it: columns
        scan, diagnosis (MS or NMOSD) and p_nmosd, or named by the class labels.

    Raises
    ------
    InputError
        Names the scans without a diagnosis or a probability. Also raised if there is no scan.
    """
    _, column = probabilities()
    known = predictions["diagnosis"].isin(diagnoses()) & predictions[column].between(0, 1)
    if predictions.empty or not known.all():
        expected = f"a diagnosis {in_words()} and a probability {column} of each held-out scan"
        found = f"others for {', '.join(predictions.loc[~known, 'scan'].astype(str))}"
        raise bad_input("predictions", expected, found if len(known) else "no scan", PREDICT_AGAIN)
    return _fit_rows(predictions)


def fit_other_folds(predictions: pd.DataFrame) -> dict[int, Fit]:
    """Return, for each fold, the temperature fitted on the held-out scans of all other folds.

    Parameters
    ----------
    predictions : DataFrame
        Predictions of one method, one row per held-out scan: columns fold, diagnosis, p_nmosd.

    Returns
    -------
    dict of int to Fit
        By fold, sorted. No row of a fold enters its own fit.
    """
    fits = {}
    for fold in sorted(predictions["fold"].unique()):
        others = predictions[predictions["fold"] != fold]
        fits[int(fold)] = Fit(math.nan, NO_OTHER_FOLD) if others.empty else _fit_rows(others)
    return fits


def _fit_rows(predictions: pd.DataFrame) -> Fit:
    return fit(_given(predictions), _nmosd(predictions))


def scale_folds(predictions: pd.DataFrame, fits: Mapping[int, Fit]) -> np.ndarray | None:
    """Return the (N,) temperature of each row's fold; None if there is none."""
    of_row = predictions["fold"].map({fold: each.temperature for fold, each in fits.items()})
    return None if of_row.isna().any() else of_row.to_numpy()


def calibrate(predictions: pd.DataFrame) -> pd.DataFrame:
    """Return the calibration of one method, unscaled and scaled.

    Parameters
    ----------
    predictions : DataFrame
        As for `fit_other_folds`.

    Returns
    -------
    DataFrame
        Columns fold, scans, ece, brier, nll, temperature, ece_scaled, brier_scaled, nll_scaled,
        note. One row per fold, scaled by the temperature of the others; a row `POOLED` of all
        scans, each scaled as in its fold; and a row `FOR_NEW_SCANS` with only the temperature of
        `deployed_fit`, as no scans are left to test it.
    """
    fits = fit_other_folds(predictions)
    rows = [
        {"fold": str(fold)}
        | _scores(predictions[predictions["fold"] == fold], fits)
        | {"temperature": each.temperature, "note": each.note}
        for fold, each in fits.items()
    ]
    rows.append({"fold": POOLED} | _scores(predictions, fits) | {"note": ""})
    whole = _fit_rows(predictions)
    rows.append(
        {
            "fold": FOR_NEW_SCANS,
            "scans": len(predictions),
            "temperature": whole.temperature,
            "note": "; ".join(filter(None, [DEPLOYED, whole.note])),
        }
    )
    return pd.DataFrame(rows, columns=COLUMNS[1:])


SCORES = ("ece", "brier", "nll")
SCALED = tuple(f"{name}_scaled" for name in SCORES)
COLUMNS = [
    *("method", "fold", "scans", *SCORES),
    *("temperature", *SCALED, "note"),
]


def _scores(predictions: pd.DataFrame, fits: Mapping[int, Fit]) -> dict[str, float]:
    given, nmosd = _given(predictions), _nmosd(predictions)
    scores = {
        "scans": len(predictions),
        "ece": expected_calibration_error(given, nmosd),
        "brier": brier_score(given, nmosd),
        "nll": negative_log_likelihood(given, nmosd),
    }
    temperatures = scale_folds(predictions, fits)
    if temperatures is None:
        return scores
    scaled = scale(given, temperatures)
    return scores | {
        "ece_scaled": expected_calibration_error(scaled, nmosd),
        "brier_scaled": brier_score(scaled, nmosd),
        "nll_scaled": negative_log_likelihood(given, nmosd, temperatures),
    }


def _given(table: pd.DataFrame) -> np.ndarray:
    return table[probabilities()[1]].to_numpy()


def _nmosd(table: pd.DataFrame) -> np.ndarray:
    return (table["diagnosis"] == positive()).to_numpy()


def _checked(p_nmosd: np.ndarray, is_nmosd: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    p_nmosd, is_nmosd = np.asarray(p_nmosd, dtype=np.float64), np.asarray(is_nmosd, dtype=bool)
    if p_nmosd.shape != is_nmosd.shape or p_nmosd.ndim != 1 or not len(p_nmosd):
        shapes = f"{p_nmosd.shape} and {is_nmosd.shape}"
        raise ValueError(f"probabilities and diagnoses must be (N,), N >= 1, not {shapes}")
    if not ((p_nmosd >= 0) & (p_nmosd <= 1)).all():
        raise ValueError("probabilities must be in [0, 1]")
    return p_nmosd, is_nmosd


def read_held_out(
    pattern: str, method: str, folds: pd.DataFrame, tested: Sequence[int]
) -> pd.DataFrame:
    """Read the held-out predictions of one method.

    Parameters
    ----------
    pattern : str
        Path with {method} and {fold}: the folder of a fold's predictions.
    method : str
    folds : DataFrame
        As returned by `msnmo.cohort.folds.read_folds`.
    tested : sequence of int
        The folds to read.

    Returns
    -------
    DataFrame
        Columns scan, diagnosis, p_ms, p_nmosd, fold; a row per scan, by fold.

    Raises
    ------
    InputError
        If the method does not classify. Else lists everything that is missing, damaged or of other
        scans than the fold's.
    """
    if "classification" not in get_method(method).tasks:
        remedy = "leave it out"
        raise bad_input("--methods", "methods that classify", method, remedy)
    parts: list[pd.DataFrame] = []
    findings: list[Finding] = []
    for fold in tested:
        folder = Path(pattern.format(method=method, fold=fold))
        try:
            table = read_class_probabilities(folder, folds[folds["fold"] == fold])
        except InputError as error:
            findings += error.findings
            continue
        parts.append(table.assign(fold=fold))
    if findings:
        raise InputError(findings)
    return pd.concat(parts, ignore_index=True)


def main(arguments: Sequence[str] | None = None) -> None:
    """Write the calibration of methods."""
    parser = argparse.ArgumentParser(
        prog="python -m msnmo.evaluate.calibration", description=__doc__
    )
    parser.add_argument("--methods", nargs="+", required=True, help="in the wanted order")
    parser.add_argument("--folds", type=Path, required=True, help="folds.tsv")
    parser.add_argument("--tested", nargs="+", type=int, required=True, help="the folds predicted")
    parser.add_argument(
        "--predictions", required=True, help="folder of a fold, with {method} and {fold}"
    )
    parser.add_argument("--out", type=Path, required=True, help="TSV")
    given = parser.parse_args(arguments)

    folds = read_folds(given.folds)
    tables, findings = [], []
    for method in given.methods:
        try:
            predictions = read_held_out(given.predictions, method, folds, given.tested)
        except InputError as error:
            findings += error.findings
            continue
        tables.append(calibrate(predictions).assign(method=method)[COLUMNS])
    if findings:
        raise InputError(findings)
    print(f"{len(given.methods)} methods, {len(given.tested)} folds, {len(predictions)} scans")
    table = pd.concat(tables, ignore_index=True)
    table["note"] = table["note"].where(table["note"] != "", None)
    write_tsv(given.out, as_text(table, (*SCORES, "temperature", *SCALED)))


if __name__ == "__main__":
    run_command(main)
