"""The real DAG on a tiny cohort: it ends, it is reproducible, and it survives being killed."""

import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

import nibabel as nib
import numpy as np
import pandas as pd
import psutil
import pytest
import yaml

from msnmo.demo.cohort import Plan, make_cohort

ROOT = Path(__file__).parents[2]
SNAKEMAKE = [sys.executable, "-m", "snakemake"]
MICRO = {
    "methods": ["joint"],
    "n4": {"iterations": [5], "tolerance": 1.0e-3},
    "resize": {"size": [32, 32, 32]},
    "folds": {"k": 2},
    "model": {"base_channels": 8},
    "train": {"epochs": 5, "learning_rate": 1.0e-3},
    "compute": {"device": "cpu", "threads": 1},
    "skull_strip": {"engine": "surface"},
}


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Eight scans, one subject of each class with two sessions, in a path with a space."""
    folder = tmp_path_factory.mktemp("a cohort é")
    make_cohort(folder, Plan(seed=5, ms=4, nmosd=4, follow_ups=1, min_voxel_mm=3.0), workers=2)
    return folder


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """The workflow's files in a folder of their own, so that no run locks the repository."""
    folder = tmp_path_factory.mktemp("clone")
    for name in ("Snakefile", "config.yaml", "workflow", "profiles", "envs", "src"):
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, folder / name)
    return folder


def write_config(clone, cohort, results):
    config = MICRO | {"scans": str(cohort / "scans.tsv"), "results": str(clone / results)}
    path = clone / f"{results}.yaml"
    path.write_text(yaml.safe_dump(config, allow_unicode=True), encoding="utf-8")
    return path


def start(clone, config, *arguments):
    command = [*SNAKEMAKE, "--configfile", str(config), "--cores", "2", *arguments]
    return subprocess.Popen(
        command,
        cwd=clone,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )


def run(clone, config, *arguments):
    process = start(clone, config, *arguments)
    output, _ = process.communicate(timeout=600)
    return process.returncode, output


def tables(clone, results):
    folder = clone / results / "tables"
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def undisturbed(clone, cohort):
    config = write_config(clone, cohort, "undisturbed")
    code, output = run(clone, config)
    assert code == 0, output
    return clone / "undisturbed", config


def test_every_result_is_there(undisturbed):
    results, _ = undisturbed
    assert sorted(tables(results.parent, "undisturbed")) == sorted(
        f"table-{number}.{ending}"
        for number in range(3, 10)
        for ending in ("tsv", "md", "tex", "html")
    )
    metrics = pd.read_csv(results / "metrics/all.tsv", sep="\t")
    assert set(metrics["metric"]) >= {"DSC", "PPV", "TPR", "VD", "ACC", "SN", "SP", "AUC"}
    assert metrics.dropna(subset="scan")["scan"].nunique() == 8
    assert (results / "figures/pathway.png").stat().st_size > 10_000
    assert len(list((results / "figures/mosaic").rglob("*.png"))) == 8
    history = pd.read_csv(results / "models/joint/fold-0/history.tsv", sep="\t")
    assert len(history) == MICRO["train"]["epochs"]


def test_native_masks_lie_on_the_scans_own_grid(undisturbed, cohort):
    results, _ = undisturbed
    scans = pd.read_csv(results / "cohort.tsv", sep="\t")
    folds = pd.read_csv(results / "folds.tsv", sep="\t").set_index("scan")["fold"]
    for row in scans.itertuples():
        scan = nib.load(row.flair)
        folder = results / f"predictions/joint/fold-{folds[row.scan]}"
        mask = nib.load(folder / f"{row.scan}_desc-lesion_mask.nii.gz")
        assert mask.shape == scan.shape
        np.testing.assert_allclose(mask.affine, scan.affine, atol=1e-6)
        assert mask.header["sform_code"] == scan.header["sform_code"]
        assert mask.header["qform_code"] == scan.header["qform_code"]
        assert mask.get_data_dtype() == np.uint8


def test_each_scan_says_which_engine_made_its_brain_mask(undisturbed):
    results, _ = undisturbed
    sidecars = sorted((results / "derivatives").rglob("*_desc-brain_FLAIR.json"))
    assert len(sidecars) == 8
    assert all(json.loads(path.read_text())["skullstrip"]["engine"] for path in sidecars)


def test_a_second_run_does_nothing(undisturbed):
    results, config = undisturbed
    code, output = run(results.parent, config)
    assert code == 0
    assert "Nothing to be done" in output


def test_a_comment_in_the_code_reruns_nothing(undisturbed):
    results, config = undisturbed
    module = results.parent / "src/msnmo/n4.py"
    module.write_text(module.read_text() + "\n# a comment\n")
    code, output = run(results.parent, config, "--dry-run")
    assert code == 0
    assert "Nothing to be done" in output


def test_a_deleted_fold_reruns_that_fold_and_what_follows(undisturbed):
    results, config = undisturbed
    weights = results / "models/joint/fold-1/weights.safetensors"
    moved = weights.with_name("moved")
    weights.rename(moved)
    try:
        _, output = run(results.parent, config, "--dry-run")
    finally:
        moved.rename(weights)
    counts = dict(re.findall(r"^(\w+) +(\d+)$", output, flags=re.MULTILINE))
    assert counts["train_fold"] == counts["predict_fold"] == counts["evaluate_fold"] == "1"
    assert "zscore_scan" not in counts


def kill_when_running(process, module, clone):
    """Kill -9 the first job that runs a module, as the kernel or a scheduler would."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and process.poll() is None:
        jobs = [job for job in psutil.process_iter(["cmdline"]) if runs(job, module, clone)]
        if killable := [job for job in jobs if ready(module, job)]:
            killable[0].kill()
            return
        time.sleep(0.05)
    pytest.fail(f"{module} never ran")


def runs(job, module, clone):
    command = job.info["cmdline"] or []
    return command[1:3] == ["-m", module] and any(str(clone) in part for part in command)


def ready(module, job):
    """Let the training finish an epoch first, so that it has a checkpoint to go on from."""
    if module != "msnmo.train":
        return True
    command = job.info["cmdline"]
    return Path(command[command.index("--checkpoint") + 1]).is_file()


def test_killed_steps_and_a_killed_write_end_with_the_same_tables(undisturbed, clone, cohort):
    config = write_config(clone, cohort, "disturbed")
    for module in ("msnmo.n4", "msnmo.train"):
        process = start(clone, config)
        kill_when_running(process, module, clone)
        output, _ = process.communicate(timeout=600)
        assert process.returncode == 1, output
    half_written = clone / "disturbed/metrics/.tmp-killed-fold-0.tsv"
    half_written.parent.mkdir(parents=True, exist_ok=True)
    half_written.write_text("method\tfo")
    code, output = run(clone, config)
    assert code == 0, output
    assert tables(clone, "disturbed") == tables(clone, "undisturbed")
    runs = [json.loads(path.read_text()) for path in (clone / "disturbed/models").rglob("run.json")]
    assert any(record["resumed_from"] for record in runs)
    for fold in (0, 1):
        name = f"models/joint/fold-{fold}/weights.safetensors"
        assert (clone / "disturbed" / name).read_bytes() == (
            clone / "undisturbed" / name
        ).read_bytes()


def test_a_bad_scan_is_named_and_the_others_go_on(clone, cohort, tmp_path):
    bad = tmp_path / "cohort"
    shutil.copytree(cohort, bad)
    table = pd.read_csv(bad / "scans.tsv", sep="\t", dtype=str, keep_default_na=False)
    broken = bad / table["flair"].iloc[0]
    broken.write_bytes(broken.read_bytes()[:20_000])
    config = write_config(clone, bad, "with_bad_scan")
    code, output = run(clone, config, "preprocess")
    assert code == 1
    assert str(broken) in output
    assert "truncated" in output
    done = list((clone / "with_bad_scan/derivatives").rglob("*desc-zscore_FLAIR.nii.gz"))
    assert len(done) == 7
    assert not list((clone / "with_bad_scan").rglob(".tmp-*"))


def test_a_wrong_table_stops_before_anything_runs(clone, cohort, tmp_path):
    table = (cohort / "scans.tsv").read_text().replace("NMOSD\t", "nmosd\t")
    (tmp_path / "scans.tsv").write_text(table)
    config = write_config(clone, tmp_path, "wrong")
    code, output = run(clone, config, "--dry-run")
    assert code == 1
    assert "scans.tsv, row" in output
    assert not (clone / "wrong").exists()
