"""One table of all folds: nothing missing, nothing twice, and means over folds as by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.evaluate.aggregate import COLUMNS, across_folds, combine_folds, main, read_metrics
from tests.command import run_here

NAN = math.nan


def fold_table(method: str, fold: int, dsc: dict[str, float], **of_fold: float) -> pd.DataFrame:
    """Return a fold's metrics: DSC per scan (both spaces) and its mean, and ACC and others."""
    rows = []
    for scan, score in dsc.items():
        rows += [(method, fold, scan, "DSC", score, space) for space in ("model", "native")]
        rows.append((method, fold, scan, "ACC", 1.0, "n/a"))
    mean = float(pd.Series(dsc.values()).mean())
    rows += [(method, fold, "n/a", "DSC", mean, space) for space in ("model", "native")]
    of_fold = {"ACC": 1.0, **of_fold}
    rows += [(method, fold, "n/a", name, number, "n/a") for name, number in of_fold.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def two_folds(method: str = "joint") -> dict[str, pd.DataFrame]:
    return {
        f"{method}-1.tsv": fold_table(method, 1, {"sub-C": 0.5, "sub-D": 0.9}, AUC=1.0),
        f"{method}-0.tsv": fold_table(method, 0, {"sub-A": 0.4, "sub-B": 0.2}, AUC=0.5),
    }


def problems(tables, methods=("joint",), folds=(0, 1)) -> str:
    with pytest.raises(InputError) as caught:
        combine_folds(tables, methods, folds)
    return str(caught.value)


def test_order_is_that_of_methods_and_folds_whatever_the_files(tmp_path):
    tables = two_folds("joint") | two_folds("vnet")
    combined = combine_folds(tables, ["vnet", "joint"], [0, 1])
    places = combined[["method", "fold"]].drop_duplicates().to_numpy().tolist()
    assert places == [["vnet", 0], ["vnet", 1], ["joint", 0], ["joint", 1]]
    backwards = dict(reversed(tables.items()))
    pd.testing.assert_frame_equal(combine_folds(backwards, ["vnet", "joint"], [0, 1]), combined)
    assert len(combined) == sum(map(len, tables.values()))


def test_every_missing_unknown_and_repeated_fold_is_named():
    tables = two_folds()
    tables["again.tsv"] = tables["joint-1.tsv"]
    tables["other.tsv"] = fold_table("vnet", 0, {"sub-A": 0.1})
    tables["late.tsv"] = fold_table("joint", 7, {"sub-E": 0.1})
    text = problems(tables, folds=range(3))
    assert "fold 2 of method joint" in text
    assert "joint-1.tsv, again.tsv" in text
    assert "other.tsv" in text
    assert "fold 0 of method vnet" in text
    assert "late.tsv" in text
    assert "4 input problems" in text


def test_a_file_without_rows_is_a_missing_fold():
    tables = two_folds()
    tables["joint-1.tsv"] = tables["joint-1.tsv"].iloc[:0]
    assert "fold 1 of method joint" in problems(tables)


def test_a_scan_tested_in_two_folds_is_named():
    tables = two_folds()
    tables["joint-1.tsv"] = fold_table("joint", 1, {"sub-A": 0.5, "sub-D": 0.9}, AUC=1.0)
    text = problems(tables)
    assert "sub-A, method joint" in text
    assert "1 input problem:" in text


def test_a_metric_twice_for_a_fold_is_named():
    tables = two_folds()
    table = tables["joint-0.tsv"]
    tables["joint-0.tsv"] = pd.concat([table, table[table["metric"] == "AUC"]])
    assert "metrics of fold 0, method joint" in problems(tables)


def test_methods_on_different_scans_are_not_compared():
    tables = two_folds("joint") | two_folds("vnet")
    tables["vnet-1.tsv"] = fold_table("vnet", 1, {"sub-C": 0.5, "sub-X": 0.9})
    text = problems(tables, ["joint", "vnet"])
    assert "methods joint and vnet" in text
    assert "sub-D (fold 1), sub-X (fold 1)" in text
    assert "sub-C" not in text


def test_methods_of_one_task_need_the_scans_of_that_task_alone():
    tables = two_folds("joint") | two_folds("vnet")
    for name in ("vnet-0.tsv", "vnet-1.tsv"):
        tables[name] = tables[name][tables[name]["metric"] == "DSC"]
    combine_folds(tables, ["joint", "vnet"], [0, 1])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("space", None, "no column space"),
        ("value", ["high"], "high"),
        ("metric", ["DICE"], "DICE"),
        ("fold", ["n/a"], "fold"),
    ],
)
def test_wrong_tables_are_refused(tmp_path, column, values, words):
    table = fold_table("joint", 0, {"sub-A": 0.4}).iloc[:1].astype(object)
    table = table.drop(columns=column) if values is None else table.assign(**{column: values})
    write_tsv(tmp_path / "fold.tsv", table)
    with pytest.raises(InputError, match=words) as caught:
        read_metrics(tmp_path / "fold.tsv")
    assert "fold.tsv" in str(caught.value)


def test_a_table_that_lost_its_last_lines_is_refused(tmp_path):
    """Cut at the end of a line, it is still a table: of every length, none passes as whole."""
    path = tmp_path / "all.tsv"
    write_tsv(path, combine_folds(two_folds(), ["joint"], [0, 1]))
    read_metrics(path)
    header, *lines = path.read_text().splitlines(keepends=True)
    # of one fold alone nothing tells that it had an AUC, or that there was another
    alone = [line.startswith("joint\t0") for line in lines].index(False)
    for length in {*range(1, len(lines))} - {alone, alone - 1}:
        path.write_text(header + "".join(lines[:length]))
        with pytest.raises(InputError, match=r"all\.tsv\n +expected: each metric of "):
            read_metrics(path)


def test_what_one_fold_lacks_and_others_have_is_named_with_its_file():
    tables = two_folds()
    table = tables["joint-1.tsv"]
    tables["joint-1.tsv"] = table[table["metric"] != "AUC"]
    text = problems(tables)
    assert "joint-1.tsv" in text
    assert "not all of fold 1 of method joint: AUC in space n/a" in text


def test_mean_and_spread_by_hand():
    summary = across_folds(combine_folds(two_folds(), ["joint"], [0, 1])).set_index(
        ["metric", "space"]
    )
    # folds' means 0.3 and 0.7: mean 0.5, sample sd 0.4 / sqrt(2)
    dsc = summary.loc[("DSC", "model")]
    assert dsc["mean"] == pytest.approx(0.5)
    assert dsc["sd"] == pytest.approx(0.4 / math.sqrt(2))
    assert (dsc["n_folds"], dsc["n_scans"], dsc["n_undefined_scans"]) == (2, 4, 0)
    auc = summary.loc[("AUC", "n/a")]
    assert (auc["mean"], auc["n_folds"], auc["n_scans"]) == (0.75, 2, 4)


def test_undefined_folds_and_scans_are_counted_and_left_out():
    tables = two_folds()
    tables["joint-1.tsv"] = fold_table("joint", 1, {"sub-C": NAN, "sub-D": 0.8}, AUC=NAN)
    summary = across_folds(combine_folds(tables, ["joint"], [0, 1])).set_index(["metric", "space"])
    dsc, auc = summary.loc[("DSC", "native")], summary.loc[("AUC", "n/a")]
    assert dsc["mean"] == pytest.approx((0.3 + 0.8) / 2)
    assert (dsc["n_scans"], dsc["n_undefined_scans"], dsc["n_undefined_folds"]) == (4, 1, 0)
    assert (auc["mean"], auc["n_folds"], auc["n_undefined_folds"]) == (0.5, 1, 1)
    assert math.isnan(auc["sd"])


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_spread_equals_numpy(scores):
    tables = {
        f"{fold}": fold_table("joint", fold, {f"sub-{fold}": score})
        for fold, score in enumerate(scores)
    }
    summary = across_folds(combine_folds(tables, ["joint"], range(len(scores))))
    dsc = summary[summary["metric"] == "DSC"].iloc[0]
    assert dsc["mean"] == pytest.approx(np.mean(scores))
    assert dsc["sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-12)


def test_the_command_joins_files_and_keeps_values_and_na(tmp_path):
    tables = two_folds()
    tables["joint-1.tsv"] = fold_table("joint", 1, {"sub-C": 1 / 3, "sub-D": NAN}, AUC=NAN)
    for name, table in tables.items():
        write_tsv(tmp_path / name, table)
    out = tmp_path / "all.tsv"
    words = ["--methods", "joint", "--folds", "0", "1"]
    words += ["--metrics", *map(str, sorted(tmp_path.glob("joint-*.tsv"))), "--out", str(out)]
    done = run_here(main, *words)
    assert done.stdout == "1 methods, 2 folds, 4 scans\n"
    expected = combine_folds(tables, ["joint"], [0, 1])
    pd.testing.assert_frame_equal(read_metrics(out), expected)
    assert "joint\t1\tsub-D\tDSC\tn/a\tmodel" in out.read_text().splitlines()

    words.insert(words.index("--metrics"), "2")
    failed = run_here(main, *words)
    assert failed.returncode == 1
    assert "fold 2 of method joint" in failed.stderr
    assert Path(out).exists()
