"""What a table says: ours, the reported number, their difference and who is best."""

from __future__ import annotations

import math

import pandas as pd
import pytest

from msnmo.evaluate.aggregate import COLUMNS, across_folds
from msnmo.tables.compare import ComparedCell, Ours, compare, ranks
from msnmo.tables.layout import lay_out

NAN = math.nan


@pytest.fixture
def cells(statistics):
    return lambda table, summary, space="model": {
        (row.label, cell.metric): cell
        for row in compare(table, summary, statistics(summary), space)
        for cell in row.cells
    }


def test_ours_beside_reported(joint_only, cells):
    found = cells(lay_out()["3"], across_folds(joint_only))
    dsc = found["Joint Model", "DSC"]
    assert dsc.ours.mean == pytest.approx(71.0)
    assert dsc.ours.sd == pytest.approx(100 * 0.02 / math.sqrt(2))
    assert (dsc.ours.n_folds, dsc.ours.n_scans) == (2, 4)
    assert (dsc.reported, dsc.difference) == (74.87, -3.87)
    assert found["Joint Model", "TPR"].difference == 0


def test_what_was_not_run_keeps_its_reported_number_and_no_other(joint_only, cells):
    found = cells(lay_out()["3"], across_folds(joint_only))
    assert len(found) == 4 * 4
    for label in ("3D UNet", "VNet", "AttentionUNet"):
        cell = found[label, "VD"]
        assert (cell.ours, cell.difference, cell.rank) == (None, None, None)
        assert cell.reported > 0


def test_space_chooses_masks_and_leaves_classes(joint_only, cells):
    summary = across_folds(joint_only)
    native = cells(lay_out()["9"], summary, "native")
    assert native["Joint Model", "DSC"].ours.mean == pytest.approx(70.0)
    assert native["Joint Model", "DSC"].space == "native"
    assert native["Joint Model", "ACC"].ours.mean == pytest.approx(85.0)
    assert native["Joint Model", "ACC"].space == "n/a"


def test_best_and_second_of_ours(registry, three_methods, cells):
    found = cells(lay_out(registry)["5"], across_folds(three_methods))
    place = {key: cell.rank for key, cell in found.items()}
    assert place["Joint Model", "DSC"] == 1
    assert place["Only Seg Model", "DSC"] == 2
    # VD: the lowest is best (25 %, before two of 40 %)
    assert place["Only Seg Model", "VD"] == 1
    assert place["Joint Model", "VD"] == place["50% & a_b <c|d>", "VD"] == 2
    # equal as shown: both best
    assert place["Joint Model", "PPV"] == place["Only Seg Model", "PPV"] == 1
    assert place["50% & a_b <c|d>", "PPV"] == 2


@pytest.mark.parametrize(
    ("means", "best", "expected"),
    [
        ([70.0, 80.0, 75.0], "highest", [None, 1, 2]),
        ([70.0, 80.0, 75.0], "lowest", [1, None, 2]),
        ([70.001, 70.004, 60.0], "highest", [1, 1, 2]),
        ([None, 80.0, NAN], "highest", [None, None, None]),
        ([None, 80.0, NAN, 81.0], "highest", [None, 2, None, 1]),
        ([], "highest", []),
    ],
)
def test_ranks(means, best, expected):
    assert ranks(means, best) == expected


@pytest.mark.parametrize(
    ("mean", "difference"),
    [(74.8651, "0.0"), (74.8749, "0.0"), (74.8751, "0.01"), (70.0, "-4.87"), (NAN, "None")],
)
def test_difference_is_that_of_the_numbers_shown(mean, difference):
    cell = ComparedCell("DSC", "model", Ours(mean, 1.0, NAN, 5, 0, 1, 131, 0), 74.87)
    # as text, because -0.0 equals 0.0 and would be shown as -0.00
    assert str(cell.difference) == difference


def test_how_sure_a_number_is_comes_from_its_own_table_and_space(joint_only, statistics):
    summary = across_folds(joint_only)
    given = statistics(summary)
    given.loc[given["table"] != "3", "ci_low"] = 99.0
    given.loc[given["space"] != "native", "ci_high"] = 99.0
    rows = compare(lay_out()["3"], summary, given, "native")
    sure = rows[-1].cells[0].sureness
    assert (sure.low, sure.high) == (pytest.approx(67.0), pytest.approx(73.0))
    assert (sure.test, sure.n_scans, sure.n_subjects) == (None, 4, 3)
    assert rows[0].cells[0].sureness is None


def test_a_method_beyond_the_paper_is_a_row_only_if_it_was_run(three_methods, statistics):
    metrics = three_methods.replace({"method": {"odd": "nnunet_plain"}})
    for shown, table in ((True, metrics), (False, three_methods)):
        summary = across_folds(table)
        rows = compare(lay_out()["3"], summary, statistics(summary), "model")
        assert ("nnU-Net (plain)" in [row.label for row in rows]) == shown
        assert "SwinUNETR" not in [row.label for row in rows]


def test_the_supplement_is_in_the_metrics_own_units_and_native_space(statistics):
    values = {"LTPR": 0.5, "HD95": 4.0, "AVD": 2.0, "VC": 0.9}
    rows = [
        ("only_seg", fold, 1, "n/a", metric, value + fold / 10, "native")
        for metric, value in values.items()
        for fold in (0, 1)
    ]
    rows.append(("only_seg", 0, 1, "sub-1", "DSC", 0.5, "native"))
    summary = across_folds(pd.DataFrame(rows, columns=list(COLUMNS)))
    (row,) = compare(lay_out()["S1"], summary, statistics(summary), "model")
    shown = {cell.metric: cell.ours.mean for cell in row.cells if cell.ours is not None}
    assert shown == pytest.approx({"LTPR": 55.0, "HD95": 4.05, "AVD": 2.05, "VC": 0.95})
    assert {cell.space for cell in row.cells} == {"native"}
