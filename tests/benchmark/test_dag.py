"""What is planned beside the workflow has as many jobs as it is asked for."""

from __future__ import annotations

from pathlib import Path

from msnmo.benchmark.dag import CHAIN, bare, median_of, workflow
from msnmo.cohort.table import survey_scan_table


def test_bare_snakemake_plans_chains_of_jobs(tmp_path: Path) -> None:
    seconds, jobs = median_of(1, bare(2, tmp_path), tmp_path)
    assert jobs == 2 * CHAIN + 1
    assert seconds > 0


def test_a_cohort_is_made_of_hard_links_to_the_example(tmp_path: Path) -> None:
    options = workflow(6, tmp_path)
    assert f"scans={tmp_path / 'scans.tsv'}" in options
    survey = survey_scan_table(tmp_path / "scans.tsv")
    assert survey.findings == []
    assert len(survey.cohort) == 6
    files = list(tmp_path.glob("scans/*/*"))
    assert all(path.stat().st_nlink > 1 for path in files)
    assert len(files) == 6 * 2 + 3, "half of the scans have masks of two raters"
