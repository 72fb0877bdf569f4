"""How well the class probabilities of a fold's test scans separate NMOSD from MS.

NMOSD stands for class 1, whatever its label is (`msnmo.core.diagnoses`), and MS for class 0.
"""

from __future__ import annotations

import math

import numpy as np

SMALLEST_PROBABILITY = 5e-7


def predicted_nmosd(p_nmosd: np.ndarray) -> np.ndarray:
    """Return the (N,) bool predicted class: the likelier one, or MS if both are equally likely."""
    return p_nmosd > 0.5


def log_loss(nmosd: np.ndarray, p_nmosd: np.ndarray) -> np.ndarray:
    """Return minus the logarithm of the probability of each scan's true class (N,), in nats.

    Probabilities are written with six decimals, so each is at least half of the last decimal.
    """
    p_true = np.where(nmosd, p_nmosd, 1 - p_nmosd)
    return -np.log(p_true.clip(SMALLEST_PROBABILITY, 1))


def classification_metrics(nmosd: np.ndarray, p_nmosd: np.ndarray) -> dict[str, float]:
    """Return ACC, SN, SP and AUC of a fold (paper, equations 19 to 21); NMOSD is positive (ours).

    ::

        ACC = (TP + TN) / all      SN = TP / (TP + FN)      SP = TN / (TN + FP)

    Equation 19 as printed has FN twice and no TN in its denominator, which is a misprint. AUC is
    the area under the ROC curve of `p_nmosd`. A tied pair counts one half.

    Parameters
    ----------
    nmosd : (N,) ndarray of bool
        Whether a scan's diagnosis is NMOSD; N >= 1.
    p_nmosd : (N,) ndarray of float
        Predicted probability of NMOSD, in [0, 1].

    Returns
    -------
    dict of str to float
        Values in [0, 1]; NaN where undefined: SN without an NMOSD scan, SP without an MS scan, AUC
        without either.
    """
    # takes a second, which code that only reads names need not wait
    from sklearn.metrics import accuracy_score, recall_score, roc_auc_score  # noqa: PLC0415

    predicted = predicted_nmosd(p_nmosd)
    positive, negative = bool(nmosd.any()), not nmosd.all()
    return {
        "ACC": float(accuracy_score(nmosd, predicted)),
        "SN": float(recall_score(nmosd, predicted, pos_label=True)) if positive else math.nan,
        "SP": float(recall_score(nmosd, predicted, pos_label=False)) if negative else math.nan,
        "AUC": float(roc_auc_score(nmosd, p_nmosd)) if positive and negative else math.nan,
    }
