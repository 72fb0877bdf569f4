"""What a run cost: time and memory of every rule, from the benchmarks of its jobs."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from msnmo.core.files import read_tsv

OWN = "write_report"
"""The rule that reads them: its own job has not ended yet."""


def read_costs(folder: Path) -> pd.DataFrame:
    """Return the costs of every rule.

    Parameters
    ----------
    folder : Path
        Of the benchmarks: ``<rule>.tsv``, or ``<rule>/**/*.tsv`` where a rule has several jobs.

    Returns
    -------
    DataFrame
        By rule: jobs, total_s, median_s, longest_s, max_rss_mb (NaN where Snakemake could not
        measure a short job). Empty without benchmarks.
    """
    rows = []
    for path in sorted(folder.rglob("*.tsv")):
        first = path.relative_to(folder).parts[0]
        rule = first.removesuffix(".tsv")
        if rule != OWN:
            # memory of a job that ends within a moment is not measured
            jobs = read_tsv(path, {"s": float}).assign(rule=rule)
            jobs["max_rss"] = pd.to_numeric(jobs.get("max_rss"), errors="coerce")
            rows.append(jobs[["rule", "s", "max_rss"]])
    if not rows:
        columns = ["jobs", "total_s", "median_s", "longest_s", "max_rss_mb"]
        return pd.DataFrame(columns=columns, index=pd.Index([], name="rule"))
    grouped = pd.concat(rows).groupby("rule")
    return pd.DataFrame(
        {
            "jobs": grouped["s"].size(),
            "total_s": grouped["s"].sum(),
            "median_s": grouped["s"].median(),
            "longest_s": grouped["s"].max(),
            "max_rss_mb": grouped["max_rss"].max(),
        }
    )
