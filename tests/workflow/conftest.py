"""A cohort, and a copy of the workflow to run on it."""

import pytest

from msnmo.demo.cohort import Plan, make_cohort
from tests.workflow.dag import copy_workflow
from tests.workflow.imported import record_imports


@pytest.fixture(scope="session")
def cohort(tmp_path_factory):
    """Six scans, one subject of each class with two sessions, in a path with a space."""
    folder = tmp_path_factory.mktemp("a cohort é")
    make_cohort(folder, Plan(seed=5, ms=3, nmosd=3, follow_ups=1, min_voxel_mm=3.0), workers=2)
    return folder


@pytest.fixture(scope="session")
def clone(tmp_path_factory):
    """The workflow's files in a folder of their own, so that no run locks the repository.

    Its jobs tell what they import.
    """
    folder = tmp_path_factory.mktemp("clone")
    copy_workflow(folder)
    record_imports(folder)
    return folder
