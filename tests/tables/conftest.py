from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from msnmo.evaluate.aggregate import COLUMNS
from msnmo.evaluate.metrics import METRICS
from msnmo.settings.methods import METHODS, Method
from msnmo.tables.__main__ import SITE_ALONE_COLUMNS
from msnmo.tables.layout import TABLES


def metrics_table(
    values: dict[str, dict[str, list[float]]], seeds: dict[int, float] | None = None
) -> pd.DataFrame:
    """Return metrics of folds of two scans; `values`: method, metric, a number per fold.

    Both scans of a fold have the fold's number; `seeds`: by how much each seed is above it. Native
    space is 0.01 below model space.
    """
    rows = []
    for method, metrics in values.items():
        for metric, numbers in metrics.items():
            spaces = {"model": 0.0, "native": -0.01}
            if METRICS[metric].task == "classification":
                spaces = {"n/a": 0.0}
            for fold, number in enumerate(numbers):
                scans = () if METRICS[metric].of_fold else (f"sub-{fold}a", f"sub-{fold}b")
                rows += [
                    (method, fold, seed, scan, metric, number + shift + moved, space)
                    for seed, moved in (seeds or {1: 0.0}).items()
                    for space, shift in spaces.items()
                    for scan in (*scans, "n/a")
                ]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def statistics_table(summary: pd.DataFrame, tables: tuple[str, ...]) -> pd.DataFrame:
    """Return an interval of 3 to either side of each number, and p of 0.01 but for the joint model.

    As `msnmo.evaluate.statistics` writes it and a table reads it.
    """
    rows = [
        {
            "table": table,
            "metric": row.metric,
            "space": row.space,
            "method": row.method,
            "n_scans": 4,
            "n_subjects": 3,
            "ci_low": METRICS[row.metric].scale * row.mean - 3,
            "ci_high": METRICS[row.metric].scale * row.mean + 3,
            "interval": "bootstrap",
            "test": None if row.method == "joint" else "signed_rank",
            "p": np.nan if row.method == "joint" else 0.0101,
            "p_holm": np.nan if row.method == "joint" else 0.0202,
        }
        for table in tables
        for row in summary.itertuples()
    ]
    return pd.DataFrame(rows)


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
def as_metrics():
    """`metrics_table`, for tests."""
    return metrics_table


@pytest.fixture
def statistics():
    """A function: the statistics of a summary over folds, for every table."""
    return lambda summary: statistics_table(summary, TABLES)


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


@pytest.fixture
def site_alone() -> pd.DataFrame:
    """As `msnmo.evaluate.statistics.site_alone` writes it; one of two folds has no AUC."""
    rows = [
        (metric, "bootstrap", 61.0, 4.0, 55.5, 66.0, 2 - gap, gap, 4, 3)
        for metric, gap in (("ACC", 0), ("SN", 0), ("SP", 0), ("AUC", 1))
    ]
    return pd.DataFrame(rows, columns=list(SITE_ALONE_COLUMNS))
