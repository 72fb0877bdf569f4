"""Raters' masks: counted by hand, and refused when they lie elsewhere."""

import os
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.errors import InputError
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_mask, load_volume
from msnmo.preprocess import raters
from msnmo.preprocess.raters import combine_masks, load_raters

AFFINE = np.array([[-1.0, 0, 0, 90], [0, 1.1, 0, -120], [0, 0, 3, -60], [0, 0, 0, 1]])
SHAPE = (6, 7, 5)


def voxels(*marks):
    """A (1, 1, n) mask from 0 and 1."""
    return np.array(marks, dtype=bool).reshape(1, 1, -1)


def block(start, stop, shape=(12, 12, 12)):
    mask = np.zeros(shape, bool)
    mask[start:stop, start:stop, start:stop] = True
    return mask


@pytest.mark.parametrize(
    ("how", "two", "three", "four"),
    [
        #                 00 01 10 11   by number of votes 0 to n
        ("intersection", (0, 0, 0, 1), (0, 0, 0, 1), (0, 0, 0, 0, 1)),
        ("union", (0, 1, 1, 1), (0, 1, 1, 1), (0, 1, 1, 1, 1)),
        ("majority", (0, 0, 0, 1), (0, 0, 1, 1), (0, 0, 0, 1, 1)),
    ],
)
def test_every_combination_of_votes(how, two, three, four):
    pair = [voxels(0, 0, 1, 1), voxels(0, 1, 0, 1)]
    np.testing.assert_array_equal(combine_masks(pair, how), voxels(*two))
    triple = [voxels(0, 1, 1, 1), voxels(0, 0, 1, 1), voxels(0, 0, 0, 1)]
    np.testing.assert_array_equal(combine_masks(triple, how), voxels(*three))
    quadruple = [voxels(*(votes > rater for votes in range(5))) for rater in range(4)]
    np.testing.assert_array_equal(combine_masks(quadruple, how), voxels(*four))


def expectation_maximisation(masks):
    """Warfield et al. 2004, equations 16 to 18, with one global prior; lesion probabilities."""
    votes = np.stack([mask.ravel() for mask in masks]).astype(float)
    prior, sensitivity, specificity = votes.mean(), np.full(3, 0.99), np.full(3, 0.99)
    for _ in range(2000):
        lesion = np.where(votes == 1, sensitivity[:, None], 1 - sensitivity[:, None]).prod(0)
        other = np.where(votes == 0, specificity[:, None], 1 - specificity[:, None]).prod(0)
        weight = prior * lesion / (prior * lesion + (1 - prior) * other)
        sensitivity = (votes * weight).sum(1) / weight.sum()
        specificity = ((1 - votes) * (1 - weight)).sum(1) / (1 - weight).sum()
    return weight.reshape(masks[0].shape)


def test_staple_against_its_equations():
    random = np.random.default_rng(0)
    truth = block(2, 7)
    masks = [truth ^ (random.random(truth.shape) < error) for error in (0.01, 0.05, 0.25)]
    combined = combine_masks(masks, "staple")
    np.testing.assert_array_equal(combined, expectation_maximisation(masks) > 0.5)
    assert not np.array_equal(combined, combine_masks(masks, "majority"))


@pytest.mark.parametrize("how", ["intersection", "union", "majority", "staple"])
def test_one_rater_and_agreeing_raters_are_taken_at_their_word(how):
    for mask in (block(3, 6), block(0, 0), ~block(0, 0)):
        for count in (1, 2, 3):
            np.testing.assert_array_equal(combine_masks([mask] * count, how), mask)


@pytest.mark.parametrize("size", [8, 9, 10, 11, 12, 13])
def test_staple_where_a_rater_saw_nothing_does_not_hang_on_rounding(size):
    nothing, seen = block(0, 0, (size,) * 3), block(3, 6, (size,) * 3)
    for masks in ([nothing, seen], [nothing, nothing, seen]):
        assert not combine_masks(masks, "staple").any()
    np.testing.assert_array_equal(combine_masks([nothing, seen, seen], "staple"), seen)


@pytest.fixture
def flair(tmp_path):
    image = nib.Nifti1Image(np.random.default_rng(1).random(SHAPE, dtype=np.float32), None)
    image.header.set_sform(AFFINE, 4)
    image.header.set_qform(AFFINE, 2)
    image.header["xyzt_units"] = 2
    image.to_filename(tmp_path / "FLAIR.nii.gz")
    return tmp_path / "FLAIR.nii.gz"


def save_mask(path, data, affine=AFFINE):
    nib.Nifti1Image(np.asarray(data, np.uint8), affine).to_filename(path)
    return path


def lesion(value=1):
    data = np.zeros(SHAPE, np.uint8)
    data[1:3, 2:4, 1:3] = value
    return data


def run_main(*arguments):
    raters.main([str(each) for each in arguments])


def test_command_writes_a_mask_with_the_scans_header(tmp_path, flair, capsys):
    one = save_mask(tmp_path / "one.nii.gz", lesion(255))
    two_data = lesion(2)[..., np.newaxis]  # a trailing axis of length 1 is harmless
    two_data[1] = 0
    two = save_mask(tmp_path / "two.nii.gz", two_data)
    out = tmp_path / "out" / "lesion.nii.gz"
    run_main("--flair", flair, "--masks", one, two, "--out", out)
    expected = lesion().astype(bool)
    expected[1] = False
    written, scan = nib.load(out), nib.load(flair)
    assert written.get_data_dtype() == np.uint8
    np.testing.assert_array_equal(written.get_fdata(), expected)
    for field in ("dim", "pixdim", "sform_code", "qform_code", "xyzt_units", "quatern_b"):
        np.testing.assert_array_equal(written.header[field], scan.header[field])
    np.testing.assert_array_equal(written.affine, scan.affine)
    printed = capsys.readouterr().out
    assert f"{one}: 0.026 ml of lesion" in printed  # 8 voxels of 3.3 mm3
    assert "intersection of 2: 0.013 ml of lesion" in printed


def test_empty_masks_are_allowed_and_said(tmp_path, flair, capsys):
    masks = [save_mask(tmp_path / f"{n}.nii.gz", np.zeros(SHAPE)) for n in range(3)]
    for how in ("intersection", "union", "majority", "staple"):
        out = tmp_path / f"{how}.nii.gz"
        run_main("--flair", flair, "--masks", *masks, "--how", how, "--out", out)
        assert not load_mask(out).data.any()
        assert f"{how} of 3: no lesion (empty)" in capsys.readouterr().out


def shifted(millimetres):
    affine = AFFINE.copy()
    affine[0, 3] += millimetres
    return affine


def test_every_mask_on_another_grid_is_named_with_both_grids(tmp_path, flair):
    flipped = AFFINE.copy()
    flipped[0] = -flipped[0]
    masks = [
        save_mask(tmp_path / "good.nii.gz", lesion()),
        save_mask(tmp_path / "flipped.nii.gz", lesion(), flipped),
        save_mask(tmp_path / "shifted.nii.gz", lesion(), shifted(1)),
        save_mask(tmp_path / "shape.nii.gz", lesion()[:-1]),
        save_mask(tmp_path / "voxels.nii.gz", lesion(), AFFINE @ np.diag([1, 1, 1.01, 1])),
        save_mask(tmp_path / "4d.nii.gz", np.stack([lesion()] * 2, axis=-1)),
        save_mask(tmp_path / "labels.nii.gz", lesion() + lesion(2).T.reshape(SHAPE)),
        tmp_path / "gone.nii.gz",
    ]
    with pytest.raises(InputError) as caught:
        load_raters(flair, masks)
    findings = caught.value.findings
    assert [finding.file for finding in findings] == [str(path) for path in masks[1:]]
    for finding in findings[:4]:
        assert str(flair) in finding.expected
        assert str(SHAPE) in finding.expected
        assert finding.found != finding.expected
        assert "resample" in finding.remedy
    assert "(5, 7, 5)" in findings[2].found
    assert "three-dimensional" in findings[4].expected
    assert "binary" in findings[5].expected


def test_rounding_of_another_programs_header_is_no_other_grid(tmp_path, flair):
    path = save_mask(tmp_path / "mask.nii.gz", lesion(), shifted(0.001))
    grid, (mask,) = load_raters(flair, [path])
    np.testing.assert_array_equal(mask, lesion().astype(bool))
    assert grid.matches(load_volume(flair).grid, 0)


def test_oblique_scans_are_matched_in_the_scanners_space(tmp_path):
    angle = np.deg2rad(17)
    turn = np.eye(4)
    turn[1:3, 1:3] = [[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]
    scan, mask = tmp_path / "scan.nii", tmp_path / "mask.nii"
    save_volume(scan, lesion().astype(np.float32), Grid.from_affine(SHAPE, turn @ AFFINE))
    save_mask(mask, lesion(), turn @ AFFINE)
    assert load_raters(scan, [mask])[1][0].sum() == 8
    save_mask(mask, lesion(), AFFINE)
    with pytest.raises(InputError):
        load_raters(scan, [mask])


@pytest.mark.real
@pytest.mark.skipif("MSNMO_REAL_DATA" not in os.environ, reason="MSNMO_REAL_DATA is not set")
@pytest.mark.parametrize(("patient", "millilitres"), [("07", 1.3), ("26", 8.2)])
def test_real_masks_lie_on_their_real_scans_and_on_no_other(patient, millilitres):
    mni = Path(os.environ["MSNMO_REAL_DATA"]) / "open_ms/cross_sectional/MNI"
    (flair,) = (mni / f"patient{patient}").glob("FLAIR*.nii.gz")
    (mask,) = (mni / f"patient{patient}").glob("GOLD*.nii.gz")
    grid, (lesions,) = load_raters(flair, [mask])
    assert abs(lesions.sum() * grid.voxel_ml - millilitres) < 0.1
    (raw,) = mni.parents[1].glob("longitudinal/raw/patient01/study1_FLAIR.nii.gz")
    with pytest.raises(InputError, match="resample"):
        load_raters(raw, [mask])


def test_labels_are_combined_as_lesions(tmp_path, flair):
    one, two = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.uint8)
    one[1, 1, :4] = (1, 2, 3, 4)
    two[1, 1, :3] = (4, 4, 1)
    paths = [tmp_path / "one.nii.gz", tmp_path / "two.nii.gz"]
    grid = load_volume(flair).grid
    for path, data in zip(paths, (one, two), strict=True):
        save_volume(path, data, grid, np.uint8)
    out = tmp_path / "out.nii.gz"
    given = ["--flair", str(flair), "--masks", *map(str, paths), "--lesion-labels"]
    for labels, lesion in ((["any"], [1, 1, 1, 0]), (["1", "4"], [1, 0, 0, 0])):
        raters.main([*given, *labels, "--out", str(out)])
        marked = load_mask(out).data
        assert marked[1, 1, :4].tolist() == [bool(each) for each in lesion]
        assert marked.sum() == sum(lesion)
    with pytest.raises(InputError, match=r"lesion_masks\.labels") as raised:
        load_raters(flair, paths)
    assert len(raised.value.findings) == 2
