"""The check in the real DAG: bad scans are named before compute starts, or left out and counted."""

import shutil

import pandas as pd
import pytest

from msnmo.core.files import read_tsv
from msnmo.demo.cohort import Plan, make_cohort
from tests.check.hostile import make_hostile_cohort
from tests.workflow.dag import jobs, run, write_config

HOSTILE = ["missing", "truncated", "nanForm", "nan", "phase", "maskShape", "label", "copy"]


@pytest.fixture(scope="module")
def hostile(tmp_path_factory):
    """Two good scans and one of each kind of bad ones: tests/check goes through all of them."""
    folder = tmp_path_factory.mktemp("hostile cohort é")
    cases = [case for case in make_hostile_cohort(folder) if case.name in HOSTILE]
    kept = {"good5", "good6", *HOSTILE}
    table = pd.read_csv(folder / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    table[table["subject"].isin(kept)].to_csv(folder / "scans.tsv", sep="\t", index=False)
    assert len(cases) == len(HOSTILE)
    return folder, cases


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four scans that arrive stripped, so that little has to be done to them."""
    folder = tmp_path_factory.mktemp("arrived é")
    make_cohort(folder, Plan(seed=5, ms=2, nmosd=2, follow_ups=0, stripped=2, min_voxel_mm=4.0))
    return folder


@pytest.fixture
def spoilt(cohort, tmp_path):
    """The cohort with one scan cut short and one row that names no diagnosis we know."""
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    table = pd.read_csv(folder / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    broken = folder / table["flair"].iloc[0]
    broken.write_bytes(broken.read_bytes()[:20_000])
    table.loc[table.index[-1], "diagnosis"] = "healthy"
    table.to_csv(folder / "scans.tsv", sep="\t", index=False)
    return folder, broken


def test_one_pass_names_every_bad_scan_of_a_hostile_cohort(clone, hostile):
    folder, cases = hostile
    config = write_config(clone, folder, "hostile")
    code, output = run(clone, config, "check")
    assert code == 1
    assert "Traceback" not in output
    findings = read_tsv(clone / "hostile/check/findings.tsv", {"scan": str, "severity": str})
    said = set(zip(findings["scan"], findings["severity"], strict=True))
    assert said >= {(case.scan, case.severity) for case in cases}
    errors = findings[findings["severity"] == "error"]
    # on the terminal too, each of them
    assert all(text in output for text in errors["file"])
    assert not (clone / "hostile/cohort.tsv").exists()
    assert not (clone / "hostile/derivatives").exists()
    assert not list((clone / "hostile").rglob(".tmp-*"))
    # the second run opens no scan again
    _, output = run(clone, config, "--dry-run", "check")
    assert "check_scan" not in jobs(output)


def test_bad_scans_stop_the_run_before_preprocessing(clone, spoilt):
    folder, broken = spoilt
    config = write_config(clone, folder, "stopped")
    code, output = run(clone, config, "preprocess")
    assert code == 1
    assert str(broken) in output
    assert "truncated" in output
    assert "'healthy'" in output
    assert not (clone / "stopped/derivatives").exists()


def test_a_file_made_of_the_cohort_before_does_not_pass_for_new(clone, cohort, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    config = write_config(clone, folder, "refused")
    table = str(clone / "refused/tables/table-1.tsv")
    code, output = run(clone, config, table)
    assert code == 0, output
    mask = next(folder.rglob("*mask.nii.gz"))
    whole = mask.read_bytes()
    mask.write_bytes(whole[:300])
    for _ in range(2):
        code, output = run(clone, config, table)
        assert code == 1, output
        assert str(mask) in output
    mask.write_bytes(whole)
    code, output = run(clone, config, table)
    assert code == 0, output
    _, output = run(clone, config, table)
    assert "Nothing to be done" in output


def test_a_table_that_shows_no_chosen_method_says_so(clone, cohort):
    config = write_config(clone, cohort, "nothing_to_show", methods=["unet"])
    code, output = run(clone, config, "--dry-run", str(clone / "nothing_to_show/tables/table-5.md"))
    assert code == 1
    assert "table-5 shows none of the config's methods" in output


def test_scans_are_left_out_by_check_and_rater_and_every_table_says_so(
    clone, cohort, spoilt, tmp_path
):
    folder, broken = spoilt
    decisions = tmp_path / "decisions.tsv"
    named = {"decisions": str(decisions), "on_bad_scan": "exclude"}
    config = write_config(clone, folder, "left_out", **named)
    code, output = run(clone, config, "--dry-run", "preprocess")
    assert code == 1
    assert f"no file {decisions}" in output
    decisions.write_text("scan\tdecision\treason\nsub-MS02\texclude\tmotion\n", encoding="utf-8")
    code, output = run(clone, config, "preprocess", "table_1")
    assert code == 0, output

    def preprocessed():
        done = (clone / "left_out/derivatives").rglob("*desc-zscore_FLAIR.nii.gz")
        return sorted(path.name.split("_")[0] for path in done)

    assert preprocessed() == ["sub-NMOSD01"]
    excluded = read_tsv(clone / "left_out/excluded.tsv", {"scan": str, "by": str})
    assert excluded["by"].value_counts().to_dict() == {"check": 2, "rater": 1}
    for ending in ("md", "tex", "html"):
        table = (clone / f"left_out/tables/table-1.{ending}").read_text(encoding="utf-8")
        assert "Excluded: 3 scans, 2 by the check" in table
        assert "1 by the rater" in table
        assert "sub-MS02 (motion)" in table
    # one scan mended, and the rater takes the decision back: those alone are preprocessed
    shutil.copy(cohort / broken.relative_to(folder), broken)
    decisions.write_text("scan\tdecision\treason\n", encoding="utf-8")
    _, output = run(clone, config, "preprocess", "table_1")
    assert preprocessed() == ["sub-MS01", "sub-MS02", "sub-NMOSD01"]
    assert output.count("rule strip_skull:") == 2
    _, output = run(clone, config, "--dry-run", "preprocess", "table_1")
    assert "Nothing to be done" in output
