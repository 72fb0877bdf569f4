"""Intervals over subjects, against scipy, scikit-learn and counts by hand."""

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.metrics import roc_auc_score

from msnmo.evaluate.statistics.bootstrap import (
    FoldStatistic,
    auc,
    correlation,
    draw_seeds,
    draw_subjects,
    interval,
    mean,
    over_seeds,
    p_value,
    replicate,
)

RNG = np.random.default_rng(3)


def cohort(subjects=30):
    """Every third subject has NMOSD, every other has two scans."""
    rows = [
        (f"s{n:02d}", "NMOSD" if n % 3 == 0 else "MS")
        for n in range(subjects)
        for _ in range(1 + n % 2)
    ]
    return pd.DataFrame(rows, columns=["subject", "diagnosis"])


def test_as_many_subjects_of_each_class_are_drawn_as_there_are():
    drawn = draw_subjects(cohort(), 50, seed=1)
    assert drawn.shape == (30, 51)
    assert (drawn[0] == 1).all()
    assert (drawn.sum() == 30).all()
    assert (drawn[drawn.index.isin([f"s{n:02d}" for n in range(0, 30, 3)])].sum() == 10).all()


def test_draws_follow_from_the_seed_alone():
    folds = cohort()
    shuffled = folds.sample(frac=1, random_state=2)
    pd.testing.assert_frame_equal(draw_subjects(folds, 9, 1), draw_subjects(shuffled, 9, 1))
    assert not draw_subjects(folds, 9, 1).equals(draw_subjects(folds, 9, 2))


def test_as_many_seeds_are_drawn_as_there_are_and_one_is_always_itself():
    drawn = draw_seeds([7, 3, 5], 500, seed=1)
    assert drawn.index.tolist() == [7, 3, 5]
    assert (drawn[0] == 1).all()
    assert (drawn.sum() == 3).all()
    # none of one seed: (2 / 3)^3 of the draws
    assert (drawn.loc[3, 1:] == 0).mean() == pytest.approx(8 / 27, abs=0.07)
    assert (draw_seeds([7], 500, seed=1) == 1).all(axis=None)
    assert draw_seeds([7, 3, 5], 500, seed=1).equals(drawn)
    assert not draw_seeds([7, 3, 5], 500, seed=2).equals(drawn)


def test_a_number_is_the_mean_over_the_seeds_drawn_that_have_one():
    drawn = pd.DataFrame([[1, 2, 0, 3], [1, 0, 2, 0], [1, 1, 1, 0]], index=[7, 3, 5])
    of_seeds = {
        3: np.array([1.0, 1.0, 1.0, 1.0]),
        5: np.array([2.0, 2.0, np.nan, 2.0]),
        7: np.array([6.0, 6.0, 6.0, np.nan]),
    }
    expected = [(1 + 2 + 6) / 3, (2 * 6 + 2) / 3, 1.0, np.nan]
    np.testing.assert_allclose(over_seeds(of_seeds, drawn), expected)
    one = {7: np.array([0.1, np.nan, 1 / 3, 5.0])}
    np.testing.assert_array_equal(over_seeds(one, draw_seeds([7], 3, seed=1)), one[7])


def test_means_leave_out_what_is_undefined():
    counts = np.array([[1, 1, 1], [2, 0, 1], [0, 0, 5]])
    values = mean(np.array([3.0, 6.0, np.nan]))(counts)
    np.testing.assert_array_equal(values, [4.5, 3.0, np.nan])


def test_auc_is_scikit_learns_with_weights():
    nmosd, scores = RNG.random(25) < 0.4, RNG.integers(0, 6, 25) / 5
    counts = RNG.integers(0, 4, (20, 25))
    expected = [roc_auc_score(nmosd, scores, sample_weight=weights) for weights in counts]
    np.testing.assert_allclose(auc(nmosd, scores)(counts), expected)
    only_ms = np.where(nmosd, 0, 1)[None]
    assert np.isnan(auc(nmosd, scores)(only_ms)).all()


def test_correlation_is_pearsons_of_the_scans_drawn():
    first, second = RNG.random(12), RNG.random(12)
    counts = RNG.integers(0, 3, (10, 12))
    expected = [stats.pearsonr(np.repeat(first, n), np.repeat(second, n)).statistic for n in counts]
    np.testing.assert_allclose(correlation(first, second)(counts), expected)
    one_scan = np.eye(12, dtype=int)[:1] * 5
    assert np.isnan(correlation(first, second)(one_scan)).all()


def test_a_scan_counts_as_often_as_its_subject_and_folds_alike():
    folds = pd.DataFrame({"subject": list("aabc"), "diagnosis": ["MS"] * 4})
    drawn = draw_subjects(folds, 200, seed=0)
    parts = [
        FoldStatistic(np.array(["a", "a"]), mean(np.array([1.0, 2.0]))),
        FoldStatistic(np.array(["b", "c"]), mean(np.array([10.0, 20.0]))),
    ]
    values = replicate(parts, drawn)
    assert values[0] == (1.5 + 15) / 2
    for value, (a, b, c) in zip(values, drawn.T.to_numpy(), strict=True):
        means = [1.5] if a else []
        means += [(10 * b + 20 * c) / (b + c)] if b + c else []
        assert value == pytest.approx(np.mean(means))


def test_without_repeated_subjects_the_interval_is_scipys():
    values = RNG.normal(5, 2, 60)
    folds = pd.DataFrame({"subject": [f"s{n:02d}" for n in range(60)], "diagnosis": "MS"})
    statistic = FoldStatistic(folds["subject"].to_numpy(), mean(values))
    ours = interval(replicate([statistic], draw_subjects(folds, 20_000, 1))[1:], 0.95)
    theirs = stats.bootstrap(
        (values,), np.mean, n_resamples=20_000, method="percentile", rng=np.random.default_rng(0)
    ).confidence_interval
    np.testing.assert_allclose(ours, theirs, atol=0.03)


def test_scans_of_one_subject_widen_the_interval():
    """Ten subjects of ten equal scans tell no more than ten scans."""
    per_subject = RNG.normal(0, 1, 10)
    folds = pd.DataFrame({"subject": np.repeat([*"abcdefghij"], 10), "diagnosis": "MS"})
    repeated = FoldStatistic(folds["subject"].to_numpy(), mean(np.repeat(per_subject, 10)))
    low, high = interval(replicate([repeated], draw_subjects(folds, 5000, 1))[1:], 0.95)
    expected = 2 * 1.96 * per_subject.std() / np.sqrt(10)
    assert high - low == pytest.approx(expected, rel=0.1)


def test_nineteen_of_twenty_intervals_hold_the_truth():
    held = 0
    for seed in range(200):
        values = np.random.default_rng(seed).normal(1, 1, 50)
        folds = pd.DataFrame({"subject": [f"s{n:02d}" for n in range(50)], "diagnosis": "MS"})
        statistic = FoldStatistic(folds["subject"].to_numpy(), mean(values))
        low, high = interval(replicate([statistic], draw_subjects(folds, 400, seed))[1:], 0.95)
        held += low <= 1 <= high
    assert 0.88 <= held / 200 <= 0.99


def test_p_is_small_only_where_zero_is_rare_and_never_zero():
    assert p_value(np.full(999, 2.0)) == pytest.approx(2 / 1000)
    assert p_value(np.array([-1.0, 1.0] * 50)) == 1.0
    assert p_value(np.array([1.0] * 95 + [-1.0] * 5)) == pytest.approx(2 * 6 / 101)
    assert np.isnan(p_value(np.array([np.nan])))
