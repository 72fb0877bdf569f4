"""Calibration is what hands and simulations say; no fold has a say in its own temperature."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit
from sklearn.calibration import calibration_curve
from sklearn.metrics import roc_auc_score

from msnmo.core.diagnoses import VARIABLE
from msnmo.core.errors import InputError
from msnmo.core.files import write_tsv
from msnmo.core.numbers import plain
from msnmo.evaluate.calibration import (
    AT_BOUND,
    BOUNDS,
    NO_OTHER_FOLD,
    ONE_CLASS,
    SEPARATED,
    brier_score,
    calibrate,
    deployed_fit,
    expected_calibration_error,
    fit,
    fit_other_folds,
    fit_temperature,
    main,
    negative_log_likelihood,
    reliability,
    scale,
)

MS, NMOSD = False, True
# confidences 0.55 (right) and 0.6 (wrong) share the bin that ends at 0.6; 0.8 (right) and
# 1 - 0.25 = 0.75 (right) that which ends at 0.8; 0.95 (wrong) is alone
P = np.array([0.55, 0.6, 0.8, 0.25, 0.05])
Y = np.array([NMOSD, MS, NMOSD, MS, NMOSD])


def simulate(count, seed=0):
    """Perfectly calibrated probabilities, and diagnoses drawn by them."""
    rng = np.random.default_rng(seed)
    p_nmosd = expit(rng.normal(0, 2, count))
    return p_nmosd, rng.random(count) < p_nmosd


def predictions(count=60, folds=3, seed=1):
    p_nmosd, is_nmosd = simulate(count, seed)
    return pd.DataFrame(
        {
            "scan": [f"sub-{n:03}" for n in range(count)],
            "diagnosis": np.where(is_nmosd, "NMOSD", "MS"),
            "p_ms": (1 - p_nmosd).round(6),
            "p_nmosd": p_nmosd.round(6),
            "fold": np.arange(count) % folds,
        }
    )


def test_bins_hold_the_scans_of_their_confidence():
    bins = reliability(P, Y)
    assert bins["scans"].tolist() == [0, 0, 0, 0, 0, 2, 0, 2, 0, 1]
    assert bins["right"].tolist() == [0, 0, 0, 0, 0, 1, 0, 2, 0, 0]
    assert bins.loc[[5, 7, 9], "confidence"].tolist() == pytest.approx([0.575, 0.775, 0.95])
    assert bins.loc[[0, 4, 6], "confidence"].isna().all()
    assert (bins["low"].iloc[0], bins["high"].iloc[-1]) == (0, 1)


def test_bins_are_those_of_scikit_learn():
    p_nmosd, is_nmosd = simulate(500)
    bins = reliability(p_nmosd, is_nmosd).query("scans > 0")
    confidence = np.maximum(p_nmosd, 1 - p_nmosd)
    right, mean = calibration_curve((p_nmosd > 0.5) == is_nmosd, confidence, n_bins=10)
    np.testing.assert_allclose(bins["right"] / bins["scans"], right)
    np.testing.assert_allclose(bins["confidence"], mean)


@pytest.mark.parametrize("edge", [0.6, 0.7, 0.8, 0.9])
def test_a_confidence_on_an_edge_is_in_the_bin_below_on_both_sides(edge):
    # float's last digit must not matter, which scaling by 1 may change
    for p_nmosd in (edge, 1 - edge, np.nextafter(edge, 1), np.nextafter(1 - edge, 0)):
        (place,) = np.flatnonzero(reliability([p_nmosd], [True])["scans"])
        assert place == round(10 * edge) - 1


def test_an_undecided_scan_is_named_ms():
    assert reliability([0.5, 0.5], [MS, NMOSD])["right"].sum() == 1


def test_the_calibration_error_is_the_one_computed_by_hand():
    # |1 - 2 * 0.575|, |2 - 2 * 0.775| and |0 - 0.95| of 5 scans
    assert expected_calibration_error(P, Y) == pytest.approx((0.15 + 0.45 + 0.95) / 5)


def test_errors_in_one_bin_cancel_and_in_two_do_not():
    assert expected_calibration_error([0.75, 0.75, 0.75, 0.75], [1, 1, 1, 0]) == pytest.approx(0)
    assert expected_calibration_error([0.75, 0.85], [0, 1]) == pytest.approx((0.75 + 0.15) / 2)


def test_calibrated_probabilities_have_little_error_and_sharpened_ones_much():
    p_nmosd, is_nmosd = simulate(20_000)
    assert expected_calibration_error(p_nmosd, is_nmosd) < 0.01
    assert expected_calibration_error(scale(p_nmosd, 1 / 3), is_nmosd) > 0.08


@pytest.mark.parametrize(("count", "expected"), [(131, 0.06), (26, 0.13)])
def test_chance_alone_makes_the_error_that_the_readme_says(count, expected):
    errors = [expected_calibration_error(*simulate(count, seed)) for seed in range(300)]
    assert np.mean(errors) == pytest.approx(expected, abs=0.01)


def test_brier_score_and_likelihood_are_those_computed_by_hand():
    # distances 0.45, 0.6, 0.2, 0.25, 0.95
    squares = 0.45**2 + 0.6**2 + 0.2**2 + 0.25**2 + 0.95**2
    assert brier_score(P, Y) == pytest.approx(squares / 5)
    expected = -np.log([0.55, 0.4, 0.8, 0.75, 0.05]).mean()
    assert negative_log_likelihood(P, Y) == pytest.approx(expected)
    # logits by 2: odds become their square root
    odds = math.sqrt(0.8 / 0.2)
    assert negative_log_likelihood([0.8], [NMOSD], 2) == pytest.approx(-math.log(odds / (1 + odds)))


@pytest.mark.parametrize("label", [MS, NMOSD])
def test_scores_are_defined_for_one_diagnosis(label):
    assert brier_score([0.2, 0.4], [label, label]) == pytest.approx(0.5 if label else 0.1)
    expected = 0.8 if label else 0.2
    assert expected_calibration_error([0.2, 0.2], [label, label]) == pytest.approx(expected)


def test_what_is_written_as_certain_is_no_more_certain_than_its_last_decimal():
    assert negative_log_likelihood([0.0], [NMOSD]) == pytest.approx(-math.log(5e-7))
    assert negative_log_likelihood([1.0], [MS]) == pytest.approx(-math.log(5e-7))
    np.testing.assert_allclose(scale([0.0, 1.0], 1), [5e-7, 1 - 5e-7])


@pytest.mark.parametrize("temperature", [0.5, 1.0, 2.0, 3.0])
def test_the_temperature_that_probabilities_were_sharpened_by_comes_back(temperature):
    p_nmosd, is_nmosd = simulate(20_000)
    found = fit_temperature(scale(p_nmosd, 1 / temperature), is_nmosd)
    # at 20 000 scans the standard error of log T is 0.014 in repeated simulations
    assert math.log(found / temperature) == pytest.approx(0, abs=0.05)


def test_the_fit_is_the_lowest_of_a_fine_grid():
    p_nmosd, is_nmosd = simulate(131)
    sharpened = scale(p_nmosd, 0.4)
    found = fit(sharpened, is_nmosd)
    grid = np.geomspace(*BOUNDS, 2000)
    losses = [negative_log_likelihood(sharpened, is_nmosd, each) for each in grid]
    assert found.note == ""
    assert negative_log_likelihood(sharpened, is_nmosd, found.temperature) <= min(losses) + 1e-12
    assert found.temperature == pytest.approx(grid[np.argmin(losses)], rel=0.01)


@given(
    arrays(np.int64, st.integers(2, 40), elements=st.integers(0, 1_000_000)),
    st.floats(0.5, BOUNDS[1]),
)
def test_scaling_keeps_order_ties_and_named_class(millionths, temperature):
    p_nmosd = millionths / 1e6
    scaled = scale(p_nmosd, temperature)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    np.testing.assert_array_equal(scaled > 0.5, p_nmosd > 0.5)
    order = np.sign(p_nmosd[:, None] - p_nmosd)
    np.testing.assert_array_equal(np.sign(scaled[:, None] - scaled), order)


def test_scaling_keeps_the_area_under_the_curve_and_draws_to_the_middle_or_away():
    p_nmosd, is_nmosd = simulate(131)
    before = roc_auc_score(is_nmosd, p_nmosd)
    for temperature, nearer in ((0.5, False), (2, True)):
        scaled = scale(p_nmosd, temperature)
        assert roc_auc_score(is_nmosd, scaled) == before
        assert ((np.abs(scaled - 0.5) < np.abs(p_nmosd - 0.5)) == nearer).all()


@pytest.mark.parametrize(
    ("p_nmosd", "is_nmosd", "temperature", "note"),
    [
        ([0.2, 0.9], [NMOSD, NMOSD], 1, ONE_CLASS),
        ([0.2, 0.9], [MS, MS], 1, ONE_CLASS),
        ([0.1, 0.7, 0.9], [MS, NMOSD, NMOSD], 1, SEPARATED),
        ([0.5, 0.5], [MS, NMOSD], 1, SEPARATED),
        # wrong, and by far: the less said the better
        ([0.9, 0.1], [MS, NMOSD], BOUNDS[1], AT_BOUND),
        # the one mistake is so small that the optimum is below the bound
        ([0.4, 0.6, 0.49999], [MS, NMOSD, NMOSD], BOUNDS[0], AT_BOUND),
    ],
)
def test_where_there_is_no_optimum_the_temperature_follows_a_rule_and_says_so(
    p_nmosd, is_nmosd, temperature, note
):
    found = fit(p_nmosd, is_nmosd)
    assert (found.temperature, found.note) == (temperature, note)
    assert fit_temperature(p_nmosd, is_nmosd) == temperature


@pytest.mark.parametrize(
    ("p_nmosd", "is_nmosd"),
    [([], []), ([0.5], [True, False]), ([math.nan], [True]), ([1.1], [True])],
)
def test_what_is_no_probability_is_refused(p_nmosd, is_nmosd):
    with pytest.raises(ValueError, match="probabilities"):
        expected_calibration_error(p_nmosd, is_nmosd)
    with pytest.raises(ValueError, match="probabilities"):
        fit_temperature(p_nmosd, is_nmosd)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_is_above_zero(temperature):
    with pytest.raises(ValueError, match="above 0"):
        scale(P, temperature)


def test_a_folds_temperature_is_that_of_the_other_folds():
    table = predictions()
    for fold, found in fit_other_folds(table).items():
        others = table[table["fold"] != fold]
        expected = fit_temperature(others["p_nmosd"], others["diagnosis"] == "NMOSD")
        assert found.temperature == expected


def test_a_folds_own_scans_have_no_say_in_its_temperature():
    table = predictions()
    changed = table.copy()
    own = changed["fold"] == 1
    changed.loc[own, "p_nmosd"] = 0.999
    changed.loc[own, "diagnosis"] = "MS"
    before, after = fit_other_folds(table), fit_other_folds(changed)
    assert after[1] == before[1]
    # and in the others' they have one: the test can fail
    assert after[0] != before[0]
    assert after[2] != before[2]


def test_a_row_for_each_fold_for_all_and_for_new_scans():
    table = predictions()
    rows = calibrate(table).set_index("fold")
    assert rows.index.tolist() == ["0", "1", "2", "all", "deployed"]
    assert rows["scans"].tolist() == [20, 20, 20, 60, 60]
    first = table[table["fold"] == 0]
    nmosd = (first["diagnosis"] == "NMOSD").to_numpy()
    temperature = fit_other_folds(table)[0].temperature
    scaled = scale(first["p_nmosd"], temperature)
    assert rows.loc["0", ["ece", "brier", "nll"]].tolist() == [
        expected_calibration_error(first["p_nmosd"], nmosd),
        brier_score(first["p_nmosd"], nmosd),
        negative_log_likelihood(first["p_nmosd"], nmosd),
    ]
    assert rows.loc["0", "temperature"] == temperature
    assert rows.loc["0", ["ece_scaled", "brier_scaled", "nll_scaled"]].tolist() == pytest.approx(
        [
            expected_calibration_error(scaled, nmosd),
            brier_score(scaled, nmosd),
            negative_log_likelihood(scaled, nmosd),
        ]
    )


def test_all_folds_pooled_are_each_scaled_by_their_own_temperature():
    table = predictions()
    rows = calibrate(table).set_index("fold")
    for name in ("brier", "nll", "brier_scaled", "nll_scaled"):
        # folds of equal size: means of scans are means of folds
        assert rows.loc["all", name] == pytest.approx(rows.loc[["0", "1", "2"], name].mean())
    assert math.isnan(rows.loc["all", "temperature"])


def test_overconfident_networks_get_better_on_scans_that_no_temperature_was_fitted_on():
    table = predictions(1000, folds=5)
    table["p_nmosd"] = scale(table["p_nmosd"], 1 / 3)
    pooled = calibrate(table).set_index("fold").loc["all"]
    for name in ("ece", "brier", "nll"):
        assert pooled[f"{name}_scaled"] < pooled[name]


def test_one_fold_alone_is_not_scaled():
    rows = calibrate(predictions(folds=1)).set_index("fold")
    assert rows.loc["0", "note"] == NO_OTHER_FOLD
    assert rows.loc[["0", "all"], ["temperature", "ece_scaled", "nll_scaled"]].isna().all(axis=None)
    assert rows.loc[["0", "all"], ["ece", "brier", "nll"]].notna().all(axis=None)
    assert rows.loc["deployed", "temperature"] > 0


def test_the_temperature_of_new_scans_is_that_of_all_held_out_scans():
    table = predictions()
    expected = fit_temperature(table["p_nmosd"], table["diagnosis"] == "NMOSD")
    assert deployed_fit(table).temperature == expected
    row = calibrate(table).set_index("fold").loc["deployed"]
    assert row["temperature"] == expected
    assert row[["ece", "ece_scaled"]].isna().all()


def test_scans_without_probability_or_diagnosis_are_named():
    table = predictions(6)
    table.loc[2, "p_nmosd"] = math.nan
    table.loc[4, "diagnosis"] = None
    with pytest.raises(InputError, match="others for sub-002, sub-004"):
        deployed_fit(table)
    with pytest.raises(InputError, match="no scan"):
        deployed_fit(table[:0])


@pytest.fixture
def run(tmp_path: Path):
    """Write the predictions of two methods in three folds; return a function that runs main."""
    table = predictions()
    columns = ["scan", "diagnosis", "p_ms", "p_nmosd"]
    for method in ("joint", "only_cls"):
        for fold, rows in table.groupby("fold"):
            write_tsv(tmp_path / f"{method}/fold-{fold}/predictions.tsv", rows[columns])
    write_tsv(tmp_path / "folds.tsv", table.assign(subject=table["scan"]))

    def calibrated(*methods: str, tested=(0, 1, 2)) -> pd.DataFrame:
        out = tmp_path / "calibration.tsv"
        given = ["--methods", *methods, "--folds", str(tmp_path / "folds.tsv")]
        given += ["--tested", *map(str, tested), "--out", str(out)]
        main([*given, "--predictions", str(tmp_path / "{method}/fold-{fold}")])
        return pd.read_csv(out, sep="\t", dtype=str, keep_default_na=False)

    return calibrated


def test_the_table_has_every_method_and_numbers_that_are_not_rounded(run):
    table = run("only_cls", "joint")
    assert table.columns.tolist() == [
        *("method", "fold", "scans", "ece", "brier", "nll", "temperature"),
        *("ece_scaled", "brier_scaled", "nll_scaled", "note"),
    ]
    assert table["method"].tolist() == ["only_cls"] * 5 + ["joint"] * 5
    assert table.loc[3, "fold"] == "all"
    assert table.loc[3, ["temperature", "note"]].tolist() == ["n/a", "n/a"]
    of_folds = table.loc[:2, "ece":"nll_scaled"].to_numpy().ravel()
    assert all(text == plain(float(text)) for text in of_folds)
    assert max(len(text.partition(".")[2]) for text in of_folds) > 10


def test_folds_that_were_not_predicted_are_not_asked_for(run, tmp_path):
    (tmp_path / "joint/fold-1/predictions.tsv").unlink()
    table = run("joint", tested=(0, 2))
    assert table["fold"].tolist() == ["0", "2", "all", "deployed"]


def test_every_missing_and_damaged_table_is_named(run, tmp_path):
    def damage(place, change):
        path = tmp_path / place / "predictions.tsv"
        table = pd.read_csv(path, sep="\t")
        write_tsv(path, change(table))

    (tmp_path / "joint/fold-0/predictions.tsv").unlink()
    damage("joint/fold-1", lambda table: table[1:])
    damage("joint/fold-2", lambda table: table.drop(columns="p_nmosd"))
    damage("only_cls/fold-0", lambda table: table.assign(p_nmosd=None))
    damage("only_cls/fold-1", lambda table: table.replace({"MS": "NMOSD", "NMOSD": "MS"}))
    (tmp_path / "only_cls/fold-2/predictions.tsv").write_bytes(b"\x1f\x8b\x00broken")
    with pytest.raises(InputError) as caught:
        run("joint", "only_cls", "unet")
    found = {finding.file: finding.found for finding in caught.value.findings}
    for method in ("joint", "only_cls"):
        for fold in range(3):
            assert str(tmp_path / f"{method}/fold-{fold}/predictions.tsv") in found
    assert "sub-001" in found[str(tmp_path / "joint/fold-1/predictions.tsv")]
    assert "p_nmosd" in found[str(tmp_path / "joint/fold-2/predictions.tsv")]
    assert found["--methods"] == "unet"
    assert not (tmp_path / "calibration.tsv").exists()


def test_a_scan_of_another_fold_is_refused(run, tmp_path):
    """What a network was trained on would tell it to be surer than it may be."""
    path = tmp_path / "joint/fold-0/predictions.tsv"
    stray = pd.read_csv(tmp_path / "joint/fold-1/predictions.tsv", sep="\t")[:1]
    write_tsv(path, pd.concat([pd.read_csv(path, sep="\t"), stray]))
    with pytest.raises(InputError, match="does not test: sub-001"):
        run("joint")


def test_other_labels_give_the_same_temperatures(monkeypatch):
    table = predictions()
    expected = calibrate(table)
    monkeypatch.setenv(VARIABLE, "MS,MOGAD")
    other = table.rename(columns={"p_nmosd": "p_mogad"}).replace({"diagnosis": {"NMOSD": "MOGAD"}})
    pd.testing.assert_frame_equal(calibrate(other), expected)
    assert deployed_fit(other).temperature == float(expected["temperature"].iloc[-1])
    with pytest.raises(InputError, match="a diagnosis MS or MOGAD and a probability p_mogad"):
        deployed_fit(other.assign(diagnosis="NMOSD"))
