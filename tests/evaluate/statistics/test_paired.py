"""Tests whose units are subjects, against scipy, statsmodels and counts by hand."""

import math

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar

from msnmo.evaluate.statistics.paired import sign_flip, signed_rank

RNG = np.random.default_rng(5)


def by_scipy(differences, subjects):
    """The mid-p of scipy's permutation test, which goes through all flips."""
    sums = differences.groupby(subjects).sum().to_numpy()
    # those that differ not at all differ as little when they are flipped
    sums = sums[sums != 0]
    found = stats.permutation_test(
        (sums, np.zeros_like(sums)),
        lambda a, b, axis: (a - b).sum(axis=axis),
        permutation_type="samples",
        n_resamples=np.inf,
        vectorized=True,
    )
    distances = np.abs(found.null_distribution) - abs(found.statistic)
    return (distances > 0).mean() + (distances == 0).mean() / 2


def test_of_single_scans_the_signed_rank_is_wilcoxons():
    differences = pd.Series(RNG.normal(0.3, 1, 40))
    subjects = pd.Series(range(40)).astype(str)
    assert signed_rank(differences, subjects) == stats.wilcoxon(differences).pvalue


def test_a_subjects_scans_are_one_mean():
    """Five subjects that all differ one way: 2 of 2^5 signs are as far from 0."""
    differences = pd.Series([1.0, 2.0, 5.0, -0.5, 3.5, 4.0, 9.0, 0.0])
    subjects = pd.Series(list("aabccdee"))
    assert signed_rank(differences, subjects) == pytest.approx(2 / 2**5)
    # of scans for units one is against and one is none: the evidence is another
    assert stats.wilcoxon(differences).pvalue != pytest.approx(2 / 2**5)


@pytest.mark.parametrize("right", [0.5, 0.7, 0.95])
def test_of_single_scans_the_sign_flip_is_mcnemars_mid_p_test(right):
    first, second = RNG.random(60) < right, RNG.random(60) < 0.6
    table = pd.crosstab(first, second).to_numpy()
    fewer, all_of_them = min(table[0, 1], table[1, 0]), table[0, 1] + table[1, 0]
    exact = mcnemar(table, exact=True).pvalue
    differences = pd.Series(first.astype(int) - second)
    p = sign_flip(differences, pd.Series(range(60)).astype(str))
    # Fagerland et al. 2013, equation 6: the exact p less the chance of what was observed
    assert p == pytest.approx(exact - stats.binom.pmf(fewer, all_of_them, 0.5))


def test_signs_of_whole_subjects_are_flipped():
    """Sums 3, 1 and -1 make 3; of the 8 of +-3 +-1 +-1 two are +-5, four are +-3, two are +-1."""
    differences = pd.Series([1, 1, 1, 1, -1, 0, 1, -1])
    subjects = pd.Series(list("aaabcdee"))
    assert sign_flip(differences, subjects) == pytest.approx(2 / 8 + 4 / 8 / 2)


@pytest.mark.parametrize("seed", range(5))
def test_the_sign_flip_is_scipys_permutation_of_pairs(seed):
    rng = np.random.default_rng(seed)
    subjects = pd.Series(np.repeat(range(10), rng.integers(1, 5, 10)))
    differences = pd.Series(rng.integers(-1, 2, len(subjects)))
    assert sign_flip(differences, subjects) == pytest.approx(by_scipy(differences, subjects))


@pytest.mark.parametrize("test", [signed_rank, sign_flip])
def test_without_a_difference_p_is_one_and_without_a_scan_there_is_none(test):
    none = pd.Series([], dtype=float)
    assert math.isnan(test(none, pd.Series([], dtype=str)))
    assert test(pd.Series([0, 0, 0]), pd.Series(list("aab"))) == 1
    # a subject whose scans cancel out
    assert test(pd.Series([1, -1, 0]), pd.Series(list("aab"))) == 1


@pytest.mark.parametrize("test", [signed_rank, sign_flip])
def test_the_direction_and_the_order_of_scans_are_of_no_consequence(test):
    subjects = pd.Series(np.repeat([*"abcdefgh"], 3))
    differences = pd.Series(RNG.integers(-1, 2, 24))
    p = test(differences, subjects)
    assert test(-differences, subjects) == pytest.approx(p)
    shuffled = RNG.permutation(24)
    assert test(differences[shuffled], subjects[shuffled]) == pytest.approx(p)
