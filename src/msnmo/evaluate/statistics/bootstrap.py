"""Bootstrap of the tables' numbers over subjects and seeds.

A table's number is the mean over folds and seeds of a fold's value. A replicate draws subjects of
each diagnosis with replacement, as many as there are. A scan counts as often as its subject was
drawn, in the fold that tested it. Seeds are also drawn with replacement, as many as there are. All
methods use the same replicates, so their differences are paired by fold and seed. With one seed,
the variation between trainings is not drawn, and intervals are for these trained networks. With few
seeds, this variation is slightly underestimated.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from msnmo.core.numbers import FEWEST_FOR_CORRELATION
from msnmo.core.seeds import derive_seed
from msnmo.evaluate.metrics import BOOTSTRAP, EXACT

Statistic = Callable[[np.ndarray], np.ndarray]
"""Maps how often each scan of a fold counts, (R, scans), to the fold's values, (R,)."""


def draw_subjects(folds: pd.DataFrame, replicates: int, seed: int) -> pd.DataFrame:
    """Return how often each subject is drawn in each replicate.

    Parameters
    ----------
    folds : DataFrame
        Columns subject, diagnosis.
    replicates : int
    seed : int

    Returns
    -------
    DataFrame
        One row per subject (index, sorted), one column per replicate; int. The first column is all
        ones: the cohort itself.
    """
    rng = np.random.default_rng(seed)
    subjects = folds.drop_duplicates("subject").sort_values("subject")
    counts = np.ones((len(subjects), replicates + 1), dtype=np.int64)
    for _, rows in sorted(subjects.reset_index(drop=True).groupby("diagnosis")):
        share = np.full(len(rows), 1 / len(rows))
        counts[rows.index, 1:] = rng.multinomial(len(rows), share, size=replicates).T
    return pd.DataFrame(counts, index=pd.Index(subjects["subject"]))


def draw_seeds(seeds: Sequence[int], replicates: int, seed: int) -> pd.DataFrame:
    """Return how often each seed of the trainings is drawn, as `draw_subjects` does for subjects.

    Parameters
    ----------
    seeds : sequence of int
        Seeds of the trainings.
    replicates : int
    seed : int
        Seed of the draws.

    Returns
    -------
    DataFrame
        One row per seed (index), one column per replicate; int. The first column is all ones.
    """
    rng = np.random.default_rng(seed)
    counts = np.ones((len(seeds), replicates + 1), dtype=np.int64)
    share = np.full(len(seeds), 1 / len(seeds))
    counts[:, 1:] = rng.multinomial(len(seeds), share, size=replicates).T
    return pd.DataFrame(counts, index=pd.Index(seeds, name="seed"))


@dataclass(frozen=True)
class Drawn:
    """How often each subject and seed counts in the replicates. The first is the cohort itself.

    Parameters
    ----------
    subjects, seeds : DataFrame
        As returned by `draw_subjects` and `draw_seeds`.
    """

    subjects: pd.DataFrame
    seeds: pd.DataFrame

    @classmethod
    def draw(cls, folds: pd.DataFrame, seeds: Collection[int], replicates: int, seed: int) -> Drawn:
        """Draw subjects of the folds and seeds of the trainings from one seed, in any order."""
        return cls(
            draw_subjects(folds, replicates, derive_seed(seed, "bootstrap")),
            draw_seeds(sorted(set(seeds)), replicates, derive_seed(seed, "bootstrap of seeds")),
        )


def over_seeds(of_seeds: Mapping[int, np.ndarray], drawn: pd.DataFrame) -> np.ndarray:
    """Return the mean of the replicates over the drawn seeds, (R + 1,).

    A seed without a value in a replicate is left out of its mean.

    Parameters
    ----------
    of_seeds : mapping of int to (R + 1,) ndarray
        By seed, the result of `replicate`.
    drawn : DataFrame
        As returned by `draw_seeds`.
    """
    values = np.array(list(of_seeds.values()))
    counts = drawn.loc[list(of_seeds)].to_numpy() * ~np.isnan(values)
    return _divide((np.nan_to_num(values) * counts).sum(axis=0), counts.sum(axis=0))


def mean(values: np.ndarray) -> Statistic:
    """Return the mean over scans with a defined value."""
    defined = ~np.isnan(values)
    known = np.where(defined, values, 0.0)

    def statistic(counts: np.ndarray) -> np.ndarray:
        return _divide(counts @ known, counts @ defined)

    return statistic


def auc(nmosd: np.ndarray, p_nmosd: np.ndarray, group: np.ndarray | None = None) -> Statistic:
    """Return the area under the ROC curve: the share of right pairs. A tie counts one half.

    Parameters
    ----------
    nmosd : (N,) ndarray of bool
        Whether a scan's diagnosis is NMOSD.
    p_nmosd : (N,) ndarray of float
        Predicted probability of NMOSD.
    group : (N,) ndarray, optional
        Only scans of the same group form pairs. By default all are in one group.
    """
    positive, negative = p_nmosd[nmosd], p_nmosd[~nmosd]
    right = (positive[:, None] > negative) + 0.5 * (positive[:, None] == negative)
    if group is None:
        group = np.zeros(len(nmosd), dtype=np.int64)
    paired = (group[nmosd][:, None] == group[~nmosd]).astype(float)

    def statistic(counts: np.ndarray) -> np.ndarray:
        of_positive, of_negative = counts[:, nmosd], counts[:, ~nmosd]
        pairs = ((of_positive @ paired) * of_negative).sum(axis=1)
        return _divide(((of_positive @ (right * paired)) * of_negative).sum(axis=1), pairs)

    return statistic


def correlation(first: np.ndarray, second: np.ndarray) -> Statistic:
    """Return Pearson's r. It is undefined for few scans, or if a variable has only one value."""
    few = len(first) < FEWEST_FOR_CORRELATION

    def statistic(counts: np.ndarray) -> np.ndarray:
        total = counts.sum(axis=1)
        centred = [each - _divide(counts @ each, total)[:, None] for each in (first, second)]
        product = (counts * centred[0] * centred[1]).sum(axis=1)
        spread = np.prod([(counts * each**2).sum(axis=1) for each in centred], axis=0)
        # numbers that differ only in the last digits have no spread
        varies = (spread > 1e-18) & (not few)
        return _divide(product, np.sqrt(np.where(varies, spread, 0.0)))

    return statistic


def _divide(above: np.ndarray, below: np.ndarray) -> np.ndarray:
    return np.divide(above, below, out=np.full(len(below), np.nan), where=below > 0)


@dataclass(frozen=True)
class FoldStatistic:
    """The parts of a fold's value.

    Parameters
    ----------
    subjects : (N,) ndarray of str
        Subjects of the fold's scans.
    statistic : callable
        Function of how often each of these scans counts.
    """

    subjects: np.ndarray
    statistic: Statistic


def replicate(folds: list[FoldStatistic], drawn: pd.DataFrame) -> np.ndarray:
    """Return a table's number in the cohort (first) and in each replicate, (R + 1,).

    A fold without a value, such as an AUC with one class, is left out of its replicate's mean. NaN
    if no fold has one.
    """
    values = np.array([each.statistic(drawn.loc[each.subjects].to_numpy().T) for each in folds])
    defined = ~np.isnan(values)
    return _divide(np.where(defined, values, 0.0).sum(axis=0), defined.sum(axis=0))


def interval(replicates: np.ndarray, confidence: float) -> tuple[float, float]:
    """Return the percentile interval of the replicates with a value; NaN if there are none."""
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return np.nan, np.nan
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return float(low), float(high)


def share_interval(
    replicates: np.ndarray, subjects: int, confidence: float, whole: float
) -> tuple[float, float, str | None]:
    """Return the interval of a mean of shares and how it is made; None if there is none.

    If all scans have 0, or all have the whole, so has every replicate, and the bootstrap's interval
    has no width. Then the interval is the exact one (Clopper and Pearson 1934) for this number of
    subjects, of whom none, or all, reach the bound. It also holds for the mean: subjects who do not
    reach the bound are no farther from it than the other bound is.

    Parameters
    ----------
    replicates : (R,) ndarray
        In [0, whole]; NaN where undefined.
    subjects : int
        Number of subjects of the mean.
    confidence : float
        Within 0 and 1.
    whole : float
        The largest value of a scan: 1, or 100 in percent.
    """
    defined = replicates[~np.isnan(replicates)]
    if not len(defined):
        return np.nan, np.nan, None
    if set(defined) not in ({0.0}, {whole}):
        return *interval(replicates, confidence), BOOTSTRAP
    # a second that all who only read the names of numbers need not pay for
    from statsmodels.stats.proportion import proportion_confint  # noqa: PLC0415

    reached = subjects if defined[0] > 0 else 0
    low, high = proportion_confint(reached, subjects, alpha=1 - confidence, method="beta")
    return float(whole * low), float(whole * high), EXACT


def p_value(differences: np.ndarray) -> float:
    """Return the two-sided p of no difference, from the replicates on zero's other side.

    It is never 0: the cohort itself counts as one more replicate.
    """
    defined = differences[~np.isnan(differences)]
    if not len(defined):
        return np.nan
    rarer = min((defined <= 0).sum(), (defined >= 0).sum())
    return float(min(1.0, 2 * (rarer + 1) / (len(defined) + 1)))
