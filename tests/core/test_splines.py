"""One axis after the other is what ndimage makes of three at once."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from msnmo.core.splines import zoom

lengths = st.tuples(*[st.integers(1, 24)] * 3)


@pytest.mark.parametrize("order", [1, 3])
@given(before=lengths, after=lengths, seed=st.integers(0, 99))
def test_a_volume_is_resampled_as_by_ndimage(order, before, after, seed):
    data = np.random.default_rng(seed).normal(50, 20, before).astype(np.float32)
    factor = np.array(after) / np.array(before)
    expected = ndimage.zoom(data, factor, order=order, mode="nearest", grid_mode=True)
    found = zoom(data, after, order)
    assert found.dtype == np.float32
    assert found.shape == after
    assert found.flags.c_contiguous
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-5)


@given(before=lengths, after=lengths, seed=st.integers(0, 99))
def test_voxels_of_half_a_mask_fall_on_the_same_side(before, after, seed):
    mask = (np.random.default_rng(seed).random(before) > 0.5).astype(np.float32)
    factor = np.array(after) / np.array(before)
    expected = ndimage.zoom(mask, factor, order=1, mode="nearest", grid_mode=True)
    np.testing.assert_array_equal(zoom(mask, after, 1) >= 0.5, expected >= 0.5)
