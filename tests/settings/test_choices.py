"""The choices of the config are those of the modules that they go to."""

from typing import get_args

import pytest

from msnmo.check.accept import OnBadScan
from msnmo.cohort.balance import Split
from msnmo.compute.device import Choice
from msnmo.core.geometry import MaskRule, Mode
from msnmo.preprocess.raters import How
from msnmo.preprocess.zscore import Over
from msnmo.settings.config import Config
from msnmo.settings.findings import keys_of


# the modules have them again, so that a new description of a key reruns no preprocessing
@pytest.mark.parametrize(
    ("key", "choices"),
    [
        ("on_bad_scan", OnBadScan),
        ("lesion_masks.combine", How),
        ("resize.mode", Mode),
        ("resize.mask", MaskRule),
        ("zscore.over", Over),
        ("folds.split", Split),
        ("compute.device", Choice),
    ],
)
def test_the_choices_of_a_key_are_those_of_its_module(key, choices):
    assert set(dict(keys_of(Config.rules()))[key]["enum"]) == set(get_args(choices))
