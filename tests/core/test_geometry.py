"""The way to model space and back: any axis order, oblique affines, odd shapes, voxel sizes."""

import itertools
import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from msnmo.core.errors import InputError
from msnmo.core.geometry import Crop, ModelSpace, Resize, ras_order, resample, resample_mask
from msnmo.core.grid import Grid

ORIENTATIONS = [
    "".join(letters)
    for order in itertools.permutations(("LR", "PA", "IS"))
    for letters in itertools.product(*order)
]

shapes = st.tuples(*[st.integers(9, 33)] * 3)
voxels = st.tuples(*[st.floats(0.4, 5.0)] * 3)
angles = st.tuples(*[st.floats(-25, 25)] * 3)
origins = st.tuples(*[st.floats(-150, 150)] * 3)


@st.composite
def grids(draw):
    """Any grid a scanner could write: 48 axis orders, oblique by up to 25 degrees, anisotropic."""
    shape, codes = draw(shapes), draw(st.sampled_from(ORIENTATIONS))
    turn = Rotation.from_euler("xyz", draw(angles), degrees=True).as_matrix()
    ornt = nib.orientations.axcodes2ornt(tuple(codes))
    axes = np.zeros((3, 3))
    for native, (world, sign) in enumerate(ornt):
        axes[int(world), native] = sign
    affine = np.eye(4)
    affine[:3, :3] = turn @ axes @ np.diag(draw(voxels))
    affine[:3, 3] = draw(origins)
    return Grid.from_affine(shape, affine)


@st.composite
def spaces(draw, mode=None):
    grid = draw(grids())
    starts = [draw(st.integers(0, n - 9)) for n in grid.shape]
    stops = [draw(st.integers(a + 9, n)) for a, n in zip(starts, grid.shape, strict=True)]
    brain = np.zeros(grid.shape, bool)
    brain[tuple(slice(a, b) for a, b in zip(starts, stops, strict=True))] = True
    crop = Crop.around(brain, grid)
    target = draw(st.sampled_from([(16, 16, 16), (32, 16, 48)]))
    how = mode or draw(st.sampled_from(["stretch", "pad"]))
    return ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, target, how)), brain


def world(grid):
    """Return scanner mm of every voxel centre, (3, I, J, K)."""
    index = np.indices(grid.shape).reshape(3, -1)
    return (grid.affine[:3, :3] @ index + grid.affine[:3, 3:]).reshape(3, *grid.shape)


def ramp(grid, slope):
    """Return a linear field of scanner position: its value names the place it was sampled at."""
    return np.tensordot(slope, world(grid), axes=1).astype(np.float32)


SLOPE = np.array([0.7, -0.4, 1.1])


@given(grids())
@settings(max_examples=60, deadline=None)
def test_ras_order_is_the_order_nibabel_finds(grid):
    crop = Crop.around(np.ones(grid.shape, bool), grid)
    assert nib.aff2axcodes(crop.grid.affine) == ("R", "A", "S")
    image = nib.Nifti1Image(np.random.default_rng(0).random(grid.shape), grid.affine)
    canonical = nib.as_closest_canonical(image)
    np.testing.assert_array_equal(crop.apply(np.asarray(image.dataobj)), canonical.get_fdata())
    np.testing.assert_allclose(crop.grid.affine, canonical.affine, atol=1e-9)


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_crop_keeps_every_voxel_in_its_place_and_comes_back_exactly(space_and_brain):
    space, brain = space_and_brain
    field = ramp(space.native, SLOPE)
    cropped = space.crop.apply(field)
    np.testing.assert_allclose(cropped, ramp(space.crop.grid, SLOPE), atol=1e-3)
    np.testing.assert_array_equal(space.crop.invert(cropped), np.where(brain, field, 0))


@given(spaces())
@settings(max_examples=60, deadline=None)
def test_a_map_is_never_shifted(space_and_brain):
    """A linear field of scanner position reads the same in native and in model space."""
    space, brain = space_and_brain
    field = ramp(space.native, SLOPE)
    expected = ramp(space.model, SLOPE)
    resize = space.resize
    factor = np.array(resize.source) / np.array(resize.content)
    content = tuple(
        slice(s + margin, s + n - margin)
        for s, n, margin in zip(
            resize.start, resize.content, _margins(factor, resize.content), strict=True
        )
    )
    model = space.to_model(field, order=1)
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(model[content], expected[content], atol=2e-4 * scale)

    back = space.crop.apply(space.to_native(expected))
    inner = tuple(
        slice(margin, n - margin)
        for n, margin in zip(resize.source, _margins(1 / factor, resize.source), strict=True)
    )
    np.testing.assert_allclose(back[inner], space.crop.apply(field)[inner], atol=2e-4 * scale)
    assert (space.to_native(np.ones(resize.target, np.float32))[~brain] == 0).all()


def _margins(factor, lengths):
    """Output voxels that the edge can have touched, with `factor` input voxels to one of them.

    One input voxel by interpolation and, where the axis shrinks, four sigmas of the Gaussian. An
    axis too short to have untouched voxels leaves nothing to compare.
    """
    reach = np.ceil((2 * np.maximum(factor - 1, 0) + 1) / factor).astype(int) + 1
    return np.minimum(reach, np.array(lengths) // 2)


@given(spaces())
@settings(max_examples=40, deadline=None)
def test_json_carries_the_geometry_exactly(space_and_brain):
    space, _ = space_and_brain
    again = ModelSpace.from_json(json.loads(json.dumps(space.to_json())))
    np.testing.assert_array_equal(again.native.affine, space.native.affine)
    np.testing.assert_array_equal(again.model.affine, space.model.affine)
    field = np.random.default_rng(1).random(space.resize.target).astype(np.float32)
    np.testing.assert_array_equal(again.to_native(field), space.to_native(field))


@given(spaces())
@settings(max_examples=40, deadline=None)
def test_probabilities_stay_probabilities(space_and_brain):
    space, _ = space_and_brain
    rng = np.random.default_rng(2)
    back = space.to_native((rng.random(space.resize.target) > 0.5).astype(np.float32))
    assert back.dtype == np.float32
    assert back.shape == space.native.shape
    assert 0 <= back.min() <= back.max() <= 1 + 1e-6


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "LAS", "SAL"])
@pytest.mark.parametrize("mode", ["stretch", "pad"])
def test_a_lesion_comes_back_where_it_was(codes, mode):
    """A ball on the right of a left-right symmetric head comes back on the right, every order."""
    ras = np.diag([1.2, 1.0, 1.5, 1.0])
    shape = (80, 96, 64)
    grid = Grid.from_affine(shape, ras)
    x, y, z = world(grid)
    centre = np.array([48, 48, 48])
    brain = ((x - 48) / 40) ** 2 + ((y - 48) / 45) ** 2 + ((z - 48) / 42) ** 2 < 1
    lesion = (x - 70) ** 2 + (y - 40) ** 2 + (z - 55) ** 2 < 7**2
    assert x[lesion].mean() > centre[0]
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    stored = nib.Nifti1Image(lesion.astype(np.uint8), ras).as_reoriented(turn)
    stored_brain = nib.Nifti1Image(brain.astype(np.uint8), ras).as_reoriented(turn)
    native = Grid.from_affine(stored.shape, stored.affine)
    crop = Crop.around(np.asarray(stored_brain.dataobj) > 0, native)
    space = ModelSpace(crop, Resize.fit(crop.shape, crop.grid.voxel_mm, (96, 96, 96), mode))
    truth = np.asarray(stored.dataobj) > 0
    model = resample_mask(crop.apply(truth), space.resize, "linear")
    back = space.to_native(model.astype(np.float32)) >= 0.5
    dice = 2 * (back & truth).sum() / (back.sum() + truth.sum())
    assert dice > 0.97
    # the same brain in model space, whatever the storage order
    reference = Crop.around(brain, grid)
    np.testing.assert_array_equal(
        model,
        resample_mask(reference.apply(lesion), space.resize, "linear"),
    )


def test_pad_keeps_proportions_and_stretch_does_not():
    voxel = np.array([1.0, 1.0, 3.0])
    pad = Resize.fit((100, 150, 40), voxel, (160, 160, 160), "pad")
    mm = np.array(pad.source) * voxel / np.array(pad.content)
    assert mm.max() / mm.min() < 1.01
    assert max(pad.content) == 160
    stretch = Resize.fit((100, 150, 40), voxel, (160, 160, 160), "stretch")
    assert stretch.content == stretch.target == (160, 160, 160)


def test_resample_matches_an_independent_interpolation():
    """Against numpy's own linear interpolation along one axis, edges aligned."""
    line = np.random.default_rng(3).random(20).astype(np.float32)
    volume = np.broadcast_to(line[:, None, None], (20, 4, 4))
    places = (np.arange(33) + 0.5) * 20 / 33 - 0.5
    expected = np.interp(places, np.arange(20), line)
    result = resample(volume, (33, 4, 4), order=1)
    np.testing.assert_allclose(result[:, 2, 1], expected, atol=1e-5)


def test_an_empty_brain_mask_is_refused():
    with pytest.raises(ValueError, match="empty"):
        Crop.around(np.zeros((8, 8, 8), bool), Grid.from_affine((8, 8, 8), np.eye(4)))


def test_a_degenerate_affine_has_no_order():
    with pytest.raises(ValueError, match="independent axes"):
        ras_order(np.diag([1.0, 1.0, 0.0, 1.0]))


@pytest.mark.parametrize("read", [Crop.from_sidecar, ModelSpace.from_sidecar])
@pytest.mark.parametrize(
    "content", ["{}", '{"geometry": null}', '{"geometry": {"crop": {"axes": 3}}}', "[", '{"geom']
)
def test_a_sidecar_without_its_geometry_is_named(read, content, tmp_path):
    path = tmp_path / "scan.json"
    path.write_text(content)
    with pytest.raises(InputError, match=r"scan\.json"):
        read(path)
