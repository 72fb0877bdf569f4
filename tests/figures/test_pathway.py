"""The pathway shows the median scan, at the right height, on the right side."""

import nibabel as nib
import numpy as np
import pandas as pd
import pytest

from msnmo.errors import InputError
from msnmo.figures.pathway import Slices, choose_scan
from msnmo.geometry import Crop, ModelSpace, Resize
from msnmo.volumes import Grid


def metrics(values, method="joint", space="model"):
    rows = [
        {"method": method, "fold": 0, "scan": scan, "metric": "DSC", "value": value, "space": space}
        for scan, value in values.items()
    ]
    return pd.DataFrame(rows)


def test_the_scan_of_median_dsc_is_chosen():
    table = metrics({"sub-A": 0.9, "sub-B": 0.1, "sub-C": 0.5, "sub-D": 0.6})
    other = metrics({"sub-B": 0.55}, space="native")
    fold_mean = metrics({None: 0.52})
    assert choose_scan(pd.concat([table, other, fold_mean]), "joint") == "sub-C"


def test_ties_are_ordered_by_scan():
    table = metrics({"sub-B": 0.5, "sub-A": 0.5, "sub-C": 0.5})
    assert choose_scan(table, "joint") == "sub-B"


def test_a_method_without_scans_is_refused():
    with pytest.raises(InputError, match="other"):
        choose_scan(metrics({"sub-A": 1.0}), "other")


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
    share = np.array(in_native.shape) / in_model.shape
    centres = [np.argwhere(mask).mean(axis=0) for mask in (in_native, in_model)]
    np.testing.assert_allclose(centres[0] / share, centres[1], atol=1.0)
