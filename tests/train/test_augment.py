from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from msnmo.settings.training import AugmentSettings
from msnmo.train.augment import Augmentation, augment, draw

SETTINGS = AugmentSettings()
AXES = st.integers(0, 2)


def _smooth(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    noise = np.random.default_rng(seed).normal(size=shape)
    return ndimage.gaussian_filter(noise, 2).astype(np.float32)


def _apply(image: np.ndarray, lesion: np.ndarray, how: Augmentation) -> tuple[np.ndarray, ...]:
    pair = torch.from_numpy(image)[None], torch.from_numpy(lesion.astype(np.float32))[None]
    return tuple(each[0].numpy() for each in augment(*pair, how))


@given(AXES, st.tuples(*[st.integers(2, 6)] * 3))
def test_a_flip_reverses_one_axis_of_image_and_mask(axis: int, shape: tuple[int, ...]) -> None:
    image = np.random.default_rng(1).normal(size=shape).astype(np.float32)
    flipped, mask = _apply(image, image > 0, Augmentation(flip_axis=axis))
    np.testing.assert_array_equal(flipped, np.flip(image, axis))
    np.testing.assert_array_equal(mask, np.flip(image > 0, axis))


@given(AXES, st.sampled_from([-180, -90, 90, 180]))
def test_a_right_angle_moves_whole_voxels(axis: int, degrees: int) -> None:
    image = np.random.default_rng(2).normal(size=(6, 6, 6)).astype(np.float32)
    plane = tuple(other for other in range(3) if other != axis)
    turned, mask = _apply(image, image > 0, Augmentation(rotation_axis=axis, degrees=degrees))
    expected = np.rot90(image, degrees // 90, axes=plane)
    np.testing.assert_allclose(turned, expected, atol=1e-5)
    np.testing.assert_array_equal(mask, expected > 0)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_rotation_is_scipys_by_the_same_angle(axis: int) -> None:
    """Linear sampling on both sides; the volume is no cube, so a shear would show."""
    image = _smooth((24, 20, 28))
    plane = tuple(other for other in range(3) if other != axis)
    turned, _ = _apply(image, image > 0, Augmentation(rotation_axis=axis, degrees=13.0))
    expected = ndimage.rotate(image, 13.0, axes=plane, reshape=False, order=1)
    inside = (slice(5, -5),) * 3
    np.testing.assert_allclose(turned[inside], expected[inside], atol=1e-4)


@given(AXES, st.floats(-15, 15), st.none() | AXES)
def test_image_and_mask_move_together_and_the_mask_stays_binary(
    axis: int, degrees: float, flip: int | None
) -> None:
    ball = ((np.indices((24, 24, 24)).T - [8, 14, 11]) ** 2).sum(axis=-1).T <= 16
    how = Augmentation(flip_axis=flip, rotation_axis=axis, degrees=degrees)
    image, mask = _apply(ball.astype(np.float32), ball, how)
    assert set(np.unique(mask)) == {0.0, 1.0}
    distance = np.subtract(ndimage.center_of_mass(image), ndimage.center_of_mass(mask))
    assert np.abs(distance).max() < 0.4
    # the image's half-height contour is the mask's border, but for the rounding of nearest voxels
    assert np.mean((image > 0.5) != (mask > 0)) < 0.01


@pytest.mark.parametrize("background", [0.0, -3.5])
def test_what_turns_in_from_outside_is_background(background: float) -> None:
    """Z-score over the whole volume leaves the background below 0."""
    image = np.full((16, 16, 16), background, dtype=np.float32)
    image[4:12, 4:12, 4:12] = 2.0
    turned, _ = _apply(image, image > 0, Augmentation(rotation_axis=0, degrees=15.0))
    np.testing.assert_allclose(turned[:, 0, :], background)
    assert turned.min() >= background


@given(st.integers(0, 2**32 - 1), st.floats(0, 180))
def test_drawn_values_are_in_range_and_follow_from_the_seed(seed: int, limit: float) -> None:
    settings = AugmentSettings(rotation_degrees=limit)
    how = draw(settings, seed)
    assert how == draw(settings, seed)
    assert abs(how.degrees) <= limit
    assert how.flip_axis in {None, 0, 1, 2}
    assert how.rotation_axis in {None, 0, 1, 2}
    assert how.rotation_axis is not None or how.degrees == 0


def test_probabilities_axes_and_angles_are_the_papers() -> None:
    drawn = [draw(SETTINGS, seed) for seed in range(3000)]
    flips = Counter(how.flip_axis for how in drawn)
    turns = Counter(how.rotation_axis for how in drawn)
    for counts in (flips, turns):
        assert counts[None] == pytest.approx(1500, abs=120)
        assert all(counts[axis] == pytest.approx(500, abs=90) for axis in range(3))
    angles = np.array([how.degrees for how in drawn if how.rotation_axis is not None])
    # uniform over -15 to 15: mean 0, standard deviation 15 / sqrt(3)
    assert np.mean(angles) == pytest.approx(0, abs=0.8)
    assert np.std(angles) == pytest.approx(15 / np.sqrt(3), rel=0.05)


def test_probability_0_leaves_a_scan_as_it_is_and_1_never_does() -> None:
    never = AugmentSettings(flip_probability=0, rotation_probability=0)
    always = AugmentSettings(flip_probability=1, rotation_probability=1)
    for seed in range(50):
        assert draw(never, seed) == Augmentation()
        assert draw(always, seed).flip_axis is not None
        assert draw(always, seed).rotation_axis is not None
