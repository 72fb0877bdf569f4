"""The meanings of a page's abbreviations, given once at its end."""

from __future__ import annotations

import re

ABBREVIATIONS = {
    "ACC": "accuracy",
    "ASD": "average surface distance",
    "AUC": "area under the ROC curve",
    "AUROC": "area under the ROC curve",
    "AVD": "absolute volume difference",
    "CI": "confidence interval",
    "DSC": "Dice similarity coefficient",
    "ECE": "expected calibration error",
    "FLAIR": "fluid-attenuated inversion recovery",
    "HD95": "95th percentile of the Hausdorff distance",
    "LF1": "F1 score of lesions",
    "LFPR": "false positive rate of lesions",
    "LGM": "lesion guidance module",
    "LL": "log loss",
    "LTPR": "true positive rate of lesions",
    "MS": "multiple sclerosis",
    "NMOSD": "neuromyelitis optica spectrum disorder",
    "PPV": "positive predictive value",
    "ROC": "receiver operating characteristic",
    "SD": "standard deviation",
    "SN": "sensitivity",
    "SP": "specificity",
    "TPR": "true positive rate",
    "VC": "correlation of volumes",
    "VD": "volume difference",
}
_TAG = re.compile(r"<(style|script|pre)\b.*?</\1>|<[^>]*>", re.DOTALL)
_WORD = re.compile(r"(?<![\w-])[A-Z][A-Z0-9]+(?![\w-])")


def abbreviations_in(page: str) -> list[tuple[str, str]]:
    """Return the abbreviations in a page's HTML, each with its meaning."""
    shown = set(_WORD.findall(_TAG.sub(" ", page)))
    return [(short, words) for short, words in ABBREVIATIONS.items() if short in shown]
