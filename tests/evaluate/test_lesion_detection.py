"""Lesion-wise metrics, distances and volumes, against cases worked out by hand."""

import math
import time

import numpy as np
import pytest
from scipy.spatial.distance import cdist
from scipy.stats import hmean

from msnmo.core.grid import Grid
from msnmo.evaluate import lesion_detection
from msnmo.evaluate.lesion_detection import (
    Lesions,
    diagonal_mm,
    distance_metrics,
    volume_correlation,
    volume_metrics,
)

ANISOTROPIC = Grid.from_affine((12, 12, 12), np.diag([1.0, 2.0, 5.0, 1.0]))


def mask(*boxes, shape=(12, 12, 12)):
    """A mask of boxes given by their first and last voxels."""
    volume = np.zeros(shape, dtype=bool)
    for first, last in boxes:
        volume[tuple(slice(a, b + 1) for a, b in zip(first, last, strict=True))] = True
    return volume


def lesion_metrics(prediction, truth, smallest_mm3=0.0):
    """Of voxels of 10 mm3, each of which counts unless it is said otherwise."""
    return lesion_detection.lesion_metrics(prediction, truth, ANISOTROPIC, smallest_mm3)


def test_lesions_are_counted_by_touch():
    """Three true lesions, two of them touched; three predicted, one of them beside the truth."""
    truth = mask(((0, 0, 0), (2, 2, 2)), ((5, 5, 5), (6, 6, 6)), ((9, 9, 9), (9, 9, 9)))
    prediction = mask(((2, 2, 2), (3, 3, 3)), ((6, 6, 6), (7, 7, 7)), ((0, 9, 0), (1, 9, 0)))
    metrics = lesion_metrics(prediction, truth)
    assert metrics["LTPR"] == pytest.approx(2 / 3)
    assert metrics["LFPR"] == pytest.approx(1 / 3)
    assert metrics["LF1"] == pytest.approx(2 / 3)


def test_voxels_that_touch_by_a_corner_are_one_lesion():
    truth = mask(((0, 0, 0), (1, 1, 1)), ((2, 2, 2), (3, 3, 3)))
    prediction = mask(((0, 0, 0), (0, 0, 0)))
    assert lesion_metrics(prediction, truth)["LTPR"] == 1
    apart = mask(((0, 0, 0), (1, 1, 1)), ((3, 3, 3), (4, 4, 4)))
    assert lesion_metrics(prediction, apart)["LTPR"] == 0.5


def test_one_predicted_lesion_may_find_several():
    truth = mask(((0, 0, 0), (1, 1, 1)), ((6, 0, 0), (7, 1, 1)))
    assert lesion_metrics(mask(((0, 0, 0), (7, 0, 0))), truth) == {"LTPR": 1, "LFPR": 0, "LF1": 1}


def test_lesions_below_the_smallest_volume_are_not_counted():
    """Of 10, 20 and 80 mm3, found, missed and found; of 10 and 20 mm3, both wrong."""
    truth = mask(((0, 0, 0), (0, 0, 0)), ((4, 0, 0), (5, 0, 0)), ((0, 5, 0), (7, 5, 0)))
    wrong = (((9, 9, 9), (9, 9, 9)), ((9, 5, 9), (10, 5, 9)))
    prediction = mask(((0, 0, 0), (0, 0, 0)), ((0, 5, 0), (7, 5, 0)), *wrong)
    every = lesion_metrics(prediction, truth, 10.0)
    assert every == lesion_metrics(prediction, truth)
    assert (every["LTPR"], every["LFPR"]) == pytest.approx((2 / 3, 2 / 4))
    # the second rate is of the lesions of 20 and 80 mm3
    some = lesion_metrics(prediction, truth, 10.001)
    assert (some["LTPR"], some["LFPR"]) == pytest.approx((1 / 2, 1 / 2))
    assert lesion_metrics(prediction, truth, 20.0) == some
    assert lesion_metrics(prediction, truth, 80.0) == {"LTPR": 1, "LFPR": 0, "LF1": 1}
    # none is left on either side
    assert lesion_metrics(prediction, truth, 81.0) == {"LTPR": 1, "LFPR": 0, "LF1": 1}


def test_what_is_too_small_to_count_still_touches():
    small, large = mask(((3, 3, 3), (3, 3, 3))), mask(((3, 3, 3), (5, 5, 5)))
    # a lesion is found by a voxel, and a mask on a lesion that does not count is not wrong
    assert lesion_metrics(small, large, 20.0)["LTPR"] == 1
    assert lesion_metrics(large, small, 20.0) == {"LTPR": 1, "LFPR": 0, "LF1": 1}
    beside = large | mask(((9, 9, 9), (10, 9, 9)))
    expected = {"LTPR": math.nan, "LFPR": 0.5, "LF1": 0}
    assert lesion_metrics(beside, small, 20.0) == pytest.approx(expected, nan_ok=True)


def test_the_rounding_of_a_header_does_not_leave_a_lesion_out():
    affine = np.diag([0.99999994, 0.9999999, 1.0, 1.0])
    lesions = Lesions.of_mask(mask(((0, 0, 0), (2, 0, 0))), Grid.from_affine((12, 12, 12), affine))
    assert lesions.volumes_mm3.tolist() == [3.0]


@pytest.mark.parametrize("seed", range(5))
def test_lf1_is_the_harmonic_mean_of_ltpr_and_of_what_lfpr_lacks_of_1(seed):
    rng = np.random.default_rng(seed)
    truth, prediction = rng.random((2, 12, 12, 12)) < 0.02
    metrics = lesion_metrics(prediction, truth)
    assert metrics["LFPR"] > 0
    assert metrics["LF1"] == pytest.approx(hmean([metrics["LTPR"], 1 - metrics["LFPR"]]))


NOTHING, SOMETHING = mask(), mask(((3, 3, 3), (4, 4, 4)))
# of 12 x 12 x 12 voxels of 1 x 2 x 5 mm
DIAGONAL = (12**2 + 24**2 + 60**2) ** 0.5


@pytest.mark.parametrize(
    ("prediction", "truth", "lesions", "distance"),
    [
        (NOTHING, NOTHING, {"LTPR": 1, "LFPR": 0, "LF1": 1}, 0),
        (NOTHING, SOMETHING, {"LTPR": 0, "LFPR": 0, "LF1": 0}, DIAGONAL),
        (SOMETHING, NOTHING, {"LTPR": math.nan, "LFPR": 1, "LF1": 0}, DIAGONAL),
        (SOMETHING, SOMETHING, {"LTPR": 1, "LFPR": 0, "LF1": 1}, 0),
    ],
)
def test_empty_masks_follow_the_stated_rule(prediction, truth, lesions, distance):
    assert lesion_metrics(prediction, truth) == pytest.approx(lesions, nan_ok=True)
    expected = {"HD95": distance, "ASD": distance}
    distances = distance_metrics(prediction, truth, ANISOTROPIC)
    assert distances == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(("axis", "size"), [(0, 1.0), (1, 2.0), (2, 5.0)])
def test_distances_are_in_millimetres_along_each_axis(axis, size):
    one = mask(((2, 2, 2), (2, 2, 2)))
    metrics = distance_metrics(np.roll(one, 3, axis), one, ANISOTROPIC)
    assert metrics == pytest.approx({"HD95": 3 * size, "ASD": 3 * size})


def test_to_predict_nothing_is_worse_than_any_prediction():
    """Even the voxel that lies farthest from the lesion."""
    lesion, farthest = mask(((0, 0, 0), (0, 0, 0))), mask(((11, 11, 11), (11, 11, 11)))
    far = distance_metrics(farthest, lesion, ANISOTROPIC)
    nothing = distance_metrics(NOTHING, lesion, ANISOTROPIC)
    assert far["HD95"] < nothing["HD95"]
    assert far["ASD"] < nothing["ASD"]


def test_the_penalty_is_that_of_brats_on_its_grid():
    grid = Grid.from_affine((240, 240, 155), np.eye(4))
    assert diagonal_mm(grid) == pytest.approx(373.12866, abs=1e-5)


def surface(volume, grid):
    """Voxels with a neighbour outside by a side, in mm."""
    wide = np.pad(volume, 1)
    inner = np.ones_like(volume)
    for axis in range(3):
        for step in (-1, 1):
            inner &= np.roll(wide, step, axis)[1:-1, 1:-1, 1:-1]
    return np.argwhere(volume & ~inner) * grid.voxel_mm


@pytest.mark.parametrize("seed", range(5))
def test_distances_are_those_of_all_pairs_of_surface_voxels(seed):
    rng = np.random.default_rng(seed)
    volumes = []
    for _ in range(2):
        corners = rng.integers(0, 8, (3, 3))
        volumes.append(mask(*((corner, corner + rng.integers(1, 4, 3)) for corner in corners)))
    distances = cdist(*(surface(volume, ANISOTROPIC) for volume in volumes))
    there, back = distances.min(axis=1), distances.min(axis=0)
    metrics = distance_metrics(*volumes, ANISOTROPIC)
    assert metrics["ASD"] == pytest.approx(np.concatenate([there, back]).mean(), rel=1e-5)
    expected = max(np.percentile(there, 95), np.percentile(back, 95))
    assert metrics["HD95"] == pytest.approx(expected, rel=1e-5)


def test_a_mask_that_fills_the_volume_has_a_surface():
    full = np.ones((4, 4, 4), dtype=bool)
    metrics = distance_metrics(full, full, Grid.from_affine((4, 4, 4), np.eye(4)))
    assert metrics == {"HD95": 0, "ASD": 0}


def test_volumes_are_in_millilitres():
    prediction, truth = mask(((0, 0, 0), (9, 9, 4))), mask(((0, 0, 0), (9, 4, 4)))
    volumes = volume_metrics(prediction, truth, ANISOTROPIC)
    assert volumes == pytest.approx({"V_TRUE": 2.5, "V_PRED": 5.0, "AVD": 2.5})


def test_volume_correlation():
    assert volume_correlation(np.array([1, 2, 3]), np.array([3, 5, 7])) == pytest.approx(1)
    assert math.isnan(volume_correlation(np.array([1, 2]), np.array([1, 2])))
    assert math.isnan(volume_correlation(np.array([1, 1, 1]), np.array([1, 2, 3])))


@pytest.mark.heavy
def test_a_scan_of_one_millimetre_takes_seconds(capsys):
    """Figures to read, not to assert: the time of all native metrics of one scan."""
    rng = np.random.default_rng(0)
    boxes = [(corner, corner + rng.integers(2, 8, 3)) for corner in rng.integers(20, 150, (30, 3))]
    truth = mask(*boxes, shape=(181, 217, 181))
    grid = Grid.from_affine(truth.shape, np.eye(4))
    prediction = np.roll(truth, 2, 0)
    for measure in (
        lambda: lesion_detection.lesion_metrics(prediction, truth, grid, 3.0),
        lambda: distance_metrics(prediction, truth, grid),
    ):
        measure()
        started = time.perf_counter()
        measure()
        with capsys.disabled():
            print(f"\n{time.perf_counter() - started:.2f} s")
