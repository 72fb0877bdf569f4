"""The hostile cohort, made once."""

import sys
from pathlib import Path

import pytest

# pytest imports test modules one by one: a module that several of them share is found by its folder
sys.path.insert(0, str(Path(__file__).parent))

from hostile import make_hostile_cohort


@pytest.fixture(scope="session")
def hostile(tmp_path_factory):
    """The folder of the cohort and its cases."""
    folder = tmp_path_factory.mktemp("hostile é")
    return folder, make_hostile_cohort(folder)
