"""What a page shows lies where it is in the scanner, and is small."""

import base64
import gzip

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.grid import Grid
from msnmo.core.volumes import Volume
from msnmo.viewing.display import (
    FINEST_MM,
    LONGEST,
    MARGIN_MM,
    display_space,
    encode,
    shown_volume,
    to_display,
)


def oblique(voxel_mm, degrees=17.0):
    """An affine that is turned about two axes."""
    c, s = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
    turned = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]) @ np.array(
        [[1, 0, 0], [0, c, -s], [0, s, c]]
    )
    affine = np.eye(4)
    affine[:3, :3] = turned * voxel_mm
    affine[:3, 3] = [-31.0, 12.5, 40.0]
    return affine


GRIDS = {
    "plain": Grid.from_affine((60, 70, 50), np.diag([1.0, 1, 1, 1])),
    "fine": Grid.from_affine((120, 330, 50), np.diag([0.5, 0.5, 1.5, 1])),
    "long": Grid.from_affine((40, 230, 60), np.diag([1.0, 1, 2, 1])),
    "flipped": Grid.from_affine((60, 70, 50), np.diag([-1.2, 1, 1, 1])),
    "permuted": Grid.from_affine(
        (30, 170, 64), np.array([[0, 0, -1.0, 30], [0.9, 0, 0, 5], [0, 1.1, 0, -70], [0, 0, 0, 1]])
    ),
    "oblique": Grid.from_affine((120, 150, 40), oblique([0.6, 0.6, 3.0])),
    "left-handed": Grid.from_affine((90, 80, 70), oblique([-1.3, 0.9, 1.1], -40)),
}


def decoded(text):
    return nib.Nifti1Image.from_bytes(gzip.decompress(base64.b64decode(text)))


def brain_of(grid):
    brain = np.zeros(grid.shape, bool)
    brain[tuple(slice(side // 4, side - side // 5) for side in grid.shape)] = True
    return brain


@pytest.fixture(params=GRIDS)
def grid(request):
    return GRIDS[request.param]


def test_every_voxel_stays_where_it_is_in_millimetres(grid):
    space = display_space(grid, brain_of(grid))
    places = nib.affines.apply_affine(grid.affine, np.moveaxis(np.indices(grid.shape), 0, -1))
    shown = [to_display(space, places[..., axis], "image") for axis in range(3)]
    affine = decoded(encode(shown[0], space.model, "image")).affine
    voxels = np.moveaxis(np.indices(space.model.shape), 0, -1)
    # at the border there is nothing to interpolate with
    inner = (slice(3, -3),) * 3
    expected = nib.affines.apply_affine(affine, voxels)[inner]
    np.testing.assert_allclose(np.stack(shown, axis=-1)[inner], expected, atol=1e-2)


def test_a_landmark_stays_where_it_is_in_millimetres(grid):
    space = display_space(grid, brain_of(grid))
    landmark = np.array(grid.shape) // 2
    distance = (np.indices(grid.shape) - landmark[:, None, None, None]) * grid.voxel_mm[
        :, None, None, None
    ]
    spot = np.exp(-(distance**2).sum(axis=0) / (2 * 4.0**2))
    shown = decoded(encode(to_display(space, spot, "probability"), space.model, "probability"))
    weight = shown.get_fdata()
    middle = np.array([(weight * index).sum() for index in np.indices(weight.shape)])
    found = nib.affines.apply_affine(shown.affine, middle / weight.sum())
    expected = nib.affines.apply_affine(grid.affine, landmark)
    np.testing.assert_allclose(found, expected, atol=0.05)


def test_a_masks_middle_agrees_within_half_a_voxel(grid):
    space = display_space(grid, brain_of(grid))
    mask = np.zeros(grid.shape, bool)
    corner = np.array(grid.shape) // 2
    sides = [4, 7, 5]
    mask[tuple(slice(at, at + n) for at, n in zip(corner, sides, strict=True))] = True
    mask[tuple(corner - 2)] = True
    shown = decoded(encode(to_display(space, mask, "mask"), space.model, "mask"))
    assert set(np.unique(shown.get_fdata())) == {0.0, 1.0}
    found = nib.affines.apply_affine(shown.affine, np.argwhere(shown.get_fdata())).mean(axis=0)
    expected = nib.affines.apply_affine(grid.affine, np.argwhere(mask)).mean(axis=0)
    assert np.abs(found - expected).max() < 0.5 * space.model.voxel_mm.max()


def test_the_grid_is_small_and_no_finer_than_needed(grid):
    brain = brain_of(grid)
    model = display_space(grid, brain).model
    assert max(model.shape) <= LONGEST
    assert (model.voxel_mm >= FINEST_MM - 1e-3).all() or (
        np.sort(model.voxel_mm) >= np.sort(grid.voxel_mm) - 1e-3
    ).all()
    corners = nib.affines.apply_affine(
        np.linalg.inv(model.affine) @ grid.affine, np.argwhere(brain)[[0, -1]]
    )
    inside = MARGIN_MM / model.voxel_mm - 2
    assert (corners > inside).all()
    assert (corners < np.array(model.shape) - inside).all()


def test_without_a_brain_the_whole_scan_is_shown():
    grid = GRIDS["plain"]
    for around in (None, np.zeros(grid.shape, bool)):
        assert display_space(grid, around).model.shape == grid.shape


def test_values_come_back_to_within_half_a_level():
    grid = GRIDS["plain"]
    space = display_space(grid, None)
    generator = np.random.default_rng(3)
    image = generator.normal(300, 40, grid.shape).astype(np.float32)
    shown = decoded(encode(image, grid, "image")).get_fdata()
    low, high = np.percentile(image, (0.5, 99.5))
    np.testing.assert_allclose(shown, np.clip(image, low, high), atol=0.51 * (high - low) / 255)
    probability = generator.uniform(0, 1, grid.shape).astype(np.float32)
    back = decoded(encode(to_display(space, probability, "probability"), grid, "probability"))
    np.testing.assert_allclose(back.get_fdata(), probability, atol=0.51 / 255)


def test_a_constant_image_has_a_range():
    grid = GRIDS["plain"]
    assert decoded(encode(np.zeros(grid.shape), grid, "image")).get_fdata().max() == 0


def test_equal_volumes_give_equal_text():
    grid = GRIDS["oblique"]
    image = np.random.default_rng(1).normal(size=grid.shape)
    assert encode(image, grid, "image") == encode(image.copy(), grid, "image")


def test_a_layer_on_another_grid_is_refused():
    space = display_space(GRIDS["plain"], None)
    other = GRIDS["flipped"]
    with pytest.raises(ValueError, match="not on the grid"):
        shown_volume(space, Volume(np.zeros(other.shape), other), "image")
