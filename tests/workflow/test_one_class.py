"""Cohorts of one class, of none and of other labels: what is planned, and an MS-only run."""

import json
import re
import subprocess
import sys

import pandas as pd
import pytest

from msnmo.core.files import read_tsv
from msnmo.demo.cohort import Plan, make_cohort
from tests.workflow.dag import PATIENCE, jobs, run, trained, write_config

FEW = {"methods": ["joint", "only_seg", "unet", "resnet50"]}
SEGMENTING = [(name, fold) for name in ("only_seg", "unet") for fold in "01"]


@pytest.fixture
def relabelled(cohort, tmp_path):
    """A function: the cohort's table with other labels, and paths that still open."""

    def make(labels):
        table = pd.read_csv(cohort / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
        table["diagnosis"] = table["diagnosis"].map(labels)
        for column in ("flair", "lesion_mask"):
            table[column] = [
                ";".join(str(cohort / path) for path in cell.split(";") if path not in ("", "n/a"))
                for cell in table[column]
            ]
        table.to_csv(tmp_path / "scans.tsv", sep="\t", index=False)
        return tmp_path

    return make


def planned(clone, folder, *targets, **changed):
    config = write_config(clone, folder, "one_class", **FEW | changed)
    return run(clone, config, "--dry-run", "--printshellcmds", *targets)


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"MS": "MS", "NMOSD": "MS"}, "one class (MS)"),
        ({"MS": "NMOSD", "NMOSD": "NMOSD"}, "one class (NMOSD)"),
        ({"MS": "", "NMOSD": ""}, "no diagnosis"),
        ({"MS": "MS", "NMOSD": ""}, "one class (MS)"),
    ],
)
def test_what_segments_alone_is_planned_and_the_rest_named(clone, relabelled, labels, said):
    code, output = planned(clone, relabelled(labels), "all", "bundle")
    assert code == 0, output
    assert output.count(f"Left out, since the cohort has {said}: joint, resnet50.") == 1
    assert trained(output) == SEGMENTING
    tables = set(re.findall(r"msnmo.tables --table (\S+) ", output))
    assert tables == {"1", "2", "3", "5", "S1", "S3", "S5"}
    assert "draw_pathway" not in jobs(output)
    assert "calibrate_classes" not in jobs(output)
    commands = re.findall(r"python -m msnmo.tables ([^\n]*)", output)
    of_results = [each for each in commands if "--metrics" in each or "--sites" in each]
    assert of_results
    assert all("--left-out=joint --left-out=resnet50" in each for each in of_results)
    (packed,) = re.findall(r"python -m msnmo.bundle --method (\S+)", output)
    assert packed == "only_seg"


def test_methods_that_all_classify_are_refused_with_a_remedy(clone, relabelled):
    folder = relabelled({"MS": "MS", "NMOSD": "MS"})
    code, output = planned(clone, folder, methods=["joint", "only_cls"])
    assert code == 1
    assert "config: methods" in output
    assert "joint, only_cls, which classify" in output
    assert "name some of unet, vnet, attention_unet, only_seg" in output


def test_what_is_left_out_cannot_be_asked_for_by_its_file(clone, relabelled):
    folder = relabelled({"MS": "MS", "NMOSD": "MS"})
    weights = clone / "one_class/models/joint/fold-0/weights.safetensors"
    code, output = planned(clone, folder, str(weights))
    assert code == 1
    assert "Left out, since the cohort has one class (MS): joint." in output


def test_another_pair_of_labels_is_planned_whole(clone, relabelled):
    folder = relabelled({"MS": "MS", "NMOSD": "MOGAD"})
    code, output = planned(clone, folder, "tables", diagnoses=["MS", "MOGAD"])
    assert code == 0, output
    assert "Left out" not in output
    assert {name for name, _ in trained(output)} == set(FEW["methods"])
    # without the key those rows cannot be used, and the plan says so
    _, output = planned(clone, folder, "tables")
    assert "found:    'MOGAD'" in output
    assert "name them in the config (diagnoses)" in output


def test_the_order_of_labels_is_part_of_what_a_training_follows_from(clone, relabelled):
    folder = relabelled({"MS": "MS", "NMOSD": "NMOSD"})
    digests = []
    for labels in (["MS", "NMOSD"], ["NMOSD", "MS"]):
        script = "print(part_follows_from(Of(fold='0', part='train')))"
        snakefile = clone / "Printing"
        text = (clone / "Snakefile").read_text(encoding="utf-8")
        snakefile.write_text(f"{text}\n{script}\n", encoding="utf-8")
        config = write_config(clone, folder, "order", **FEW, diagnoses=labels)
        code, output = run(clone, config, "--dry-run", "--snakefile", str(snakefile), "check")
        assert code == 0, output
        digests += re.findall(r"^[0-9a-f]{16}$", output, re.MULTILINE)[:1]
    first, second = digests
    assert first != second


def test_a_class_that_the_check_takes_away_stops_trainings_and_names_its_scans(
    clone, relabelled, tmp_path
):
    folder = relabelled({"MS": "MS", "NMOSD": "NMOSD"})
    table = pd.read_csv(folder / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    gone = table["diagnosis"] == "NMOSD"
    table.loc[gone, "flair"] = [str(tmp_path / f"{n}_FLAIR.nii.gz") for n in range(gone.sum())]
    table.to_csv(folder / "scans.tsv", sep="\t", index=False)
    config = write_config(clone, folder, "taken_away", **FEW, on_bad_scan="exclude")
    code, output = run(clone, config, "table_3")
    assert code == 1
    assert "all scans of NMOSD are excluded: sub-NMOSD01_ses-1 (by the check: " in output
    assert "remove the rows of NMOSD from the scan table" in output
    assert "rule train_fold" not in output
    # what tells no classes apart goes on
    config = write_config(clone, folder, "taken_away", methods=["unet"], on_bad_scan="exclude")
    code, output = run(clone, config, "--dry-run", "table_3")
    assert code == 0, output
    assert trained(output) == [("unet", "0"), ("unet", "1")]


@pytest.mark.heavy
def test_open_ms_goes_from_the_importer_to_tables_and_a_bundle_that_is_applied(clone, tmp_path):
    heads = tmp_path / "heads"
    make_cohort(heads, Plan(seed=3, ms=5, nmosd=0, follow_ups=0, stripped=0, min_voxel_mm=4.0))
    flairs = sorted(heads.glob("sub-*/anat/*_FLAIR.nii.gz"))
    for number, flair in enumerate(flairs[:4], start=1):
        patient = tmp_path / f"open_ms_data/cross_sectional/raw/patient{number:02d}"
        patient.mkdir(parents=True)
        flair.rename(patient / "FLAIR.nii.gz")
        next(flair.parent.glob("*lesion*mask.nii.gz")).rename(patient / "consensus_gt.nii.gz")
    importer = [*(sys.executable, "-m", "msnmo.cohort", "open_ms"), tmp_path / "open_ms_data"]
    scans = tmp_path / "ljubljana/scans.tsv"
    subprocess.run([*importer, "--part", "raw", "--out", scans], check=True, timeout=PATIENCE)

    config = write_config(clone, scans.parent, "ljubljana", **FEW)
    code, output = run(clone, config, "all", "bundle")
    assert code == 0, output
    results = clone / "ljubljana"
    metrics = read_tsv(results / "metrics/all.tsv", {"method": str, "metric": str})
    assert set(metrics["method"]) == {"only_seg", "unet"}
    assert not {"ACC", "AUC", "P_NMOSD"} & set(metrics["metric"])
    said = "Left out, since the cohort has one class (MS): joint, resnet50."
    for number in ("3", "5", "S1", "S3", "S5"):
        assert said in (results / f"tables/table-{number}.html").read_text(encoding="utf-8")
    page = (results / "report/index.html").read_text(encoding="utf-8")
    assert said in page
    assert "4, 6, 7, 8, 9" in page
    code, output = run(clone, config, "--dry-run", "all", "bundle")
    assert "Nothing to be done" in output

    command = [sys.executable, "-m", "msnmo.apply", "--bundle", results / "bundle"]
    command += ["--out", tmp_path / "new", flairs[4], "--device", "cpu"]
    subprocess.run(command, check=True, timeout=PATIENCE)
    table = pd.read_csv(tmp_path / "new/predictions.tsv", sep="\t")
    assert "class" not in table
    assert table["lesions"].notna().all()
    (told,) = (tmp_path / "new").rglob("*_run.json")
    assert json.loads(told.read_text())["class"] is None
    assert list((tmp_path / "new").rglob("*_desc-lesion_mask.nii.gz"))
