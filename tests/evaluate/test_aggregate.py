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
from msnmo.evaluate.aggregate import (
    COLUMNS,
    across_folds,
    combine_folds,
    main,
    of_first_seed,
    read_metrics,
)
from tests.command import run_here
from tests.measured import with_folds

NAN = math.nan


def fold_table(
    method: str, fold: int, dsc: dict[str, float], seed: int = 1, **of_fold: float
) -> pd.DataFrame:
    """Return a training's metrics: DSC per scan (both spaces) and its mean, and ACC and others."""
    rows, run = [], (method, fold, seed)
    for scan, score in dsc.items():
        rows += [(*run, scan, "DSC", score, space) for space in ("model", "native")]
        rows.append((*run, scan, "ACC", 1.0, "n/a"))
    mean = float(pd.Series(dsc.values()).mean())
    rows += [(*run, "n/a", "DSC", mean, space) for space in ("model", "native")]
    of_fold = {"ACC": 1.0, **of_fold}
    rows += [(*run, "n/a", name, number, "n/a") for name, number in of_fold.items()]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def two_folds(method: str = "joint") -> dict[str, pd.DataFrame]:
    return {
        f"{method}-1.tsv": fold_table(method, 1, {"sub-C": 0.5, "sub-D": 0.9}, AUC=1.0),
        f"{method}-0.tsv": fold_table(method, 0, {"sub-A": 0.4, "sub-B": 0.2}, AUC=0.5),
    }


def problems(tables, methods=("joint",), folds=(0, 1), seeds=(1,)) -> str:
    with pytest.raises(InputError) as caught:
        combine_folds(tables, methods, folds, seeds)
    return str(caught.value)


def test_order_is_that_of_methods_and_folds_whatever_the_files(tmp_path):
    tables = two_folds("joint") | two_folds("vnet")
    combined = combine_folds(tables, ["vnet", "joint"], [0, 1], [1])
    places = combined[["method", "fold"]].drop_duplicates().to_numpy().tolist()
    assert places == [["vnet", 0], ["vnet", 1], ["joint", 0], ["joint", 1]]
    backwards = dict(reversed(tables.items()))
    pd.testing.assert_frame_equal(
        combine_folds(backwards, ["vnet", "joint"], [0, 1], [1]), combined
    )
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
    assert "fold 7 of method joint, seed 1" in text
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
    assert "sub-D (fold 1, seed 1), sub-X (fold 1, seed 1)" in text
    assert "sub-C" not in text


def test_methods_of_one_task_need_the_scans_of_that_task_alone():
    tables = two_folds("joint") | two_folds("vnet")
    for name in ("vnet-0.tsv", "vnet-1.tsv"):
        tables[name] = tables[name][tables[name]["metric"] == "DSC"]
    combine_folds(tables, ["joint", "vnet"], [0, 1], [1])


@pytest.mark.parametrize(
    ("column", "values", "words"),
    [
        ("space", None, "no column space"),
        ("value", ["high"], "high"),
        ("metric", ["DICE"], "DICE"),
        ("fold", ["n/a"], "fold"),
        ("seed", None, "no column seed"),
        ("seed", ["n/a"], "seed"),
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
    write_tsv(path, combine_folds(two_folds(), ["joint"], [0, 1], [1]))
    read_metrics(path)
    header, *lines = path.read_text().splitlines(keepends=True)
    # of one fold alone nothing tells that it had an AUC, or that there was another
    alone = [line.startswith("joint\t0\t1") for line in lines].index(False)
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
    assert "not all of fold 1 of method joint, seed 1: AUC in space n/a" in text


def test_mean_and_spread_by_hand():
    summary = across_folds(combine_folds(two_folds(), ["joint"], [0, 1], [1])).set_index(
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
    summary = across_folds(combine_folds(tables, ["joint"], [0, 1], [1])).set_index(
        ["metric", "space"]
    )
    dsc, auc = summary.loc[("DSC", "native")], summary.loc[("AUC", "n/a")]
    assert dsc["mean"] == pytest.approx((0.3 + 0.8) / 2)
    assert (dsc["n_scans"], dsc["n_undefined_scans"], dsc["n_undefined_folds"]) == (4, 1, 0)
    assert (auc["mean"], auc["n_folds"], auc["n_undefined_folds"]) == (0.5, 1, 1)
    assert math.isnan(auc["sd"])


def of_seeds(scores: dict[int, dict[int, float]], auc: dict[int, dict[int, float]]):
    """Return the table of trainings by seed and fold: the DSC of each fold's scan, and its AUC."""
    tables = {
        f"{fold}-{seed}.tsv": fold_table(
            "joint", fold, {f"sub-{fold}": score}, seed, AUC=auc[seed][fold]
        )
        for seed, folds in scores.items()
        for fold, score in folds.items()
    }
    return combine_folds(tables, ["joint"], [0, 1], list(scores)).set_index(["metric", "space"])


THREE_SEEDS = {5: {0: 0.2, 1: 0.6}, 3: {0: 0.4, 1: 0.7}, 9: {0: 0.3, 1: 0.8}}


def summary_of_seeds(auc=THREE_SEEDS, scores=THREE_SEEDS):
    summary = across_folds(of_seeds(scores, auc).reset_index())
    return summary.set_index(["metric", "space"])


def test_mean_and_both_spreads_of_several_seeds_by_hand():
    dsc = summary_of_seeds().loc[("DSC", "model")]
    # folds' means over seeds 0.3 and 0.7; seeds' means over folds 0.4, 0.55 and 0.55
    assert dsc["mean"] == pytest.approx(0.5)
    assert dsc["sd"] == pytest.approx(0.4 / math.sqrt(2))
    # deviations -0.1, 0.05 and 0.05: squares 0.015, over 2
    assert dsc["sd_seeds"] == pytest.approx(math.sqrt(0.0075))
    assert (dsc["n_folds"], dsc["n_seeds"], dsc["n_scans"]) == (2, 3, 2)
    assert (dsc["n_undefined_folds"], dsc["n_undefined_scans"]) == (0, 0)


def test_with_folds_of_its_own_each_training_of_a_seed_is_a_fold():
    """Two repeats of two folds: with the second seed the scans are tested the other way round."""
    values = {5: {0: 0.2, 1: 0.6}, 6: {0: 0.5, 1: 0.9}}
    tables = {
        f"{fold}-{seed}.tsv": fold_table(
            "joint", fold, {f"sub-{fold if seed == 5 else 1 - fold}": value}, seed, AUC=value
        )
        for seed, folds in values.items()
        for fold, value in folds.items()
    }
    table = combine_folds(tables, ["joint"], [0, 1], [5, 6])
    dsc = across_folds(table).set_index(["metric", "space"]).loc[("DSC", "model")]
    assert dsc["mean"] == pytest.approx(0.55)
    # of four folds: deviations -0.35, 0.05, -0.05 and 0.35
    assert dsc["sd"] == pytest.approx(math.sqrt((2 * 0.35**2 + 2 * 0.05**2) / 3))
    # of two repeats: 0.4 and 0.7
    assert dsc["sd_seeds"] == pytest.approx(0.3 / math.sqrt(2))
    assert (dsc["n_folds"], dsc["n_seeds"], dsc["n_scans"]) == (4, 2, 2)


def test_one_seed_has_no_spread_between_seeds():
    one = {5: THREE_SEEDS[5]}
    dsc = summary_of_seeds(one, one).loc[("DSC", "model")]
    assert (dsc["mean"], dsc["n_seeds"]) == (pytest.approx(0.4), 1)
    assert math.isnan(dsc["sd_seeds"])


def test_what_is_undefined_in_a_seed_is_left_out_and_counted():
    auc = {5: {0: 0.5, 1: NAN}, 3: {0: 0.7, 1: NAN}, 9: {0: NAN, 1: NAN}}
    scores = {**THREE_SEEDS, 9: {0: NAN, 1: 0.8}}
    summary = summary_of_seeds(auc, scores)
    of_auc = summary.loc[("AUC", "n/a")]
    # fold 0: mean of 0.5 and 0.7, fold 1 in no seed; seeds: 0.5, 0.7 and none
    assert (of_auc["n_folds"], of_auc["n_undefined_folds"], of_auc["n_seeds"]) == (1, 1, 3)
    assert of_auc["mean"] == pytest.approx(0.6)
    assert math.isnan(of_auc["sd"])
    assert of_auc["sd_seeds"] == pytest.approx(0.2 / math.sqrt(2))
    dsc = summary.loc[("DSC", "native")]
    # folds: mean of 0.2 and 0.4, and 0.7; seeds: 0.4, 0.55 and 0.8
    assert dsc["mean"] == pytest.approx((0.3 + 0.7) / 2)
    assert dsc["sd_seeds"] == pytest.approx(np.std([0.4, 0.55, 0.8], ddof=1))
    assert (dsc["n_undefined_scans"], dsc["n_undefined_folds"]) == (1, 0)


def test_trainings_stand_by_method_fold_and_seed_in_the_order_wanted():
    combined = of_seeds(THREE_SEEDS, THREE_SEEDS)
    places = combined[["fold", "seed"]].drop_duplicates().to_numpy().tolist()
    assert places == [[0, 5], [0, 3], [0, 9], [1, 5], [1, 3], [1, 9]]
    first = of_first_seed(combined)
    assert set(first["seed"]) == {5}
    assert len(first) == len(combined) / 3
    assert of_first_seed(combined.iloc[:0]).empty


def test_every_missing_repeated_and_unknown_seed_is_named():
    tables = {
        f"{fold}-{seed}.tsv": fold_table("joint", fold, {f"sub-{fold}": 0.5}, seed)
        for fold in (0, 1)
        for seed in (1, 2)
    }
    combine_folds(tables, ["joint"], [0, 1], [1, 2])
    del tables["1-2.tsv"]
    tables["again.tsv"] = tables["0-2.tsv"]
    tables["late.tsv"] = fold_table("joint", 0, {"sub-0": 0.5}, 7)
    text = problems(tables, seeds=(1, 2))
    assert "fold 1 of method joint, seed 2\n" in text
    assert "0-2.tsv, again.tsv" in text
    assert "fold 0 of method joint, seed 2" in text
    assert "late.tsv" in text
    assert "expected: methods, folds and seeds of the config" in text
    assert "fold 0 of method joint, seed 7" in text
    assert "3 input problems" in text
    assert "seed 1" not in text


def test_seeds_are_to_be_tested_on_the_same_scans():
    other = {"sub-C": 0.5, "sub-X": 0.9}
    both = {"sub-C": 0.5, "sub-D": 0.9}
    tables = {
        f"{method}-{seed}": fold_table(
            method, 0, other if (method, seed) == ("vnet", 2) else both, seed
        )
        for method in ("joint", "vnet")
        for seed in (1, 2)
    }
    text = problems(tables, ["joint", "vnet"], [0], [1, 2])
    assert "only one has sub-D (fold 0, seed 2), sub-X (fold 0, seed 2)" in text


def test_a_scan_tested_in_two_folds_of_a_seed_is_named_and_one_in_two_seeds_is_not():
    tables = {
        "a": fold_table("joint", 0, {"sub-A": 0.5}, 1),
        "b": fold_table("joint", 0, {"sub-A": 0.5}, 2),
        "c": fold_table("joint", 1, {"sub-B": 0.5}, 1),
        "d": fold_table("joint", 1, {"sub-A": 0.5}, 2),
    }
    text = problems(tables, seeds=(1, 2))
    assert "sub-A, method joint" in text
    assert "1 input problem:" in text


def test_what_one_seed_lacks_and_others_have_is_named(tmp_path):
    tables = {
        f"{fold}-{seed}.tsv": fold_table("joint", fold, {f"sub-{fold}": 0.5}, seed, AUC=0.5)
        for fold in (0, 1)
        for seed in (1, 2)
    }
    table = tables["1-2.tsv"]
    tables["1-2.tsv"] = table[table["metric"] != "AUC"]
    text = problems(tables, seeds=(1, 2))
    assert "1-2.tsv" in text
    assert "not all of fold 1 of method joint, seed 2: AUC in space n/a" in text
    assert "1 input problem:" in text

    tables["1-2.tsv"] = table
    whole = combine_folds(tables, ["joint"], [0, 1], [1, 2])
    gap = (whole["seed"] == 2) & (whole["scan"] == "n/a") & (whole["metric"] == "ACC")
    write_tsv(tmp_path / "all.tsv", whole[~gap | (whole["fold"] == 1)])
    with pytest.raises(InputError, match="not all of fold 0 of method joint, seed 2: ACC"):
        read_metrics(tmp_path / "all.tsv")


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=2, max_size=6))
def test_spread_equals_numpy(scores):
    tables = {
        f"{fold}": fold_table("joint", fold, {f"sub-{fold}": score})
        for fold, score in enumerate(scores)
    }
    summary = across_folds(combine_folds(tables, ["joint"], range(len(scores)), [1]))
    dsc = summary[summary["metric"] == "DSC"].iloc[0]
    assert dsc["mean"] == pytest.approx(np.mean(scores))
    assert dsc["sd"] == pytest.approx(np.std(scores, ddof=1), abs=1e-12)


def test_the_command_joins_files_and_keeps_values_and_na(tmp_path):
    tables = two_folds()
    tables["joint-1.tsv"] = fold_table("joint", 1, {"sub-C": 1 / 3, "sub-D": NAN}, AUC=NAN)
    for name, table in tables.items():
        write_tsv(tmp_path / name, table)
    out = tmp_path / "all.tsv"
    words = ["--methods", "joint", "--folds", "0", "1", "--seeds", "1"]
    words += ["--metrics", *map(str, sorted(tmp_path.glob("joint-*.tsv"))), "--out", str(out)]
    done = run_here(main, *words)
    assert done.stdout == "1 methods, 2 folds, 1 seeds, 4 scans\n"
    expected = combine_folds(tables, ["joint"], [0, 1], [1])
    pd.testing.assert_frame_equal(read_metrics(out), expected)
    assert "joint\t1\t1\tsub-D\tDSC\tn/a\tmodel" in out.read_text().splitlines()

    words.insert(words.index("--seeds"), "2")
    failed = run_here(main, *words)
    assert failed.returncode == 1
    assert "fold 2 of method joint" in failed.stderr
    assert Path(out).exists()


def test_scans_with_one_empty_mask_are_counted_for_metrics_that_penalise_them():
    """Of four scans two have one empty mask in some seed, and one has two, in both."""
    volumes = {
        "sub-A": [(2.0, 1.0), (2.0, 0.0)],
        "sub-B": [(0.0, 0.0), (0.0, 0.0)],
        "sub-C": [(0.0, 3.0), (0.0, 3.0)],
        "sub-D": [(1.0, 1.0), (1.0, 0.5)],
    }
    rows = []
    for scan, of_seeds in volumes.items():
        for seed, (true, predicted) in enumerate(of_seeds):
            values = {"V_TRUE": true, "V_PRED": predicted, "HD95": 9.0, "ASD": 5.0, "AVD": 1.0}
            rows += [("joint", 0, seed, scan, *item, "native") for item in values.items()]
    summary = across_folds(with_folds(rows)).set_index("metric")
    assert summary["n_penalised_scans"].to_dict() == {"HD95": 2, "ASD": 2, "AVD": 0}
    without = [row for row in rows if not row[4].startswith("V_")]
    assert across_folds(with_folds(without))["n_penalised_scans"].eq(0).all()
