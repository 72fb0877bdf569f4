"""How often the tests of a table find a difference between methods that are equally good.

Data sets are simulated without any difference: the numbers of two methods differ by what is common
to a subject's scans and by what is each scan's own, and may as well be exchanged. A test at 5 %
should call 5 % of them different. For three cohorts this prints the share of 2000 data sets with p
below 0.05, of the tests that take scans for units and of those that the tables use; then that of
the bootstrap over several seeds. Of 2000 data sets a true 5 % comes out within 4.0 and 6.0 in 19 of
20 times.

    nice python -m tests.evaluate.statistics.type_one_error

takes an hour. What it said last stands in docs/explanation/statistics.md.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import wilcoxon
from statsmodels.stats.contingency_tables import mcnemar

from msnmo.cohort.folds import split_folds
from msnmo.core.diagnoses import diagnoses
from msnmo.evaluate.metrics import PROPORTIONS
from msnmo.evaluate.statistics.bootstrap import (
    Drawn,
    FoldStatistic,
    Statistic,
    auc,
    mean,
    over_seeds,
    p_value,
    replicate,
)
from msnmo.evaluate.statistics.paired import sign_flip, signed_rank

DATA_SETS = 2000
LEVEL = 0.05


@dataclass(frozen=True)
class Cohort:
    """How many scans each subject has, and how alike they are.

    Parameters
    ----------
    ms, nmosd : tuple of int
        Scans of each subject.
    alike : float
        The correlation, within subjects, of the difference between the two methods.
    """

    ms: tuple[int, ...]
    nmosd: tuple[int, ...]
    alike: float

    @property
    def repeats(self) -> bool:
        """Whether any subject has several scans."""
        return max((*self.ms, *self.nmosd)) > 1

    def folds(self) -> pd.DataFrame:
        """Return a row per scan: scan, subject, diagnosis, fold."""
        rows = [
            (f"sub-{name}{n:02d}_ses-{visit}", f"{name}{n:02d}", name)
            for name, counts in (("MS", self.ms), ("NMOSD", self.nmosd))
            for n, count in enumerate(counts)
            for visit in range(count)
        ]
        table = pd.DataFrame(rows, columns=["scan", "subject", "diagnosis"])
        return split_folds(table, 5, "grouped", 0)


PAPER = ((4, 4, 4, 4, 5, *(1,) * 48), (1,) * 62)
COHORTS = {
    "one scan a subject": Cohort((1,) * 53, (1,) * 62, 0.8),
    "the paper's": Cohort(*PAPER, 0.8),
    "three scans a subject": Cohort((3,) * 53, (3,) * 62, 0.8),
}
SEED_SD = 0.2
"""How far seeds move a method's numbers, where scans' own noise is 1."""


@dataclass(frozen=True)
class DataSet:
    """What two equally good methods say of each scan.

    Parameters
    ----------
    dsc, p_nmosd : (2, S, N) ndarray
        Of methods, seeds and scans.
    nmosd : (N,) ndarray of bool
    """

    dsc: np.ndarray
    p_nmosd: np.ndarray
    nmosd: np.ndarray

    @property
    def right(self) -> np.ndarray:
        """Whether each scan's class is right, (2, S, N)."""
        return (self.p_nmosd > 0.5) == self.nmosd


def simulate(folds: pd.DataFrame, alike: float, seeds: int, rng: np.random.Generator) -> DataSet:
    """Return numbers of the cohort's scans by two methods between which nothing differs."""
    subjects = pd.factorize(folds["subject"])[0]
    nmosd = (folds["diagnosis"] == "NMOSD").to_numpy()

    def noise() -> np.ndarray:
        """How hard each scan is, and how each method and seed find it; of unit variance each."""
        of_subject = rng.normal(size=(3, subjects.max() + 1))[:, subjects]
        of_scan = rng.normal(size=(3, len(subjects)))
        common, *own = np.sqrt(alike) * of_subject + np.sqrt(1 - alike) * of_scan
        of_seed = SEED_SD * rng.normal(size=(2, seeds, 1)) if seeds > 1 else 0.0
        return common + np.array(own)[:, None] + of_seed

    return DataSet(0.7 + 0.08 * noise(), expit(1.3 * (2 * nmosd - 1) + noise()), nmosd)


def _of(classes: Sequence[int], folds: pd.DataFrame) -> pd.Series:
    return folds["diagnosis"].isin([diagnoses()[each] for each in classes])


def by_scan(data: DataSet, folds: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield the p of tests whose units are scans: what tables had before."""
    yield "DSC", float(wilcoxon(*data.dsc[:, 0]).pvalue)
    for metric, classes in PROPORTIONS.items():
        first, second = data.right[:, 0, _of(classes, folds)]
        both, neither = (first & second).sum(), (~first & ~second).sum()
        table = [[both, (first & ~second).sum()], [(~first & second).sum(), neither]]
        yield metric, float(mcnemar(table, exact=True).pvalue)


def by_subject(data: DataSet, folds: pd.DataFrame) -> Iterator[tuple[str, float]]:
    """Yield the p of the tests of subjects."""
    yield "DSC", signed_rank(pd.Series(np.subtract(*data.dsc[:, 0])), folds["subject"])
    differences = pd.Series(np.subtract(*data.right[:, 0].astype(int)))
    for metric, classes in PROPORTIONS.items():
        counted = _of(classes, folds)
        yield metric, sign_flip(differences[counted], folds["subject"][counted])


def by_bootstrap(
    data: DataSet, folds: pd.DataFrame, seed: int, replicates: int = 2000
) -> Iterator[tuple[str, float]]:
    """Yield the p of the bootstrap: of AUC, and of DSC, which it tests where seeds are several."""
    seeds = range(data.dsc.shape[1])
    drawn = Drawn.draw(folds, seeds, replicates, seed)
    parts = [np.flatnonzero(folds["fold"] == fold) for fold in sorted(set(folds["fold"]))]
    made: dict[str, Callable[[int, int, np.ndarray], Statistic]] = {
        "AUC": lambda m, s, part: auc(data.nmosd[part], data.p_nmosd[m, s, part]),
        "DSC": lambda m, s, part: mean(data.dsc[m, s, part]),
    }
    subjects = folds["subject"].to_numpy()
    for metric, of in made.items():
        first, second = (
            over_seeds(
                {
                    each: replicate(
                        [FoldStatistic(subjects[part], of(m, each, part)) for part in parts],
                        drawn.subjects,
                    )
                    for each in seeds
                },
                drawn.seeds,
            )
            for m in (0, 1)
        )
        yield metric, p_value((first - second)[1:])


def shares(cohort: Cohort, seeds: int, data_sets: int, bootstrap: bool = True) -> pd.Series:
    """Return the share of data sets that each test calls different, in percent, by test, metric."""
    folds = cohort.folds()
    called: Counter[tuple[str, str]] = Counter()
    for n in range(data_sets):
        data = simulate(folds, cohort.alike, seeds, np.random.default_rng([n, seeds]))
        tests = {"bootstrap": by_bootstrap(data, folds, n)} if bootstrap else {}
        if seeds == 1:
            tests |= {"scans": by_scan(data, folds), "subjects": by_subject(data, folds)}
        for test, found in tests.items():
            called.update({(test, metric): int(p < LEVEL) for metric, p in found})
    return 100 * pd.Series(called).sort_index() / data_sets


def main() -> None:
    """Print the shares of every cohort."""
    runs = [(name, 1) for name in COHORTS] + [("the paper's", seeds) for seeds in (2, 3, 5)]
    for name, seeds in runs:
        found = shares(COHORTS[name], seeds, DATA_SETS).unstack().to_string()
        print(f"{name}, {seeds} seed(s)\n{found}\n", flush=True)


if __name__ == "__main__":
    main()
