"""The place of a volume in the scanner, by its header."""

import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from tests.core.nifti_files import AFFINE, DATA, OTHER, SHAPE, finding_of, save_nifti


@pytest.mark.parametrize(
    ("sform_code", "qform_code", "used", "doubt"),
    [
        (1, 1, "sform", "differ"),
        (2, 0, "sform", None),
        (0, 3, "qform", None),
        (0, 0, "zooms", "neither"),
    ],
)
def test_truth_table_of_sform_and_qform(tmp_path, sform_code, qform_code, used, doubt):
    image = nib.Nifti1Image(DATA, None)
    image.header.set_qform(OTHER, qform_code)
    image.header.set_sform(AFFINE, sform_code)
    image.to_filename(tmp_path / "x.nii")
    grid = load_volume(tmp_path / "x.nii").grid
    if used == "zooms":
        np.testing.assert_allclose(grid.voxel_mm, np.sqrt((OTHER[:3, :3] ** 2).sum(0)), rtol=1e-5)
        np.testing.assert_array_equal(grid.affine[:3, :3], np.diag(np.diag(grid.affine)[:3]))
    else:
        expected = AFFINE if used == "sform" else OTHER
        np.testing.assert_allclose(grid.affine, expected, atol=1e-3)
    assert (grid.sform_code, grid.qform_code) == (sform_code, qform_code)
    conflict = grid.form_conflict
    assert (conflict is None) if doubt is None else (doubt in conflict)


def test_agreeing_forms_are_no_conflict(tmp_path):
    turn = nib.eulerangles.euler2mat(0.3, -0.2, 0.1) @ np.diag([-0.5, 0.6, 3])
    affine = nib.affines.from_matvec(turn, [211.3, -187.2, 133.7])
    save_nifti(tmp_path / "x.nii", np.zeros((256, 256, 60), np.uint8), affine, qform_code=1)
    image = nib.load(tmp_path / "x.nii")
    image.set_qform(affine, 1)
    image.to_filename(tmp_path / "y.nii")
    assert load_volume(tmp_path / "y.nii").grid.form_conflict is None


@pytest.mark.parametrize("form", ["srow_x", "quatern_b", "qoffset_x"])
def test_a_form_that_is_not_set_may_hold_anything(tmp_path, form):
    """Programs leave garbage there; the other form counts, and the scan goes all the way."""
    code = "sform_code" if form == "srow_x" else "qform_code"
    for value in (np.nan, 1e30):
        path = tmp_path / "x.nii"
        image = nib.Nifti1Image(DATA, None)
        image.header.set_qform(AFFINE, 1)
        image.header.set_sform(AFFINE, 1)
        image.header[code], image.header[form] = 0, value
        image.header["vox_offset"] = 352
        path.write_bytes(image.header.binaryblock + bytes(4) + DATA.tobytes("F"))
        grid = load_volume(path).grid
        np.testing.assert_allclose(grid.affine, AFFINE, atol=0.01)
        json.dumps(grid.to_json(), allow_nan=False)
        save_volume(tmp_path / "y.nii", DATA, grid)
        assert load_volume(tmp_path / "y.nii").grid.matches(grid)


@pytest.mark.parametrize(
    "header",
    [
        {"srow_x": np.nan},
        {"srow_x": np.inf},
        {"srow_x": 0},
        {"srow_x": AFFINE[1]},  # equal to srow_y: the affine is singular
        {"qform_code": 1, "quatern_b": np.nan},
        {"qform_code": 1, "quatern_b": 5},
        {"qform_code": 1, "qoffset_z": np.inf},
    ],
)
def test_broken_orientation_is_refused(tmp_path, header):
    finding = finding_of(save_nifti(tmp_path / "x.nii", **header))
    assert "form" in finding.expected or "affine" in finding.expected
    assert "orientation" in finding.remedy


def test_negative_and_zero_zooms_do_not_turn_the_affine(tmp_path):
    path = save_nifti(tmp_path / "x.nii", pixdim=[0, -1, 0, -3, 1, 1, 1, 1])
    np.testing.assert_allclose(load_volume(path).grid.affine, AFFINE, atol=1e-6)


affines = st.builds(
    lambda angles, zooms, signs, shift: nib.affines.from_matvec(
        nib.eulerangles.euler2mat(*angles) @ np.diag(np.array(zooms) * signs), shift
    ),
    st.tuples(*[st.floats(-3, 3)] * 3),
    st.tuples(*[st.floats(0.2, 8)] * 3),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.floats(-300, 300)] * 3),
)
shapes = st.tuples(*[st.integers(1, 300)] * 3)


@given(shape=shapes, affine=affines)
def test_a_grid_returns_exactly_from_json(shape, affine):
    grid = Grid.from_affine(shape, affine)
    again = Grid.from_json(json.loads(json.dumps(grid.to_json(), allow_nan=False)))
    assert again.matches(grid, 0)
    np.testing.assert_array_equal(again.qform, grid.qform)


@given(shape=shapes, affine=affines, shift=st.floats(0.02, 5), direction=st.sampled_from([0, 1, 2]))
def test_grids_match_only_where_every_voxel_stays(shape, affine, shift, direction):
    grid = Grid.from_affine(shape, affine)
    moved = affine.copy()
    moved[direction, 3] += shift
    assert not grid.matches(Grid.from_affine(shape, moved))
    assert grid.matches(Grid.from_affine(shape, moved), tolerance_mm=shift * 1.001)
    assert not grid.matches(Grid.from_affine((*shape[:2], shape[2] + 1), affine))
    stretched = affine.copy()
    stretched[:3, 0] *= 1 + 0.05 / (np.linalg.norm(affine[:3, 0]) * max(shape[0] - 1, 1))
    # one voxel along an axis stays where it is, however long it is said to be
    assert grid.matches(Grid.from_affine(shape, stretched)) == (shape[0] == 1)


@settings(max_examples=25, deadline=None)
@given(affine=affines)
def test_any_affine_survives_the_file(tmp_path_factory, affine):
    path = tmp_path_factory.getbasetemp() / "grid.nii"
    save_volume(path, DATA, Grid.from_affine(SHAPE, affine))
    grid = load_volume(path).grid
    assert grid.matches(Grid.from_affine(SHAPE, affine))
    assert grid.form_conflict is None
