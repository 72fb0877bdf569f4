"""Rows, columns and reported numbers against the text of the paper's tables."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace

import pytest

from msnmo.evaluate.metrics import METRICS, TABLE_METRICS
from msnmo.settings.methods import METHODS
from msnmo.tables.layout import (
    CAPTIONS,
    DESCRIBED,
    LESIONS,
    MAPS,
    ROBUSTNESS,
    SHORTCUTS,
    SITES,
    TABLES,
    lay_out,
    methods_of,
)
from msnmo.tables.reported import read_reported

SEGMENTATION = ("DSC", "PPV", "TPR", "VD")
CLASSIFICATION = ("ACC", "SN", "SP", "AUC")


@pytest.mark.parametrize(
    ("number", "label", "line"),
    # copied from the paper's tables, a first, a last and a middle row
    [
        ("3", "3D UNet", "70.64	74.11	65.25	36.38"),
        ("3", "Joint Model", "74.87	73.94	72.21	22.34"),
        ("4", "DenseNet121", "88.36	90.85	83.57	92.47"),
        ("4", "Joint Model", "92.16	95.60	92.60	96.33"),
        ("5", "Only Seg Model", "71.24	70.14	69.87	24.97"),
        ("6", "Only Cls Model", "87.80	87.24	89.46	87.59"),
        ("7", "Only local", "73.80	73.95	71.34	24.12	86.14	86.00	88.26	89.32"),
        ("7", "w/o share", "71.98	72.11	67.47	26.35	88.20	86.24	89.24	88.56"),
        ("8", "dot add", "89.48	89.36	85.24	89.90"),
        (
            "9",
            "w/o cross loss",
            "73.96	72.06	70.64	22.90	92.08	95.62	92.54	95.54",
        ),
    ],
)
def test_reported_numbers_are_the_papers(number, label, line):
    reported = read_reported()[int(number)][label]
    assert [f"{percent:.2f}" for percent in reported.values()] == line.split("\t")
    assert tuple(reported) == lay_out()[number].metrics


@pytest.mark.parametrize(
    ("number", "rows", "metrics"),
    [
        ("3", 4, SEGMENTATION),
        ("4", 6, CLASSIFICATION),
        ("5", 2, SEGMENTATION),
        ("6", 2, CLASSIFICATION),
        ("7", 4, SEGMENTATION + CLASSIFICATION),
        ("8", 5, CLASSIFICATION),
        ("9", 2, SEGMENTATION + CLASSIFICATION),
    ],
)
def test_every_table_has_the_papers_rows_and_columns(number, rows, metrics):
    table = lay_out()[number]
    paper = [row for row in table.rows if row.reported]
    assert len(paper) == rows
    assert paper[-1].label == "Joint Model"
    assert table.metrics == metrics
    assert all(tuple(row.reported) == metrics for row in paper)
    assert table.caption == CAPTIONS[number]


def test_every_method_of_the_registry_is_a_row_of_the_tables_it_names():
    tables = lay_out()
    for method in METHODS.values():
        found = {
            number
            for number, table in tables.items()
            for row in table.rows
            if row.method == method.name
        }
        supplement = {"S1"} if "segmentation" in method.tasks else set()
        supplement |= {"S4"} if method.name == "joint" or method.own else set()
        assert found == {*map(str, method.tables)} | supplement


def test_the_joint_model_stands_beside_its_reported_numbers_in_every_table_of_the_paper():
    tables = lay_out()
    for number in read_reported():
        (row,) = [row for row in tables[str(number)].rows if row.method == "joint"]
        assert row.reported


def test_what_a_table_needs_of_the_chosen_methods():
    chosen = ["resnet50", "only_local", "joint", "unet"]
    assert methods_of("7", chosen) == ["only_local", "joint"]
    assert methods_of("4", chosen) == ["resnet50", "joint"]
    assert methods_of("S1", chosen) == ["only_local", "joint", "unet"]
    assert methods_of("1", chosen) == []
    assert methods_of("S4", chosen) == [], "the joint model alone is no comparison"
    (variant, *_) = [name for name, method in METHODS.items() if method.own]
    assert methods_of("S4", [*chosen, variant]) == ["joint", variant]
    assert methods_of(MAPS, [*chosen, "only_cls"]) == ["only_local", "joint", "only_cls"]
    assert methods_of(SITES, chosen) == chosen
    assert methods_of(LESIONS, chosen) == methods_of("S1", chosen)
    assert methods_of(LESIONS, ["resnet50"]) == []
    assert methods_of(SHORTCUTS, chosen) == ["resnet50", "only_local", "joint"]
    assert methods_of(ROBUSTNESS, chosen) == chosen
    assert (*DESCRIBED, *lay_out(), MAPS, SITES, LESIONS, SHORTCUTS, ROBUSTNESS) == TABLES


def test_the_list_of_tables_imports_nothing_slow():
    code = "import sys, msnmo.tables.layout; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_method_that_the_paper_lacks_is_appended(registry):
    rows = lay_out(registry)["5"].rows
    assert [row.method for row in rows] == ["only_seg", "joint", "odd"]
    assert rows[2].reported == {}


def test_a_table_that_the_paper_lacks_has_the_methods_that_name_it(registry, monkeypatch):
    monkeypatch.setitem(CAPTIONS, "99", "A table of ours")
    monkeypatch.setitem(TABLE_METRICS, "99", SEGMENTATION)
    methods = {"odd": replace(registry["odd"], tables=(99,)), "joint": registry["joint"]}
    table = lay_out(methods)["99"]
    assert [(row.method, row.reported) for row in table.rows] == [("odd", {})]
    assert (table.caption, table.metrics) == ("A table of ours", SEGMENTATION)


def test_what_is_best_where_lowest():
    lowest = [name for name, metric in METRICS.items() if metric.best == "lowest"]
    assert set(lowest) >= {"VD", "LFPR", "HD95", "ASD", "AVD"}
    assert not {"DSC", "TPR", "AUC", "LTPR", "LF1", "VC"} & set(lowest)
