"""A tiny demo cohort, made once for all tests of this folder."""

from pathlib import Path

import pytest

from msnmo.demo.anatomy import HeadModel, head_model
from msnmo.demo.cohort import Plan, make_cohort

TINY = Plan(seed=3, ms=4, nmosd=4, follow_ups=1, min_voxel_mm=3.5)


@pytest.fixture(scope="session")
def model() -> HeadModel:
    return head_model(2)


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("demo")
    make_cohort(out, TINY)
    return out
