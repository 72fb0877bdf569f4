"""The numbers of a scan, worked out by hand, and each rule on both its sides."""

from dataclasses import replace

import numpy as np
import pytest

from msnmo.core.grid import Grid
from msnmo.quality.numbers import RULES, Arrays, bias_field, flags_of, measure

SHAPE = (30, 32, 20)
# half a millilitre a voxel, thick slices along k
GRID = Grid.from_affine(SHAPE, np.diag([10.0, 10, 5, 1]))


@pytest.fixture
def arrays():
    brain = np.zeros(SHAPE, bool)
    brain[5:25, 5:25, 4:16] = True
    field = np.linspace(1.0, 2.0, SHAPE[0], dtype=np.float32)[:, None, None] * np.ones(SHAPE)
    corrected = np.where(brain, 100.0, 0.0).astype(np.float32)
    lesion = np.zeros(SHAPE, bool)
    lesion[10:12, 10, 10] = True
    lesion[12, 11, 11] = True  # touches the first at a corner: one lesion
    lesion[20, 20, 14] = True
    model = np.zeros((16, 16, 16), np.float32)
    model[2:14, 2:14, 2:14] = np.random.default_rng(0).normal(0, 1, (12, 12, 12))
    model_lesion = np.zeros(model.shape, bool)
    model_lesion[5:8, 5:8, 5:8] = True
    model[model_lesion] = 3.0
    flair = (corrected * field).astype(np.float32)
    return Arrays(flair, corrected, brain, GRID, model, lesion, model_lesion)


def test_numbers_by_hand(arrays):
    numbers = measure(arrays)
    assert numbers["brain_ml"] == 20 * 20 * 12 * 0.5
    assert numbers["lesion_ml"] == 4 * 0.5
    assert numbers["lesion_count"] == 2
    assert numbers["lesion_outside_ml"] == 0
    field = bias_field(arrays)[arrays.brain]
    assert numbers["bias_range"] == pytest.approx(
        np.percentile(field, 99) / np.percentile(field, 1), abs=1e-4
    )
    assert 1.5 < numbers["bias_range"] < 2
    rest = arrays.model[(arrays.model != 0) & ~arrays.model_lesion]
    assert numbers["contrast"] == pytest.approx((3 - rest.mean()) / rest.std(), abs=1e-3)
    assert (numbers["z_min"], numbers["z_max"]) == pytest.approx(
        (arrays.model.min(), arrays.model.max()), abs=1e-4
    )
    assert numbers["brain_apart"] == numbers["brain_cut"] == 0


def test_a_scan_without_a_mask_has_no_lesion_numbers_and_no_lesion_flag(arrays):
    numbers = measure(replace(arrays, lesion=None, model_lesion=None))
    assert numbers["lesion_ml"] is numbers["contrast"] is numbers["lesion_count"] is None
    assert not set(flags_of(numbers)) & {"no lesion", "lesions outside", "lesions not bright"}


def test_pieces_and_cut_off_brains_are_measured(arrays):
    apart = arrays.brain.copy()
    apart[0:2, 0:2, 0:2] = True
    assert measure(replace(arrays, brain=apart))["brain_apart"] == pytest.approx(8 / 4808, abs=1e-4)
    through = arrays.brain.copy()
    through[5:25, 5:25] = True  # to the first and last slice: usual where slices are thick
    thick = Grid.from_affine(SHAPE, np.diag([5.0, 5, 10, 1]))
    assert measure(replace(arrays, brain=through, native=thick))["brain_cut"] == 0
    sideways = arrays.brain.copy()
    sideways[:25] |= sideways[5]
    assert measure(replace(arrays, brain=sideways, native=thick))["brain_cut"] > 0.05


FINE = {
    "brain_ml": 1300,
    "brain_apart": 0,
    "brain_cut": 0,
    "bias_range": 1.7,
    "z_min": -4,
    "z_max": 8,
    "lesion_ml": 10,
    "lesion_count": 12,
    "lesion_outside_ml": 0.1,
    "contrast": 1.4,
}


@pytest.mark.parametrize(
    ("rule", "changes"),
    [
        ("small brain", {"brain_ml": 899}),
        ("large brain", {"brain_ml": 1901}),
        ("brain in pieces", {"brain_apart": 0.011}),
        ("brain cut off", {"brain_cut": 0.021}),
        ("strong bias", {"bias_range": 3.1}),
        ("bright spot", {"z_max": 15.1}),
        ("dark spot", {"z_min": -10.1}),
        ("no lesion", {"lesion_ml": 0, "contrast": None}),
        ("lesions outside", {"lesion_outside_ml": 0.51}),
        ("lesions not bright", {"contrast": 0.49}),
    ],
)
def test_each_rule_flags_what_it_says_and_nothing_else(rule, changes):
    assert flags_of(FINE) == []
    assert flags_of(FINE | changes) == [rule]


def test_every_rule_is_tested():
    (mark,) = test_each_rule_flags_what_it_says_and_nothing_else.pytestmark
    assert [rule for rule, _ in mark.args[1]] == [rule.name for rule in RULES]
