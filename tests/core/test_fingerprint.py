"""A copy of a scan is found whatever it is called and however it is stored; another scan is not."""

import hashlib
import hmac

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.fingerprint import fingerprint, seal
from msnmo.core.volumes import load_volume

AFFINE = np.array([[0, 0, 2.0, -20], [-1.0, 0, 0, 30], [0, 1.5, 0, -10], [0, 0, 0, 1]])


@pytest.fixture
def image():
    """A scan stored in an order of its own, with a header text and negative zeros."""
    values = np.random.default_rng(3).integers(0, 900, (5, 6, 7)).astype(np.float32)
    values[0] = -0.0
    made = nib.Nifti1Image(values, AFFINE)
    made.header["descrip"] = b"scanner 3, 2019"
    return made


def digest_of(image, path):
    nib.save(image, path)
    return fingerprint(load_volume(path))


def test_name_compression_header_number_type_and_order_of_axes_do_not_count(image, tmp_path):
    known = digest_of(image, tmp_path / "scan.nii.gz")
    bare = nib.Nifti1Image(np.asarray(image.dataobj), AFFINE)
    whole = nib.Nifti1Image(np.asarray(image.dataobj).astype(np.int16), AFFINE)
    upright = nib.as_closest_canonical(image)
    lps = upright.as_reoriented(nib.orientations.axcodes2ornt("PSL"))
    copies = {"renamed.nii": bare, "int16.nii.gz": whole, "ras.nii.gz": upright, "psl.nii": lps}
    copies["nifti-2.nii"] = nib.Nifti2Image(np.asarray(image.dataobj), AFFINE)
    for name, copy in copies.items():
        assert digest_of(copy, tmp_path / name) == known, name


def test_a_voxel_a_mirror_image_and_a_resampled_copy_are_others(image, tmp_path):
    values = np.asarray(image.dataobj)
    changed = values.copy()
    changed[2, 3, 4] += 1
    made = [values, changed, values[:, ::-1], values[:, :, :-1]]
    images = [nib.Nifti1Image(each, AFFINE) for each in made]
    digests = {digest_of(each, tmp_path / f"{place}.nii.gz") for place, each in enumerate(images)}
    assert len(digests) == len(made)


def test_a_seal_is_a_keyed_digest_that_differs_by_salt():
    digest, salt = "ab" * 32, "0f" * 32
    expected = hmac.new(b"\x0f" * 32, b"\xab" * 32, hashlib.sha256).hexdigest()
    assert seal(digest, salt) == expected
    assert seal(digest, "0e" * 32) != expected
