"""`msnmo check`: a scan table checked whole, without the workflow."""

import os
import re
import shutil

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msnmo.check import check_cohort
from msnmo.core.errors import InputError, MsnmoError
from tests.workflow.dag import ROOT


@pytest.fixture
def cohort(tmp_path):
    """The example's scans, in a path with a space."""
    return shutil.copytree(ROOT / "example", tmp_path / "a cohort é")


def check(cohort, *options):
    check_cohort.main(["--scans", str(cohort / "scans.tsv"), *map(str, options)])


def cut_short(cohort):
    path = cohort / "sub-MS01/anat/sub-MS01_FLAIR.nii.gz"
    path.write_bytes(path.read_bytes()[:20_000])


def test_a_sound_cohort_is_told_and_written_down_where_that_is_asked_for(cohort, tmp_path, capsys):
    check(cohort)
    told = capsys.readouterr().out.splitlines()
    assert told[0] == "4 scans opened: 0 errors, 0 warnings"
    assert told[1] == "4 scans of 4 subjects can be used."
    assert told[-3].startswith("disk, from the start: ")
    assert told[-2].startswith("hours: ")
    # of the paper's five folds, which nobody asked for yet
    assert told[-1] == "A run of everything would stop: 2 problems."
    check(cohort, "--out", tmp_path / "out", "--processes", 1)
    assert "findings.html" in capsys.readouterr().out
    assert len(pd.read_csv(tmp_path / "out/findings.tsv", sep="\t").columns) == 6
    assert "4 scans" in (tmp_path / "out/findings.html").read_text(encoding="utf-8")


def test_disk_and_hours_are_of_the_users_config(cohort, tmp_path, capsys):
    config = tmp_path / "my.yaml"

    def models(text):
        config.write_text(text)
        check(cohort, "--configfile", config)
        return re.search(r"models ([\d.]+)", capsys.readouterr().out)[1]

    assert models("methods: [resnet152]\nfolds: {k: 2}") == "0.9"
    assert models("methods: [resnet152]\nfolds: {k: 2, only: [0]}") == "0.5"
    with pytest.raises(InputError, match=r"set folds\.k to at most 2"):
        models("methods: [resnet152]")
    config.write_text("[methods")
    with pytest.raises(InputError, match="a config file, YAML"):
        check(cohort, "--configfile", config)


def test_all_that_is_wrong_of_a_scan_is_told_at_once_whatever_is_wrong_of_its_row(cohort, capsys):
    cut_short(cohort)
    number_lesions(cohort)
    table = pd.read_csv(cohort / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    table.loc[table["subject"] == "MS01", ["diagnosis", "stripped"]] = ["healthy", "perhaps"]
    flat = cohort / "flat.nii.gz"
    whole = nib.load(cohort / table["flair"].iloc[-1])
    nib.save(nib.Nifti1Image(np.ones(whole.shape, np.uint8), whole.affine), flat)
    again = table.iloc[-1:].assign(flair="flat.nii.gz", lesion_mask="", diagnosis="")
    nameless = table.iloc[-1:].assign(subject="a b", flair="gone.nii.gz")
    pd.concat([table, again, nameless]).to_csv(cohort / "scans.tsv", sep="\t", index=False)
    with pytest.raises(InputError) as raised:
        check(cohort)
    told = str(raised.value)
    for word in ("'healthy'", "'perhaps'", "truncated", "values 0, 1, 2", "each scan once"):
        assert word in told
    assert f"{flat}\n    expected: an image with varied values" in told
    assert "'a b'" in told
    assert told.count("gone.nii.gz") == 1
    # the scan that is in two rows is opened of both
    assert capsys.readouterr().out.count("5 scans opened") == 1


def number_lesions(cohort):
    """Give the lesions of the first scan's mask the labels 1 and 2."""
    path = cohort / "sub-MS01/anat/sub-MS01_label-lesion_desc-rater1_mask.nii.gz"
    image = nib.load(path)
    data = np.asarray(image.dataobj).astype(np.uint8)
    data[: data.shape[0] // 2][data[: data.shape[0] // 2] > 0] = 2
    assert set(np.unique(data)) == {0, 1, 2}
    nib.save(nib.Nifti1Image(data, image.affine), path)
    return path


def test_labels_are_the_configs_or_the_options_and_what_no_mask_has_is_told(
    cohort, tmp_path, capsys
):
    path = number_lesions(cohort)
    with pytest.raises(InputError, match=re.escape(f"{path}\n    expected: a binary mask")):
        check(cohort)
    config = tmp_path / "my.yaml"
    config.write_text("lesion_masks: {labels: [1, 2, 7]}\nfolds: {k: 2}")
    capsys.readouterr()
    check(cohort, "--configfile", config)
    told = capsys.readouterr().out
    assert "lesion_masks.labels\n    expected: labels that masks have" in told
    assert re.search(r"found:    7 not in any of \d masks", told)
    assert "0 errors, 1 warning\n" in told
    check(cohort, "--configfile", config, "--lesion-labels", "any")
    assert "0 errors, 0 warnings" in capsys.readouterr().out


def test_every_error_is_raised_each_once_and_warnings_are_told(cohort, tmp_path, capsys):
    cut_short(cohort)
    table = (cohort / "scans.tsv").read_text()
    (cohort / "scans.tsv").write_text(table + "X9\t\tMS\tnowhere.nii\t\tno\tno\tsite\n")
    with pytest.raises(InputError) as raised:
        check(cohort, "--out", tmp_path / "out")
    told = str(raised.value)
    assert "truncated" in told
    assert "nowhere.nii" in told
    written = pd.read_csv(tmp_path / "out/findings.tsv", sep="\t")
    errors = written[written["severity"] == "error"]
    assert len(raised.value.findings) == len(errors)
    assert f"{len(errors)} errors" in capsys.readouterr().out


def test_scans_that_a_rater_excluded_are_not_opened(cohort, tmp_path, capsys):
    cut_short(cohort)
    (tmp_path / "decisions.tsv").write_text("scan\tdecision\treason\nsub-MS01\texclude\tmoved\n")
    check(cohort, "--decisions", tmp_path / "decisions.tsv")
    assert capsys.readouterr().out.startswith("3 scans opened: 0 errors, 0 warnings\n")


def test_decisions_that_are_not_there_are_not_taken_for_none(cohort, tmp_path):
    with pytest.raises(InputError, match=r"nowhere.tsv\n.*\n.*no such file\n.*correct the path"):
        check(cohort, "--decisions", tmp_path / "nowhere.tsv")


def test_a_cohort_of_which_every_scan_is_excluded_is_no_success(cohort, tmp_path):
    names = ["sub-MS01", "sub-MS02", "sub-NMOSD01", "sub-NMOSD02"]
    rows = ["scan\tdecision\treason", *(f"{name}\texclude\tmoved" for name in names)]
    (tmp_path / "decisions.tsv").write_text("\n".join(rows) + "\n")
    with pytest.raises(InputError, match="all are excluded"):
        check(cohort, "--decisions", tmp_path / "decisions.tsv")


def test_a_process_that_the_system_ends_is_told(cohort, monkeypatch):
    monkeypatch.setattr(check_cohort, "check_scan", lambda *_: os._exit(9))
    with pytest.raises(MsnmoError, match="--processes 1"):
        check(cohort)


@pytest.mark.parametrize("number", ["0", "-1", "many", "10000"])
def test_a_number_of_processes_that_is_none_is_refused(cohort, number, capsys):
    with pytest.raises(SystemExit) as left:
        check(cohort, "--processes", number)
    assert left.value.code == 2
