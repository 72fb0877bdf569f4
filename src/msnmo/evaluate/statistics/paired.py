"""Paired tests of two methods whose units are subjects, however many scans each has.

Scans of one subject resemble each other. A test that takes each for a unit of its own counts the
same evidence several times, and finds differences where there are none: more often than it says
(``tests/evaluate/statistics/type_one_error.py``).
"""

from __future__ import annotations

import math

import numpy as np
import pandas as pd


def signed_rank(differences: pd.Series, subjects: pd.Series) -> float:
    """Return the two-sided p of Wilcoxon's signed rank test of the subjects' mean differences.

    Where subjects have one scan each it is the test of the scans. Exact for up to 50 subjects
    without ties, and for up to 13 with them (scipy's choice); else by the normal approximation.

    Parameters
    ----------
    differences : Series of float
        Between two methods, of each scan.
    subjects : Series of str
        Whose scan it is.

    Returns
    -------
    float
        NaN without a scan; 1 where no subject differs.
    """
    means = differences.groupby(subjects).mean().to_numpy()
    if not len(means):
        return math.nan
    # a second that all who only read the names of numbers need not pay for
    from scipy.stats import wilcoxon  # noqa: PLC0415

    # scipy's statistic is undefined without any difference, where nothing speaks against equality
    return float(wilcoxon(means).pvalue) if means.any() else 1.0


def sign_flip(differences: pd.Series, subjects: pd.Series) -> float:
    """Return the two-sided mid-p of the permutation test of the subjects' summed differences.

    If neither method is better, a subject's scans are as likely to differ the other way round, all
    of them together. So the sum over subjects is compared with those of all ways to flip the signs
    of whole subjects, exactly: none is drawn. Sums as far from 0 as the observed count one half
    (mid-p): few subjects differ, and counted whole they make p too large, 2 to 3 % below 0.05 where
    it should be 5. Where subjects have one scan each this is McNemar's mid-p test, which Fagerland,
    Lydersen and Laake (BMC Med. Res. Methodol. 13:91, 2013) advise for the same reason. Clustered
    forms of McNemar's test (Obuchowski, Stat. Med. 17:1495, 1998; Durkalski et al., Stat. Med.
    22:2417, 2003) ask the same, but hold for many subjects that differ.

    Parameters
    ----------
    differences : Series of int
        Between two methods, of each scan: 1 where the first alone is right, -1 where the second
        alone is, else 0.
    subjects : Series of str
        Whose scan it is.

    Returns
    -------
    float
        NaN without a scan; 1 where no subject differs.
    """
    if not len(differences):
        return math.nan
    sums = differences.groupby(subjects).sum().to_numpy().astype(int)
    # the chance of each sum from -most to most, a subject at a time
    chances: np.ndarray = np.ones(1)
    for size in np.abs(sums[sums != 0]):
        flipped = np.zeros(2 * size + 1)
        flipped[[0, -1]] = 0.5
        chances = np.convolve(chances, flipped)
    most = len(chances) // 2
    if not most:
        return 1.0
    distances = np.abs(np.arange(-most, most + 1)) - abs(sums.sum())
    return float(chances[distances > 0].sum() + chances[distances == 0].sum() / 2)
