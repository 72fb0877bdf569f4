"""Every bad scan of a hostile cohort is named in one pass, and none of the good ones."""

import pandas as pd
import pytest

from msnmo.check.accept import accept
from msnmo.check.check_cohort import check_row
from msnmo.check.listing import list_findings, to_page
from msnmo.cohort.table import survey_scan_table
from msnmo.core.errors import InputError
from tests.check.hostile import CASES, GOOD, SUSPECT


@pytest.fixture(scope="module")
def findings(hostile, tmp_path_factory):
    folder, _ = hostile
    reports = tmp_path_factory.mktemp("reports")
    for row in survey_scan_table(folder / "scans.tsv").opened.to_dict("records"):
        check_row(row, resample=False).write(reports / f"{row['scan']}.json")
    table, *_ = list_findings(folder / "scans.tsv", None, f"{reports}/{{scan}}.json")
    return table


def test_there_are_enough_cases_and_each_is_another():
    assert len(CASES) >= 40
    assert len({case.name for case in CASES}) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_each_bad_scan_has_its_own_line(case, hostile, findings):
    said = findings[(findings["scan"] == case.scan) & (findings["severity"] == case.severity)]
    assert said["found"].str.contains(case.found, regex=False).any(), findings[
        findings["scan"] == case.scan
    ].to_string()
    assert (said[["file", "expected", "found", "remedy"]] != "").all(axis=None)


def test_good_scans_have_notes_at_most(findings):
    loud = findings[findings["severity"] != "note"]
    good = {f"sub-{name}" for name in GOOD} | {"sub-good3_ses-1", "sub-good7_ses-1"}
    assert set(loud["scan"]) & good == (SUSPECT - {"sub-good3"}) | {
        "sub-good3_ses-1",
        "sub-good7_ses-1",
    }


def test_errors_come_first(findings):
    order = findings["severity"].map({"error": 0, "warning": 1, "note": 2})
    assert order.is_monotonic_increasing


def test_bad_scans_stop_the_run_with_every_error(hostile, findings):
    folder, _ = hostile
    with pytest.raises(InputError) as stopped:
        accept(folder / "scans.tsv", findings, None, "stop")
    said = {(finding.file, finding.found) for finding in stopped.value.findings}
    errors = findings[findings["severity"] == "error"]
    assert said == set(zip(errors["file"], errors["found"], strict=True))


def test_bad_scans_are_excluded_each_with_its_reason(hostile, findings):
    folder, cases = hostile
    cohort, excluded = accept(folder / "scans.tsv", findings, None, "exclude")
    bad = {case.scan for case in cases if case.severity == "error"}
    assert set(cohort["scan"]) & bad == set()
    assert bad <= set(excluded["scan"])
    assert excluded["reason"].str.contains("found").all()
    assert not excluded["scan"].duplicated().any()
    # what a warning is said of, and the good ones, go on
    assert {"sub-good6", "sub-good8", "sub-maskEmpty", "sub-conflict"} <= set(cohort["scan"])
    assert len(cohort) + len(bad | SUSPECT) >= len(GOOD) + len(CASES) - 5


def test_the_page_names_every_finding_and_runs_nothing_it_is_given(findings):
    hostile_text = "<script>alert(1)</script>"
    table = pd.concat([findings, findings.head(1).assign(found=hostile_text)])
    page = to_page(table, 80)
    assert page.count("<tr class=") == len(table)
    assert hostile_text not in page
    assert "&lt;script&gt;" in page
    assert "http" not in page


@pytest.mark.parametrize(("simulated", "told"), [("yes", True), ("no", False)])
def test_the_page_of_simulated_scans_says_so(hostile, tmp_path, simulated, told):
    folder, _ = hostile
    table = pd.read_csv(folder / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    table = table[table["subject"] == min(GOOD)].assign(simulated=simulated)
    scans = folder / f"simulated-{simulated}.tsv"
    table.to_csv(scans, sep="\t", index=False)
    for row in survey_scan_table(scans).opened.to_dict("records"):
        check_row(row, resample=False).write(tmp_path / f"{row['scan']}.json")
    page = to_page(*list_findings(scans, None, f"{tmp_path}/{{scan}}.json"))
    assert ("All scans are simulated" in page) == told
