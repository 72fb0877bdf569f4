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


def test_bad_scans_are_left_out_and_every_table_says_so(clone, cohort, spoilt):
    folder, broken = spoilt
    config = write_config(clone, folder, "left_out", on_bad_scan="exclude")
    code, output = run(clone, config, "preprocess", "table_1")
    assert code == 0, output
    done = list((clone / "left_out/derivatives").rglob("*desc-zscore_FLAIR.nii.gz"))
    assert len(done) == 2
    excluded = read_tsv(clone / "left_out/excluded.tsv", {"scan": str, "by": str})
    assert excluded["by"].tolist() == ["check", "check"]
    for ending in ("md", "tex", "html"):
        table = (clone / f"left_out/tables/table-1.{ending}").read_text(encoding="utf-8")
        assert "Excluded: 2 scans, 2 by the check" in table
    _, output = run(clone, config, "--dry-run", "preprocess", "table_1")
    assert "Nothing to be done" in output
    # told of the whole, one scan mended: it alone is preprocessed
    shutil.copy(cohort / broken.relative_to(folder), broken)
    _, output = run(clone, config, "preprocess", "table_1")
    assert len(list((clone / "left_out/derivatives").rglob("*desc-zscore_FLAIR.nii.gz"))) == 3
    assert output.count("rule strip_skull:") == 1


def test_a_raters_decision_and_a_new_scan_redo_what_they_must_and_no_more(clone, cohort, tmp_path):
    folder = tmp_path / "cohort"
    shutil.copytree(cohort, folder)
    rows = (folder / "scans.tsv").read_text(encoding="utf-8").splitlines(keepends=True)
    # MS02 is to be excluded, the last one added
    whole = [rows[number] for number in (0, 2, 3, 1)]
    (folder / "scans.tsv").write_text("".join(whole[:-1]), encoding="utf-8")
    decisions = tmp_path / "decisions.tsv"
    config = write_config(clone, folder, "rated", decisions=str(decisions))
    code, output = run(clone, config, "--dry-run", "preprocess")
    assert code == 1
    assert f"no file {decisions}" in output
    decisions.write_text("scan\tdecision\treason\n", encoding="utf-8")
    code, output = run(clone, config, "preprocess")
    assert code == 0, output
    (folder / "scans.tsv").write_text("".join(whole), encoding="utf-8")
    decisions.write_text("scan\tdecision\treason\nsub-MS02\texclude\tmotion\n", encoding="utf-8")
    _, output = run(clone, config, "--dry-run", "preprocess")
    assert jobs(output)["check_scan"] == 1
    assert jobs(output)["strip_skull"] == 1, "the scans that were there are not stripped again"
    code, output = run(clone, config, "preprocess", "table_1")
    assert code == 0, output
    names = read_tsv(clone / "rated/manifest.tsv", {"scan": str})["scan"].tolist()
    assert len(names) == 2
    assert "sub-MS02" not in names
    table = (clone / "rated/tables/table-1.md").read_text(encoding="utf-8")
    assert "1 by the rater: sub-MS02 (motion)" in table
