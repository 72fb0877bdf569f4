"""Tests of equally good methods find a difference as often as they say they do."""

import pytest

from tests.evaluate.statistics.type_one_error import COHORTS, shares


@pytest.mark.heavy
@pytest.mark.parametrize("name", COHORTS)
def test_one_in_twenty_is_called_different_also_where_scans_repeat(name):
    """Of 1000 data sets a true 5 % comes out within 3.1 and 7.1 in 99 of 100 times."""
    found = shares(COHORTS[name], 1, 1000, bootstrap=False)
    assert found["subjects"].between(3.1, 7.1).all(), found["subjects"]
    if COHORTS[name].repeats:
        assert found["scans", "DSC"] > 7.1
