from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest

from msnmo.aggregate import COLUMNS
from msnmo.methods import METHODS, Method


def metrics_table(values: dict[str, dict[str, list[float]]]) -> pd.DataFrame:
    """Return metrics of folds of two scans; `values`: method, metric, a number per fold.

    Both scans of a fold have the fold's number. Native space is 0.01 below model space.
    """
    rows = []
    for method, metrics in values.items():
        for metric, numbers in metrics.items():
            classes = metric in ("ACC", "SN", "SP", "AUC")
            spaces = {"n/a": 0.0} if classes else {"model": 0.0, "native": -0.01}
            for fold, number in enumerate(numbers):
                scans = () if metric in ("SN", "SP", "AUC") else (f"sub-{fold}a", f"sub-{fold}b")
                rows += [
                    (method, fold, scan, metric, number + shift, space)
                    for space, shift in spaces.items()
                    for scan in (*scans, "n/a")
                ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


@pytest.fixture
def joint_only() -> pd.DataFrame:
    return metrics_table(
        {
            "joint": {
                "DSC": [0.70, 0.72],
                "PPV": [0.60, 0.66],
                "TPR": [0.7221, 0.7221],
                "VD": [0.3, 0.5],
                "ACC": [0.9, 0.8],
                "SN": [1.0, 0.5],
                "SP": [0.75, 0.75],
                "AUC": [0.95, 0.85],
            }
        }
    )


@pytest.fixture
def registry() -> dict[str, Method]:
    """Three methods, one of them not the paper's and with a label full of special characters."""
    joint = METHODS["joint"]
    odd = replace(joint, name="odd", label="50% & a_b <c|d>", tables=(5,))
    only_seg = replace(joint, name="only_seg", label="Only Seg Model", tables=(5,))
    return {"only_seg": only_seg, "odd": odd, "joint": joint}


@pytest.fixture
def three_methods() -> pd.DataFrame:
    return metrics_table(
        {
            "only_seg": {
                "DSC": [0.65, 0.67],
                "PPV": [0.70, 0.68],
                "TPR": [0.60, 0.70],
                "VD": [0.2, 0.3],
            },
            "odd": {"DSC": [0.5, 0.6], "PPV": [0.5, 0.5], "TPR": [0.4, 0.5], "VD": [0.4, 0.4]},
            "joint": {
                "DSC": [0.70, 0.72],
                "PPV": [0.66, 0.72],
                "TPR": [0.72, 0.70],
                "VD": [0.3, 0.5],
            },
        }
    )
