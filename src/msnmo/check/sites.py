"""Whether the site of a subject tells the diagnosis: a network could learn the scanner then.

The rule is of subjects, each at the site of most of its scans, and of those alone whose site is
given: the bias-corrected Cramér's V of diagnosis and site (Bergsma 2013, "A bias-correction for
Cramér's V and Tschuprow's T") is at least `TELLING`, and p of Fisher's exact test (of more than two
sites the Freeman-Halton test, by simulation) is below `LEVEL`. V says how much, corrected because
that of many small sites is large by chance; p says whether that many subjects can show it.
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
"""Of Cramér's V: Cohen's w of a medium effect, which V is with two classes."""
LEVEL = 0.05
SIMULATED = 9999
COHORT = "cohort"
"""In the column scan: a finding of no single scan."""
RULE = (
    f"sites that do not tell the class: over subjects, bias-corrected Cramér's V of diagnosis and "
    f"site below {TELLING:g}, or p of Fisher's exact test of {LEVEL:g} or more"
)
REMEDY = (
    "add scans of the class that a site lacks; else compare with the row Site alone (Tables 4 and "
    "6) and the AUC within sites (Table S3), and test on sites not seen (folds.split: site)"
)


def telling_sites(cohort: pd.DataFrame) -> Iterator[Reported]:
    """Yield a warning where site tells class, else a note where a site has one class alone.

    Parameters
    ----------
    cohort : DataFrame
        Columns subject, diagnosis, site (empty where none is given).
    """
    counts = count_subjects(cohort)
    if counts.shape[0] < 2 or counts.shape[1] < 2:
        return
    v, p = cramers_v(counts.to_numpy()), exact_p(counts.to_numpy())
    alone = [
        f"{site} ({row.max()} {row.idxmax()})" for site, row in counts.iterrows() if not row.all()
    ]
    named = f"; of one class alone: {', '.join(alone)}" if alone else ""
    file = "scan table, column site"
    if v >= TELLING and p < LEVEL:
        shown = f"{p:.4f}" if p >= 0.0001 else "below 0.0001"
        of = f"{counts.to_numpy().sum()} subjects at {len(counts)} sites"
        found = f"V {v:.2f}, p {shown} of {of}{named}"
        yield Reported("warning", COHORT, Finding(file, RULE, found, REMEDY))
    elif alone:
        found = f"subjects of one class alone: {', '.join(alone)}"
        remedy = "nothing to do; over the whole cohort, site does not tell the class by our rule"
        yield Reported("note", COHORT, Finding(file, "both classes at each site", found, remedy))


def count_subjects(cohort: pd.DataFrame) -> pd.DataFrame:
    """Return how many subjects of each class a site has: a row per site, a column per class."""
    known = cohort[cohort["diagnosis"].isin(diagnoses()) & (cohort["site"] != "")]
    subjects = known.assign(site=main_site(known)).drop_duplicates("subject")
    return pd.crosstab(subjects["site"], subjects["diagnosis"])


def cramers_v(counts: np.ndarray) -> float:
    """Return the bias-corrected Cramér's V of a table of counts, in [0, 1].

    Parameters
    ----------
    counts : (R, C) ndarray of int
        At least two rows and columns, none of them empty.
    """
    total = counts.sum()
    chi2 = chi2_contingency(counts, correction=False).statistic
    rows, columns = counts.shape
    phi2 = max(0.0, chi2 / total - (rows - 1) * (columns - 1) / (total - 1))
    least = min(each - (each - 1) ** 2 / (total - 1) for each in (rows, columns)) - 1
    return float(np.sqrt(phi2 / least)) if least > 0 else 0.0


def exact_p(counts: np.ndarray) -> float:
    """Return p of Fisher's exact test; of more than two rows simulated, the same each time.

    Parameters are those of `cramers_v`.
    """
    method = MonteCarloMethod(n_resamples=SIMULATED, rng=np.random.default_rng(0))
    return float(fisher_exact(counts, method=None if counts.shape == (2, 2) else method).pvalue)
