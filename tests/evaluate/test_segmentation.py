"""Equations 15 to 18 against hand-computed cases, scikit-learn and the empty-mask rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn.metrics import f1_score, precision_score, recall_score

from msnmo.evaluate.segmentation import overlap_metrics

NAN = math.nan


def mask(voxels: str) -> np.ndarray:
    return np.array([character == "1" for character in voxels]).reshape(-1, 1, 1)


@pytest.mark.parametrize(
    ("prediction", "truth", "expected"),
    [
        # 3 predicted, 4 true, 2 in both
        ("11100000", "01111000", {"DSC": 4 / 7, "PPV": 2 / 3, "TPR": 2 / 4, "VD": 1 / 4}),
        # more than twice the volume: VD exceeds 1
        ("11111000", "11000000", {"DSC": 4 / 7, "PPV": 2 / 5, "TPR": 1, "VD": 3 / 2}),
        # equal volumes that do not touch: VD 0 is no overlap
        ("11000000", "00000011", {"DSC": 0, "PPV": 0, "TPR": 0, "VD": 0}),
        ("01100000", "01100000", {"DSC": 1, "PPV": 1, "TPR": 1, "VD": 0}),
        # the rule for empty masks
        ("00000000", "00000000", {"DSC": 1, "PPV": 1, "TPR": 1, "VD": 0}),
        ("00000000", "01100000", {"DSC": 0, "PPV": 0, "TPR": 0, "VD": 1}),
        ("01100000", "00000000", {"DSC": 0, "PPV": 0, "TPR": NAN, "VD": NAN}),
    ],
)
def test_hand_computed(prediction, truth, expected):
    found = overlap_metrics(mask(prediction), mask(truth))
    assert found == pytest.approx(expected, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(
    prediction=hnp.arrays(bool, (3, 4, 5)),
    truth=hnp.arrays(bool, (3, 4, 5), elements=st.sampled_from([False, False, True])),
)
def test_equals_scikit_learn_and_numpy(prediction, truth):
    found = overlap_metrics(prediction, truth)
    if not (prediction.any() and truth.any()):
        return
    flat = truth.ravel(), prediction.ravel()
    assert found == pytest.approx(
        {
            "DSC": f1_score(*flat),
            "PPV": precision_score(*flat),
            "TPR": recall_score(*flat),
            "VD": abs(prediction.mean() - truth.mean()) / truth.mean(),
        }
    )


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(bool, (2, 3, 4)), hnp.arrays(bool, (2, 3, 4)))
def test_dice_is_symmetric_and_swaps_ppv_with_tpr(one, other):
    forth, back = overlap_metrics(one, other), overlap_metrics(other, one)
    assert forth["DSC"] == back["DSC"]
    if one.any() and other.any():
        assert forth["PPV"] == back["TPR"]


def test_counts_do_not_overflow():
    """160^3 voxels twice: sums in uint8 or int16 would wrap."""
    whole = np.ones((160, 160, 160), bool)
    half = whole.copy()
    half[80:] = False
    expected = {"DSC": 2 / 3, "PPV": 1.0, "TPR": 0.5, "VD": 0.5}
    assert overlap_metrics(half, whole) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("prediction", "truth"),
    [
        (np.zeros((2, 2, 2), bool), np.zeros((2, 2, 1), bool)),
        (np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 2), bool)),
    ],
)
def test_refuses_other_shapes_and_types(prediction, truth):
    with pytest.raises(ValueError, match="bool and of one shape"):
        overlap_metrics(prediction, truth)
