"""The pathway shows native and model space at one height, the right way round."""

import nibabel as nib
import numpy as np
import pytest

from msnmo.core.geometry import Crop, ModelSpace, Resize
from msnmo.core.grid import Grid
from msnmo.figures.pathway import Slices


@pytest.mark.parametrize("codes", ["RAS", "LPS", "PSR", "ILA"])
def test_native_and_model_slices_show_one_height(codes):
    """A bright plate at one height is in both slices, for every storage order."""
    shape = (40, 48, 36)
    plate = np.zeros(shape, np.float32)
    plate[8:20, 10:40, 17:20] = 1  # on the patient's left, in the front half
    turn = nib.orientations.ornt_transform(
        nib.orientations.axcodes2ornt("RAS"), nib.orientations.axcodes2ornt(tuple(codes))
    )
    stored = nib.Nifti1Image(plate, np.diag([1.0, 1.0, 2.0, 1.0])).as_reoriented(turn)
    data = np.asarray(stored.dataobj)
    native = Grid.from_affine(stored.shape, stored.affine)
    crop = Crop.around(np.ones(stored.shape, bool), native)
    resize = Resize.fit(crop.shape, crop.grid.voxel_mm, (64, 64, 64), "stretch")
    space = ModelSpace(crop, resize)
    model = space.to_model(data, order=1)
    slices = Slices(space, int(model.sum(axis=(0, 1)).argmax()))
    in_native, in_model = slices.native(data) > 0.5, slices.model(model) > 0.5
    assert in_native.sum() == 12 * 30
    # radiological: low x, the patient's left, is in the right half
    assert np.argwhere(in_native)[:, 1].min() > in_native.shape[1] / 2 - 1
    share = np.array(in_native.shape) / in_model.shape
    centres = [np.argwhere(mask).mean(axis=0) for mask in (in_native, in_model)]
    np.testing.assert_allclose(centres[0] / share, centres[1], atol=1.0)
