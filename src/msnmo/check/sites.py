"""Whether a subject's site reveals the diagnosis: a network could then learn the scanner instead.

The rule counts subjects, each at the site of most of its scans. Subjects without a site are left
out. Sites reveal the class if two conditions hold. First, the bias-corrected Cramér's V of
diagnosis and site (Bergsma 2013, "A bias-correction for Cramér's V and Tschuprow's T") is at least
`TELLING`. Second, p of Fisher's exact test is below `LEVEL` (for more than two sites, the
Freeman-Halton test by simulation). V measures the strength; it is corrected because V of many small
sites is large by chance. p says whether the number of subjects is large enough to show it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pandas as pd
from scipy.stats import MonteCarloMethod, chi2_contingency, fisher_exact

from msnmo.check.findings import Reported
from msnmo.cohort.balance import main_site
from msnmo.core.diagnoses import diagnoses
from msnmo.core.errors import Finding

TELLING = 0.3
"""Limit of Cramér's V: Cohen's w of a medium effect. With two classes, V equals w."""
LEVEL = 0.05
SIMULATED = 9999
COHORT = "cohort"
"""Entry of the column scan for a finding that concerns no single scan."""
RULE = (
    "sites that do not reveal the class: over subjects, bias-corrected Cramér's V of diagnosis "
    "and "
    f"site below {TELLING:g}, or p of Fisher's exact test of {LEVEL:g} or more"
)
REMEDY = (
    "add scans of the class that a site lacks; if you cannot, compare with the row Site alone "
    "(Tables 4 and 6) and the AUC within sites (Table S3), and test on unseen sites (folds.split: "
    "site)"
)


def telling_sites(cohort: pd.DataFrame) -> Iterator[Reported]:
    """Yield a warning if site reveals class, else a note if a site has only one class.

    Parameters
    ----------
    cohort : DataFrame
        Columns subject, diagnosis, site (empty if not given).
    """
    counts = count_subjects(cohort)
    if counts.shape[0] < 2 or counts.shape[1] < 2:
        return
    v, p = cramers_v(counts.to_numpy()), exact_p(counts.to_numpy())
    alone = [
        f"{site} ({row.max()} {row.idxmax()})" for site, row in counts.iterrows() if not row.all()
    ]
    named = f"; with one class only: {', '.join(alone)}" if alone else ""
    file = "scan table, column site"
    if v >= TELLING and p < LEVEL:
        shown = f"{p:.4f}" if p >= 0.0001 else "below 0.0001"
        of = f"{counts.to_numpy().sum()} subjects at {len(counts)} sites"
        found = f"V {v:.2f}, p {shown} of {of}{named}"
        yield Reported("warning", COHORT, Finding(file, RULE, found, REMEDY))
    elif alone:
        found = f"sites with one class only: {', '.join(alone)}"
        remedy = "nothing to do; over the whole cohort, site does not reveal the class by our rule"
        yield Reported("note", COHORT, Finding(file, "both classes at each site", found, remedy))


def count_subjects(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return the number of subjects per site (row) and class (column)."""
    known = cohort[cohort["diagnosis"].isin(diagnoses()) & (cohort["site"] != "")]
    subjects = known.assign(site=main_site(known)).drop_duplicates("subject")
    return pd.crosstab(subjects["site"], subjects["diagnosis"])


def cramers_v(counts: np.ndarray) -> float:
    """Return the bias-corrected Cramér's V of a table of counts, in [0, 1].

    Parameters
    ----------
    counts : (R, C) ndarray of int
        At least two rows and columns, none of them all zero.
    """
    total = counts.sum()
    chi2 = chi2_contingency(counts, correction=False).statistic
    rows, columns = counts.shape
    phi2 = max(0.0, chi2 / total - (rows - 1) * (columns - 1) / (total - 1))
    least = min(each - (each - 1) ** 2 / (total - 1) for each in (rows, columns)) - 1
    return float(np.sqrt(phi2 / least)) if least > 0 else 0.0


def exact_p(counts: np.ndarray) -> float:
    """Return p of Fisher's exact test.

    For more than two sites p is simulated, with the same result each time. Parameters are those of
    `cramers_v`.
    """
    method = MonteCarloMethod(n_resamples=SIMULATED, rng=np.random.default_rng(0))
    return float(fisher_exact(counts, method=None if counts.shape == (2, 2) else method).pvalue)
