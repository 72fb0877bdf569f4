"""A cluster, and a site: a copy of the workflow with the profile edited as a site would."""

import pytest
import yaml

from msnmo.demo.cohort import Plan, make_cohort
from tests.slurm.cluster import cluster, missing
from tests.workflow.dag import copy_workflow


@pytest.fixture(scope="session")
def slurm(tmp_path_factory):
    """A running cluster."""
    if reason := missing():
        pytest.skip(reason)
    with cluster(tmp_path_factory.mktemp("slurm")) as one:
        yield one


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Eight scans, one subject of each class with two sessions."""
    folder = tmp_path_factory.mktemp("cohort")
    make_cohort(folder, Plan(seed=5, ms=4, nmosd=4, follow_ups=1, min_voxel_mm=3.0), workers=2)
    return folder


@pytest.fixture(scope="session")
def site(tmp_path_factory):
    """The workflow's files, its Slurm profile fitted to a node of two cores."""
    folder = tmp_path_factory.mktemp("site")
    copy_workflow(folder)
    path = folder / "profiles/slurm/config.yaml"
    profile = yaml.safe_load(path.read_text(encoding="utf-8"))
    profile["default-resources"] |= {"mem_mb": "1000 * attempt", "runtime": "5 * attempt"}
    for resources in profile["set-resources"].values():
        resources |= {"mem_mb": "2000 * attempt", "runtime": "10 * attempt"}
        resources["cpus_per_task"] = 1
    # without accounting, squeue alone knows how a job ended
    profile |= {"slurm-status-command": "squeue", "slurm-no-account": True, "latency-wait": 20}
    profile |= {"seconds-between-status-checks": 3, "slurm-init-seconds-before-status-checks": 3}
    path.write_text(yaml.safe_dump(profile, sort_keys=False), encoding="utf-8")
    return folder
