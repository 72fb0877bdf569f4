"""Scans are chosen by rank of their DSC in model space, never by another number."""

from __future__ import annotations

import pandas as pd
import pytest

from msnmo.core.errors import InputError
from msnmo.evaluate.choose import (
    LOW_MEDIAN_HIGH,
    QUARTILES,
    at_fractions,
    choose_in_each_class,
    choose_scan,
    choose_scans,
    dsc_by_scan,
)


def metrics(values, method="joint", metric="DSC", space="model"):
    rows = [
        {
            "method": method,
            "fold": 0,
            "seed": 1,
            "scan": scan,
            "metric": metric,
            "value": value,
            "space": space,
        }
        for scan, value in values.items()
    ]
    return pd.DataFrame(rows)


@pytest.fixture
def eight() -> tuple[pd.DataFrame, pd.DataFrame]:
    """The metrics and folds of five MS and three NMOSD scans."""
    values = {"A": 0.5, "B": 0.1, "C": 0.9, "D": 0.3, "E": 0.7, "N": 0.2, "O": 0.8, "P": 0.4}
    folds = pd.DataFrame(
        {
            "scan": list(values),
            "subject": list(values),
            "diagnosis": ["MS"] * 5 + ["NMOSD"] * 3,
            "fold": [0, 1] * 4,
        }
    )
    return metrics(values), folds


def test_the_scan_of_median_dsc_is_chosen():
    table = metrics({"sub-A": 0.9, "sub-B": 0.1, "sub-C": 0.5, "sub-D": 0.6})
    others = [
        metrics({"sub-B": 0.55}, space="native"),
        metrics({"sub-B": 0.55}, method="unet"),
        metrics({"sub-B": 0.55}, metric="V_PRED"),
        metrics({None: 0.52}),
        metrics({"sub-E": float("nan")}),
    ]
    assert choose_scan(pd.concat([table, *others]), "joint") == "sub-C"


def test_ties_are_ordered_by_scan():
    table = metrics({"sub-B": 0.5, "sub-A": 0.5, "sub-C": 0.5})
    assert choose_scan(table, "joint") == "sub-B"
    assert list(dsc_by_scan(table, "joint")["scan"]) == ["sub-A", "sub-B", "sub-C"]


def test_a_method_without_scans_is_refused():
    with pytest.raises(InputError, match="other"):
        choose_scan(metrics({"sub-A": 1.0}), "other")


@pytest.mark.parametrize(
    ("length", "fractions", "places"),
    [
        (5, (0.25, 0.5, 0.75), [0 + 1, 2, 3]),
        (4, (0.25, 0.5, 0.75), [0, 1, 2]),
        (11, (0.1, 0.3, 0.7), [1, 3, 7]),
        (2, (0.25, 0.5, 0.75), [0]),
        (1, (0.25, 0.75), [0]),
    ],
)
def test_fractions_take_the_row_at_or_before_them_once(length, fractions, places):
    assert list(at_fractions(pd.DataFrame({"n": range(length)}), fractions)["n"]) == places


def test_scans_at_the_quartiles_come_with_diagnosis_and_fold(eight):
    chosen = choose_scans(*eight, "joint", LOW_MEDIAN_HIGH)
    # in order B N D P A E O C; 0.25 * 7 = 1.75, 3.5, 5.25
    assert list(chosen["scan"]) == ["N", "P", "E"]
    assert list(chosen["diagnosis"]) == ["NMOSD", "NMOSD", "MS"]
    assert list(chosen["fold"]) == [1, 1, 0]
    assert list(chosen["dsc"]) == [0.2, 0.4, 0.7]


def test_each_class_has_its_own_quartiles(eight):
    chosen = choose_in_each_class(*eight, "joint", QUARTILES)
    # MS: B D A E C; NMOSD: N P O, where 0.25 * 2 is before the second
    assert list(chosen["scan"]) == ["D", "E", "N", "P"]
    assert list(chosen["diagnosis"]) == ["MS", "MS", "NMOSD", "NMOSD"]


def test_one_class_alone_is_shown_alone(eight):
    table, folds = eight
    table = table[table["scan"].isin(["A", "B", "C"])]
    assert list(choose_in_each_class(table, folds, "joint", (0.5,))["scan"]) == ["A"]


def test_a_scan_in_no_fold_is_refused(eight):
    table, folds = eight
    with pytest.raises(InputError, match="O, P"):
        choose_scans(table, folds[:6], "joint", (0.5,))
