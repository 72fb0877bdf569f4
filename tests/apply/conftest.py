"""Heads and a bundle, and modules of other folders that these tests need."""

import pytest

from msnmo.demo.cohort import Plan, make_cohort
from tests.bundle.made import bundle, config, make_bundle, training  # noqa: F401


@pytest.fixture(scope="session")
def heads(tmp_path_factory):
    """Files of two small heads, stored in two orders, in a path with a space."""
    folder = tmp_path_factory.mktemp("new heads é")
    make_cohort(folder, Plan(seed=7, ms=1, nmosd=1, follow_ups=0, stripped=0, min_voxel_mm=4.0))
    return sorted(folder.rglob("*_FLAIR.nii.gz"))
