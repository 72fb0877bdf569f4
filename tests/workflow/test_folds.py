"""Folds of sites: as many as there are, planned as they are made."""

import re
import shutil

import pandas as pd
import pytest

from tests.workflow.dag import jobs, run, trained, write_config

BRIEF = {"methods": ["unet", "resnet50"], "folds": {"k": 2, "split": "site"}}


@pytest.fixture(scope="module")
def plan(clone, cohort, tmp_path_factory):
    """A function: the dry run of targets on the cohort with other sites."""
    folder = tmp_path_factory.mktemp("sites") / "cohort"
    shutil.copytree(cohort, folder)

    def make(sites, *targets, **changed):
        rows = pd.read_csv(cohort / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
        subjects, _ = pd.factorize(rows["subject"])
        rows["site"] = [sites[place % len(sites)] for place in subjects]
        rows.to_csv(folder / "scans.tsv", sep="\t", index=False)
        config = write_config(clone, folder, "of_sites", **BRIEF | changed)
        return run(clone, config, "--dry-run", "--printshellcmds", *targets)

    return make


def test_each_site_is_a_fold_of_every_method_and_of_all_that_follows(plan):
    code, output = plan("ABC", "tables")
    assert code == 0, output
    assert trained(output) == [(name, fold) for name in ("resnet50", "unet") for fold in "012"]
    counts = jobs(output)
    assert counts["predict_fold"] == counts["evaluate_fold"] == 6
    commands = re.findall(r"python -m msnmo.evaluate.aggregate ([^\n]*)", output)
    assert commands
    assert all("--folds 0 1 2 " in command for command in commands)
    (calibration,) = re.findall(r"python -m msnmo.evaluate.calibration ([^\n]*)", output)
    assert "--tested 0 1 2 " in calibration
    lists = re.findall(r"python -m msnmo.cohort.parts ([^\n]*)", output)
    assert all("--split site" in command and "--classify" in command for command in lists)
    tables = re.findall(r"python -m msnmo.tables ([^\n]*)", output)
    results = [command for command in tables if "--table 1 " not in command + " "]
    assert all("--split=site --k=2" in command for command in results if "--metrics" in command)


def test_folds_of_sites_can_be_chosen_and_the_bundle_has_one_for_each(plan):
    code, output = plan("AB", "table_3", folds={"split": "site", "only": [1]}, methods=["unet"])
    assert code == 0, output
    assert trained(output) == [("unet", "1")]
    assert "--classify" not in output, "nobody names the class"
    code, output = plan("ABC", "bundle", bundle={"method": "unet"})
    assert code == 0, output
    assert trained(output) == [("unet", fold) for fold in "012"]


def test_without_sites_a_job_is_planned_that_says_so(plan):
    code, output = plan(["one"], "table_3")
    assert code == 0, output
    assert trained(output) == [("unet", "0")]
