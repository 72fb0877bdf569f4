"""Lesions one by one: numbered, measured and placed on any grid."""

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.distance import pdist
from scipy.spatial.transform import Rotation

from msnmo.apply.lesion_table import COLUMNS, label_lesions, lesion_table
from msnmo.core.grid import Grid

SHAPE = (9, 10, 11)


def affine_of(columns, origin):
    affine = np.eye(4)
    affine[:3, :3] = np.transpose(columns)
    affine[:3, 3] = origin
    return affine


PLAIN = np.eye(4)
# y down the first axis, x against the second, thick slices along z
FLIPPED = affine_of([(0, 2, 0), (-1, 0, 0), (0, 0, 5)], (10, 20, 30))
TURN = Rotation.from_euler("xyz", (20, -35, 50), degrees=True).as_matrix()
OBLIQUE = affine_of((TURN @ np.diag([0.5, 1, 3])).T, (-4, 5, 6))
SHEARED = affine_of([(1, 0, 0), (0.5, 1, 0), (0, 0, 2)], (0, 0, 0))


def mask_of(*voxels):
    mask = np.zeros(SHAPE, dtype=bool)
    for voxel in voxels:
        mask[voxel] = True
    return mask


def table_of(mask, affine=PLAIN):
    return lesion_table(label_lesions(mask), Grid.from_affine(mask.shape, affine))


def test_lesions_are_numbered_from_the_largest_and_ties_by_place():
    small, also_small = [(0, 0, 0), (0, 0, 1)], [(0, 6, 3), (0, 6, 4)]
    large = [(8, 9, 9), (8, 9, 10), (7, 9, 10)]
    labels = label_lesions(mask_of(*also_small, *large, *small, (5, 0, 0)))
    assert [labels[group[0]] for group in (large, small, also_small)] == [1, 2, 3]
    assert labels[5, 0, 0] == 4
    assert np.bincount(labels.ravel())[1:].tolist() == [3, 2, 2, 1]


def test_voxels_that_touch_by_a_corner_are_one_lesion_and_a_gap_parts_two():
    assert label_lesions(mask_of((1, 1, 1), (2, 2, 2))).max() == 1
    assert label_lesions(mask_of((1, 1, 1), (3, 1, 1))).max() == 2


def test_an_empty_mask_has_a_table_of_the_same_columns_and_types():
    empty, some = table_of(mask_of()), table_of(mask_of((1, 2, 3)))
    assert len(empty) == 0
    assert list(empty) == list(some) == list(COLUMNS)
    assert (empty.dtypes == some.dtypes).all()


@pytest.mark.parametrize(
    ("affine", "place", "millilitres", "longest"),
    [
        (PLAIN, (1.5, 2, 3), 0.002, np.sqrt(4 + 1 + 1)),
        # index (1.5, 2, 3): x = 10 - 2, y = 20 + 2 * 1.5, z = 30 + 5 * 3; a box of 4 x 1 x 5 mm
        (FLIPPED, (8, 23, 45), 0.020, np.sqrt(16 + 1 + 25)),
        # two voxels along the first axis: a box of 1 x 1 x 3 mm, however turned
        (OBLIQUE, tuple(TURN @ (0.75, 2, 9) + (-4, 5, 6)), 0.003, np.sqrt(1 + 1 + 9)),
        # the longer diagonal of the sheared box: (2, 0, 0) + (0.5, 1, 0) + (0, 0, 2)
        (SHEARED, (1.5 + 0.5 * 2, 2, 6), 0.004, np.sqrt(2.5**2 + 1 + 4)),
    ],
    ids=["plain", "flipped and anisotropic", "oblique", "sheared"],
)
def test_place_volume_and_length_are_those_computed_by_hand(affine, place, millilitres, longest):
    (row,) = table_of(mask_of((1, 2, 3), (2, 2, 3)), affine).to_dict("records")
    assert row["voxels"] == 2
    assert row["volume_ml"] == pytest.approx(millilitres)
    assert (row["x_mm"], row["y_mm"], row["z_mm"]) == pytest.approx(place)
    assert row["longest_axis_mm"] == pytest.approx(longest)


def test_one_voxel_is_as_long_as_its_diagonal():
    assert table_of(mask_of((4, 4, 4)), FLIPPED)["longest_axis_mm"][0] == pytest.approx(np.sqrt(30))


def test_each_lesion_is_measured_without_the_others_in_its_box():
    ring = [(i, j, 5) for i in range(1, 8) for j in range(1, 8) if i in (1, 7) or j in (1, 7)]
    table = table_of(mask_of(*ring, (4, 3, 5)))
    assert table["voxels"].tolist() == [len(ring), 1]
    assert table["y_mm"].tolist() == pytest.approx([4, 3])
    assert table["longest_axis_mm"].tolist() == pytest.approx([np.sqrt(49 + 49 + 1), np.sqrt(3)])


masks = st.integers(0, 2**32 - 1).map(lambda seed: np.random.default_rng(seed).random(SHAPE) > 0.9)


@st.composite
def affines(draw):
    """Turned by anything, voxels of 0.3 to 6 mm, sheared a little, either hand."""
    angles, size = (draw(st.tuples(*[st.floats(a, b)] * 3)) for a, b in ((-180, 180), (0.3, 6)))
    shear = np.eye(3) + np.triu(np.full((3, 3), draw(st.floats(-0.3, 0.3))), 1)
    turn = Rotation.from_euler("xyz", angles, degrees=True).as_matrix()
    columns = turn @ shear @ np.diag(size) * draw(st.sampled_from([-1, 1]))
    return affine_of(columns.T, draw(st.tuples(*[st.floats(-150, 150)] * 3)))


@given(masks, affines())
@settings(max_examples=30)
def test_the_longest_axis_is_the_greatest_distance_between_any_two_corners(mask, affine):
    labels = label_lesions(mask)
    table = lesion_table(labels, Grid.from_affine(SHAPE, affine))
    corners = np.array(list(itertools.product((-0.5, 0.5), repeat=3)))
    for number in table["lesion"]:
        points = (np.argwhere(labels == number)[:, None] + corners).reshape(-1, 3)
        expected = pdist(points @ affine[:3, :3].T).max()
        assert table["longest_axis_mm"][number - 1] == pytest.approx(expected)


@given(masks, affines(), st.permutations(range(3)), st.tuples(*[st.booleans()] * 3))
@settings(max_examples=40)
def test_another_storage_order_of_the_same_voxels_gives_the_same_lesions(mask, affine, axes, flips):
    to_stored = np.zeros((4, 4))
    to_stored[3, 3] = 1
    for new, (old, flip) in enumerate(zip(axes, flips, strict=True)):
        to_stored[old, new] = -1 if flip else 1
        to_stored[old, 3] = SHAPE[old] - 1 if flip else 0
    turned = mask.transpose(axes)[tuple(slice(None, None, -1 if flip else 1) for flip in flips)]
    columns = ["volume_ml", "x_mm", "y_mm", "z_mm", "longest_axis_mm"]
    one, other = table_of(mask, affine), table_of(turned, affine @ to_stored)
    # equal lesions may swap their ids: the order of ties is the storage's
    rows = [table[columns].round(6).sort_values(columns).to_numpy() for table in (one, other)]
    np.testing.assert_allclose(rows[0], rows[1], atol=1e-5)
    assert one["voxels"].tolist() == other["voxels"].tolist()
