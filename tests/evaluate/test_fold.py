"""A fold on disk: right values from misordered tables, and every contradiction named at once."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import pearsonr

from msnmo.core.diagnoses import NO_DIAGNOSIS, VARIABLE
from msnmo.core.errors import InputError
from msnmo.core.files import read_tsv, write_tsv
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from msnmo.evaluate import __main__ as command
from msnmo.evaluate.aggregate import read_metrics
from msnmo.evaluate.fold import evaluate_fold
from msnmo.evaluate.lesion_detection import diagonal_mm
from msnmo.evaluate.metrics import metrics_of
from tests.command import run_here

BOTH = frozenset({"segmentation", "classification"})
SPACES = {"model": "space-model_desc", "native": "desc"}


def evaluate(study, tasks=BOTH, smallest_mm3=3.0) -> pd.DataFrame:
    return evaluate_fold(study.directory, study.manifest, study.tests, tasks, smallest_mm3)


def value(metrics: pd.DataFrame, scan: str, metric: str, space: str = "n/a") -> float:
    keys = (metrics["scan"] == scan) & (metrics["metric"] == metric) & (metrics["space"] == space)
    (found,) = metrics.loc[keys, "value"]
    return found


def dice(one: np.ndarray, other: np.ndarray) -> float:
    return 2 * (one & other).sum() / (one.sum() + other.sum())


def problems(study, tasks=BOTH) -> list[str]:
    study.write()
    with pytest.raises(InputError) as caught:
        evaluate(study, tasks)
    return [str(finding) for finding in caught.value.findings]


def run(study, fold: int = 0) -> Path:
    study.write()
    out = study.root / "metrics.tsv"
    words = ["--predictions", str(study.directory), "--scans", str(study.root / "truth.tsv")]
    words += ["--method", "joint", "--fold", str(fold), "--seed", "7"]
    command.main([*words, "--smallest-lesion-mm3", "3", "--out", str(out)])
    return out


@pytest.mark.parametrize("space", SPACES)
def test_each_scan_is_compared_with_its_own_truth(study, space):
    metrics = evaluate(study)
    name = SPACES[space]
    scores = {
        scan: dice(study.masks[scan, name], study.truths[scan, name])
        for scan in study.tests["scan"]
    }
    for scan, score in scores.items():
        assert value(metrics, scan, "DSC", space) == pytest.approx(score)
    assert value(metrics, "n/a", "DSC", space) == pytest.approx(np.mean(list(scores.values())))
    assert len(set(scores.values())) == 4


def test_classes_follow_the_diagnosis_whatever_the_order(study):
    # right: A (MS), D (NMOSD); wrong: B (NMOSD called MS), C (MS called NMOSD)
    metrics = evaluate(study)
    right = {scan: value(metrics, scan, "ACC") for scan in study.tests["scan"]}
    assert right == {"sub-A": 1, "sub-B": 0, "sub-C": 0, "sub-D": 1}
    of_fold = {name: value(metrics, "n/a", name) for name in ("ACC", "SN", "SP", "AUC")}
    assert of_fold == {"ACC": 0.5, "SN": 0.5, "SP": 0.5, "AUC": 0.75}
    table = study.predictions
    true = np.where(table["diagnosis"] == "NMOSD", table["p_nmosd"], table["p_ms"])
    assert value(metrics, "n/a", "LL") == pytest.approx(-np.log(true).mean())


def test_order_of_the_rows_is_of_no_consequence(study):
    expected = evaluate(study)
    for name in ("folds", "manifest", "predictions"):
        setattr(study, name, getattr(study, name).iloc[::-1])
    study.write()
    pd.testing.assert_frame_equal(evaluate(study), expected)


def test_undefined_values_are_kept_out_of_means(study):
    path = study.manifest.set_index("scan").loc["sub-A", "lesion"]
    empty = np.zeros((6, 6, 6), np.uint8)
    save_volume(path, empty, Grid.from_affine((6, 6, 6), np.diag([2.0, 2, 2, 1])), np.uint8)
    metrics = evaluate(study)
    assert math.isnan(value(metrics, "sub-A", "TPR", "model"))
    assert value(metrics, "sub-A", "DSC", "model") == 0
    others = [value(metrics, f"sub-{name}", "TPR", "model") for name in "BCD"]
    assert value(metrics, "n/a", "TPR", "model") == pytest.approx(np.mean(others))


def test_a_scan_without_a_lesion_mask_is_classified_only(study, capsys):
    study.manifest.loc[study.manifest["scan"] == "sub-B", ["lesion", "native_lesion"]] = None
    metrics = evaluate(study)
    assert set(metrics.loc[metrics["scan"] == "sub-B", "metric"]) == {"ACC", "P_NMOSD", "LL"}
    run(study)
    assert "no lesion mask, so masks are not compared: sub-B" in capsys.readouterr().out


def test_a_method_of_one_task_needs_the_files_of_that_task_alone(study):
    study.predictions[["p_ms", "p_nmosd"]] = np.nan
    study.write()
    masks = {*metrics_of("segmentation"), *metrics_of("segmentation", paper=False)}
    assert set(evaluate(study, {"segmentation"})["metric"]) == masks | {"V_TRUE", "V_PRED"}
    study.predictions[["p_ms", "p_nmosd"]] = [0.25, 0.75]
    study.write()
    for path in study.directory.glob("*.nii.gz"):
        path.unlink()
    classes = {*metrics_of("classification"), *metrics_of("classification", paper=False)}
    assert set(evaluate(study, {"classification"})["metric"]) == classes | {"P_NMOSD"}


def test_every_discrepancy_is_reported_at_once(study):
    study.predictions.loc[0, "scan"] = "sub-E"  # of the other fold; so sub-A has no row
    study.predictions.loc[3, "diagnosis"] = "MS"  # sub-B has NMOSD in the folds
    study.predictions.loc[2, ["p_ms", "p_nmosd"]] = [0.9, 0.9]  # sub-C
    study.mask_path("sub-C", "desc").unlink()
    stray = study.mask_path("sub-E", "desc")
    study.mask_path("sub-D", "desc").replace(stray)
    grid = Grid.from_affine((6, 6, 6), np.diag([2.0, 2.0, 2.1, 1.0]))
    save_volume(study.mask_path("sub-A", "space-model_desc"), np.ones((6, 6, 6)), grid, np.uint8)
    grid = Grid.from_affine((6, 6, 6), np.diag([2.0, 2.0, 2.0, 1.0]))
    labels = np.arange(216).reshape(6, 6, 6) % 3
    save_volume(study.mask_path("sub-B", "space-model_desc"), labels, grid, np.uint8)

    found = problems(study)
    for words in (
        "no row for sub-A",
        "this fold does not test: sub-E",
        "another diagnosis than the table of folds for sub-B",
        "other values for sub-C",
        f"also {stray.name}",
    ):
        assert sum(words in text for text in found) == 1, words
    missing = [text for text in found if "no such file" in text]
    assert ["sub-C_desc" in text for text in missing] == [True, False]
    assert "sub-D_desc" in missing[1]
    (grids,) = [text for text in found if "affine" in text]
    assert "sub-A_space-model" in grids
    assert "2.1" in grids
    (binary,) = [text for text in found if "binary" in text]
    assert "sub-B_space-model" in binary
    assert len(found) == 9


@pytest.mark.parametrize("pair", [(-0.1, 1.1), (0.4, 0.4), (math.nan, 1.0), (math.nan, math.nan)])
def test_what_is_no_probability_is_an_error(study, pair):
    study.predictions.loc[1, ["p_ms", "p_nmosd"]] = pair
    (text,) = problems(study)
    assert "other values for sub-D" in text
    assert "predictions.tsv" in text


def test_a_scan_predicted_twice_is_an_error(study):
    study.predictions = pd.concat([study.predictions, study.predictions.iloc[[1]]])
    assert ["more than one row for sub-D" in text for text in problems(study)] == [True]


def test_a_scan_that_the_manifest_lacks_is_an_error(study):
    study.manifest = study.manifest[study.manifest["scan"] != "sub-C"]
    (text,) = problems(study)
    assert "no row for sub-C" in text


def test_a_scan_twice_in_the_manifest_is_an_error(study):
    twice = study.manifest["scan"] == "sub-A"
    study.manifest = pd.concat([study.manifest, study.manifest[twice]])
    with pytest.raises(InputError, match="sub-A more than once"):
        run(study)


def test_scans_of_another_fold_are_refused(study):
    with pytest.raises(InputError, match="only scans of fold 2"):
        run(study, fold=2)


def test_a_fold_of_one_class_warns_and_writes_na(study, capsys):
    swapped = study.folds["scan"].isin(["sub-B", "sub-D"])
    study.folds["fold"] = swapped.astype(int)
    study.folds.loc[study.folds["scan"].isin(["sub-E", "sub-F"]), "fold"] = 1
    study.predictions = study.predictions[study.predictions["diagnosis"] == "MS"]
    for scan in ("sub-B", "sub-D"):
        for name in SPACES.values():
            study.mask_path(scan, name).unlink()
    lines = run(study).read_text().splitlines()
    assert "no test scan of class NMOSD: SN and AUC are n/a" in capsys.readouterr().out
    assert "joint\t0\t7\tn/a\tSN\tn/a\tn/a" in lines
    assert "joint\t0\t7\tn/a\tAUC\tn/a\tn/a" in lines
    assert "joint\t0\t7\tn/a\tSP\t0.5\tn/a" in lines


def test_an_empty_lesion_mask_warns_by_name(study, capsys):
    path = study.manifest.set_index("scan").loc["sub-A", "lesion"]
    grid = Grid.from_affine((6, 6, 6), np.diag([2.0, 2, 2, 1]))
    save_volume(path, np.zeros((6, 6, 6)), grid, np.uint8)
    run(study)
    printed = capsys.readouterr().out
    assert "sub-A: an empty lesion mask in model space: TPR, VD are n/a" in printed


def test_a_prediction_of_nothing_is_as_far_as_the_grid_is_wide_and_told(study, capsys):
    path = study.mask_path("sub-A", "desc")
    save_volume(path, np.zeros((9, 8, 5)), load_volume(path).grid, np.uint8)
    table = read_tsv(run(study), {"value": float}).fillna({"scan": "n/a", "space": "n/a"})
    diagonal = diagonal_mm(load_volume(path).grid)
    others = [value(table, f"sub-{name}", "HD95", "native") for name in "BCD"]
    assert value(table, "sub-A", "HD95", "native") == pytest.approx(diagonal)
    assert value(table, "sub-A", "ASD", "native") == pytest.approx(diagonal)
    assert value(table, "n/a", "HD95", "native") == pytest.approx(np.mean([diagonal, *others]))
    assert max(others) < diagonal
    printed = capsys.readouterr().out
    assert "sub-A: one mask is empty: HD95 and ASD are set to the diagonal of its grid" in printed
    assert "one mask is empty" not in printed.replace("sub-A: one mask is empty", "")


def test_equal_inputs_give_equal_bytes(study):
    first = run(study).read_bytes()
    assert run(study).read_bytes() == first


@pytest.mark.torch
def test_the_command_writes_the_contract_or_fails_in_a_sentence(study, tmp_path):
    out = tmp_path / "metrics.tsv"
    words = ["--predictions", study.directory, "--scans", tmp_path / "truth.tsv"]
    words += ["--method", "joint", "--fold", "0", "--seed", "7", "--out", out]
    words += ["--smallest-lesion-mm3", "3"]
    done = run_here(command.main, *words)
    assert done.returncode == 0, done.stderr
    assert "4 test scans" in done.stdout
    table = pd.read_csv(out, sep="\t")
    assert list(table) == ["method", "fold", "seed", "scan", "metric", "value", "space"]
    assert set(table["seed"]) == {7}
    # 4 scans x (4 metrics x 2 spaces + 6 and 2 volumes in native space + ACC and P_NMOSD), and the
    # fold's 4 x 2 + 6 + VC + 4
    assert len(table) == 4 * 19 + 20


def test_volumes_and_their_correlation_are_those_of_the_native_masks(study):
    metrics = evaluate(study, {"segmentation"})
    native = metrics[metrics["space"] == "native"].set_index(["scan", "metric"])["value"]
    scans = sorted(study.tests["scan"])
    voxel_ml = load_volume(study.manifest["native_lesion"][0]).grid.voxel_ml
    volumes = {
        name: [masks[scan, "desc"].sum() * voxel_ml for scan in scans]
        for name, masks in (("V_TRUE", study.truths), ("V_PRED", study.masks))
    }
    for name, values in volumes.items():
        np.testing.assert_allclose([native[scan, name] for scan in scans], values)
    r = pearsonr(volumes["V_TRUE"], volumes["V_PRED"]).statistic
    assert native["n/a", "VC"] == pytest.approx(r)
    means = [abs(a - b) for a, b in zip(*volumes.values(), strict=True)]
    assert native["n/a", "AVD"] == pytest.approx(np.mean(means))


@pytest.mark.torch
def test_the_command_stops_at_discrepancies_and_keeps_what_was_there(study, tmp_path):
    out = tmp_path / "metrics.tsv"
    words = ["--predictions", study.directory, "--scans", tmp_path / "truth.tsv"]
    words += ["--method", "joint", "--fold", "0", "--seed", "7", "--out", out]
    words += ["--smallest-lesion-mm3", "3"]
    out.write_text("before")

    before = out.read_bytes()
    write_tsv(study.directory / "predictions.tsv", study.predictions.iloc[:2])
    failed = run_here(command.main, *words)
    assert failed.returncode == 1
    assert "no row for sub-B, sub-C" in failed.stderr
    assert out.read_bytes() == before


def test_a_cut_table_of_predictions_is_mended_by_deleting_its_folder(study):
    study.write()
    path = study.directory / "predictions.tsv"
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="delete the folder of predictions"):
        evaluate(study)


def relabelled(study):
    """The study with MOGAD in the place of NMOSD."""
    names = {"NMOSD": "MOGAD"}
    study.folds = study.folds.replace({"diagnosis": names})
    study.predictions = study.predictions.replace({"diagnosis": names})
    study.predictions = study.predictions.rename(columns={"p_nmosd": "p_mogad"})
    study.write()
    return study


def test_other_labels_give_the_same_numbers_under_their_names(study, monkeypatch):
    expected = evaluate(study).replace({"metric": {"P_NMOSD": "P_MOGAD"}})
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    pd.testing.assert_frame_equal(evaluate(relabelled(study)), expected)


def test_the_second_label_is_the_positive_class(study, monkeypatch):
    before = evaluate(study)
    monkeypatch.setenv(VARIABLE, "NMOSD,MS")
    after = evaluate(study)
    for one, other in (("SN", "SP"), ("SP", "SN"), ("AUC", "AUC"), ("ACC", "ACC")):
        assert value(after, "n/a", one) == value(before, "n/a", other)
    assert value(after, "sub-A", "P_MS") == pytest.approx(0.9)


def test_segmentation_of_scans_without_a_diagnosis_warns_of_no_class(study, capsys):
    study.folds["diagnosis"] = study.predictions["diagnosis"] = NO_DIAGNOSIS
    study.predictions[["p_ms", "p_nmosd"]] = np.nan
    study.write()
    words = ["--predictions", str(study.directory), "--scans", str(study.root / "truth.tsv")]
    words += ["--method", "only_seg", "--fold", "0", "--seed", "7", "--smallest-lesion-mm3", "3"]
    command.main([*words, "--out", str(study.root / "metrics.tsv")])
    metrics = read_metrics(study.root / "metrics.tsv")
    assert set(metrics["metric"]) >= {"DSC", "LTPR", "V_TRUE"}
    assert not set(metrics["metric"]) & {"ACC", "AUC", "P_NMOSD"}
    assert "no test scan of class" not in capsys.readouterr().out
