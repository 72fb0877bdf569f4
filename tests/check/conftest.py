"""The hostile cohort, made once."""

import pytest

from tests.check.hostile import make_hostile_cohort


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The folder of the cohort and its cases."""
    folder = tmp_path_factory.mktemp("hostile é")
    return folder, make_hostile_cohort(folder)
