"""A copy of the workflow, on a disk of its own, whose jobs can be disturbed at a chosen moment."""

import shutil
import subprocess

import pytest

from msnmo.demo.cohort import Plan, make_cohort
from tests.faults.disturbed import Site, contents
from tests.faults.injection import HOOK
from tests.workflow.dag import copy_workflow, write_config

DISK = 100 * 2**20


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The copy, run once without a fault; its results on a small disk, if mounting is allowed."""
    folder = tmp_path_factory.mktemp("faults")
    copy_workflow(folder)
    files = folder / "src/msnmo/core/files.py"
    files.write_text(files.read_text(encoding="utf-8") + HOOK, encoding="utf-8")
    plan = Plan(seed=5, ms=2, nmosd=3, follow_ups=0, stripped=0, min_voxel_mm=4.0)
    table = make_cohort(folder / "cohort", plan)
    # one scan to apply the bundle to
    table.loc[table["subject"] == "NMOSD03", ["diagnosis", "lesion_mask"]] = None
    table.to_csv(folder / "cohort/scans.tsv", sep="\t", index=False, na_rep="n/a")
    train = {"epochs": 2, "learning_rate": 1.0e-3}
    changed = {"methods": ["joint"], "train": train, "apply": {"locations": True}}
    results = "disk/results"
    for name in ("marks", "disk"):
        (folder / name).mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", folder / "disk"]
    mounted = subprocess.run(mount, check=False, capture_output=True).returncode == 0
    config = write_config(folder, folder / "cohort", results, **changed)
    one = Site(folder, config, mounted)
    try:
        code, output = one.run()
        assert code == 0, output[-4000:]
        one.undisturbed = contents(one.results)
        yield one
    finally:
        if mounted:
            subprocess.run(["umount", "--lazy", folder / "disk"], check=True)


@pytest.fixture
def kept(site):
    """The site; results and what Snakemake knows of them are put back after the test."""
    folders = [site.results, site.folder / ".snakemake"]
    copies = [site.folder / "kept" / folder.name for folder in folders]
    for folder, copy in zip(folders, copies, strict=True):
        shutil.copytree(folder, copy, copy_function=shutil.copy2)
    yield site
    for folder, copy in zip(folders, copies, strict=True):
        shutil.rmtree(folder)
        shutil.copytree(copy, folder, copy_function=shutil.copy2)
    shutil.rmtree(site.folder / "kept")
