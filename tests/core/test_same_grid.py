"""Two volumes on one grid or on two."""

import pytest

from msnmo.core.errors import InputError
from msnmo.core.grid import Grid
from msnmo.core.same_grid import check_same_grid
from msnmo.core.volumes import Volume
from tests.core.nifti_files import AFFINE, DATA, OTHER, SHAPE


def test_another_grid_is_refused_naming_both_files(tmp_path):
    scan = Volume(DATA, Grid.from_affine(SHAPE, AFFINE))
    check_same_grid(tmp_path / "m.nii", scan, tmp_path / "s.nii", scan)
    with pytest.raises(InputError) as caught:
        check_same_grid(
            tmp_path / "m.nii",
            Volume(DATA, Grid.from_affine(SHAPE, OTHER)),
            tmp_path / "s.nii",
            scan,
        )
    (finding,) = caught.value.findings
    assert "m.nii" in finding.file
    assert "s.nii" in finding.expected
