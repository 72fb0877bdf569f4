"""The z-scored scan has mean 0 and standard deviation 1 over the brain."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from msnmo.core.errors import InputError
from msnmo.core.files import read_json, write_json
from msnmo.core.grid import Grid
from msnmo.core.saving import save_volume
from msnmo.core.volumes import load_volume
from msnmo.preprocess import zscore as module
from msnmo.preprocess.zscore import zscore

GRID = Grid.from_affine((12, 10, 8), np.diag([1, 1.5, 2, 1]))


def scan_and_brain(scale=100.0, offset=500.0):
    random = np.random.default_rng(4)
    image = (offset + scale * random.standard_normal(GRID.shape)).astype(np.float32)
    brain = np.zeros(GRID.shape, bool)
    brain[2:10, 2:8, 1:7] = True
    return image, brain


def test_over_the_brain_by_hand():
    image = np.array([[[1.0, 3.0, 100.0]]], np.float32)
    scaled = zscore(image, np.array([[[True, True, False]]]))
    np.testing.assert_array_equal(scaled, [[[-1, 1, 0]]])  # mean 2, sd 1
    assert scaled.dtype == np.float32


def test_over_the_whole_volume_by_hand():
    image = np.array([[[1.0, 3.0]]], np.float32)
    scaled = zscore(image, np.array([[[True, False]]]), "whole_volume")
    np.testing.assert_array_equal(scaled, [[[-1, 1]]])


@settings(max_examples=50)
@given(scale=st.floats(1e-3, 1e4), sds_from_zero=st.floats(-100, 100))
def test_any_scanner_units_give_the_same_scan(scale, sds_from_zero):
    image, brain = scan_and_brain()
    reference = zscore(image, brain)
    in_other_units = scale * (sds_from_zero + (image - 500) / 100)
    scaled = zscore(in_other_units.astype(np.float32), brain)
    np.testing.assert_allclose(scaled, reference, atol=1e-4)
    assert abs(scaled[brain].mean(dtype=np.float64)) < 1e-4
    assert abs(scaled[brain].std(dtype=np.float64) - 1) < 1e-4
    assert not scaled[~brain].any()


@pytest.mark.parametrize("over", ["brain", "whole_volume"])
@pytest.mark.parametrize("value", [0.0, 7.0, 1e6, -3.0])
def test_a_flat_scan_is_refused(over, value):
    with pytest.raises(ValueError, match="standard deviation is 0"):
        zscore(np.full(GRID.shape, value, np.float32), np.ones(GRID.shape, bool), over)


def test_an_empty_brain_is_refused():
    image, brain = scan_and_brain()
    with pytest.raises(ValueError, match="brain mask is empty"):
        zscore(image, np.zeros_like(brain))


def run_main(folder, image, brain, *options):
    save_volume(folder / "scan.nii.gz", image, GRID)
    save_volume(folder / "brain.nii.gz", brain, GRID, np.uint8)
    write_json(folder / "scan.json", {"geometry": {"kept": True}})
    paths = {"image": "scan.nii.gz", "brain": "brain.nii.gz", "sidecar": "scan.json"}
    outputs = {"out-image": "z.nii.gz", "out-sidecar": "z.json"}
    words = [f"--{name}={folder / file}" for name, file in (paths | outputs).items()]
    module.main([*words, *options])


def test_command_keeps_grid_and_sidecar(tmp_path):
    image, brain = scan_and_brain()
    run_main(tmp_path, image, brain)
    written = load_volume(tmp_path / "z.nii.gz")
    np.testing.assert_array_equal(written.data, zscore(image, brain))
    assert written.grid.matches(GRID)
    sidecar = read_json(tmp_path / "z.json")
    assert sidecar == {"geometry": {"kept": True}, "zscore": {"over": "brain"}}


def test_command_names_a_flat_scan(tmp_path):
    image, brain = scan_and_brain(scale=0)
    with pytest.raises(InputError, match=r"scan\.nii\.gz"):
        run_main(tmp_path, image, brain)
    assert not (tmp_path / "z.nii.gz").exists()
