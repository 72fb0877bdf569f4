"""Equations 19 to 21 and AUC against hand-computed cases and the Mann-Whitney statistic."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from msnmo.evaluate.classification import classification_metrics, log_loss

NAN = math.nan


@pytest.mark.parametrize(
    ("nmosd", "p_nmosd", "expected"),
    [
        # TP 2, FN 1, TN 1, FP 1; pairs ranked right: 5 of 6
        (
            [1, 1, 1, 0, 0],
            [0.9, 0.8, 0.4, 0.6, 0.1],
            {"ACC": 3 / 5, "SN": 2 / 3, "SP": 1 / 2, "AUC": 5 / 6},
        ),
        # every probability tied: AUC one half, all called MS
        ([1, 0, 1, 0], [0.5] * 4, {"ACC": 0.5, "SN": 0, "SP": 1, "AUC": 0.5}),
        # one tied pair of four counts half: (1 + 1 + 1/2 + 1) / 4
        ([1, 1, 0, 0], [0.9, 0.6, 0.6, 0.2], {"ACC": 0.75, "SN": 1, "SP": 0.5, "AUC": 3.5 / 4}),
        # one class only: what cannot be computed is undefined, ACC can
        ([1, 1], [0.9, 0.2], {"ACC": 0.5, "SN": 0.5, "SP": NAN, "AUC": NAN}),
        ([0, 0], [0.9, 0.2], {"ACC": 0.5, "SN": NAN, "SP": 0.5, "AUC": NAN}),
    ],
)
def test_hand_computed(nmosd, p_nmosd, expected):
    found = classification_metrics(np.array(nmosd, bool), np.array(p_nmosd))
    assert found == pytest.approx(expected, nan_ok=True)


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        # few distinct probabilities, so that ties are frequent
        st.tuples(st.booleans(), st.sampled_from([0.0, 0.2, 0.5, 0.50001, 0.9, 1.0])),
        min_size=1,
        max_size=20,
    )
)
def test_equals_counting(scans):
    nmosd, p_nmosd = (np.array(column) for column in zip(*scans, strict=True))
    called = p_nmosd > 0.5
    tp, tn = (called & nmosd).sum(), (~called & ~nmosd).sum()
    fp, fn = (called & ~nmosd).sum(), (~called & nmosd).sum()
    found = classification_metrics(nmosd, p_nmosd)
    assert found["ACC"] == pytest.approx((tp + tn) / (tp + tn + fp + fn))
    if nmosd.any():
        assert found["SN"] == pytest.approx(tp / (tp + fn))
    if not nmosd.all():
        assert found["SP"] == pytest.approx(tn / (tn + fp))
    if nmosd.any() and not nmosd.all():
        statistic = mannwhitneyu(p_nmosd[nmosd], p_nmosd[~nmosd]).statistic
        assert found["AUC"] == pytest.approx(statistic / (nmosd.sum() * (~nmosd).sum()))


def test_log_loss_is_that_of_the_true_class_and_stays_finite():
    found = log_loss(np.array([True, False, True]), np.array([0.5, 0.2, 0.0]))
    assert found == pytest.approx([math.log(2), -math.log(0.8), -math.log(5e-7)])
